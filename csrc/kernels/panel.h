// Panels of B for the register tile, packed from runs of the source.
#pragma once

#include "../kernels.h"
#include "lanes.h"

namespace fastconv {
namespace {

// A panel of B is two vectors wide on every instruction set.
constexpr int kTileVectors = 2;
template <class T>
constexpr int kTileLanes = kTileVectors * kLanes<T>;

// Each vector of a panel from at most N runs, of which every Step-th element counts: a masked load
// for each, which leaves the other lanes alone and reads nothing but the runs.
template <class T, int N, int Step = 1>
class Runs {
 public:
  FC_INLINE Runs(const Segment* segments, int count) {
    constexpr int L = kLanes<T>;
    int runs[kTileVectors] = {};
    for (int i = 0; i < count; ++i) {
      const Segment& s = segments[i];
      for (int v = 0; v < kTileVectors; ++v) {
        const ptrdiff_t lo = s.dst - v * L, hi = lo + s.len;
        if (lo >= L || hi <= 0) continue;
        from_[v][runs[v]] = s.src - lo * Step;
        const ptrdiff_t begin = lo > 0 ? lo * Step : 0;
        const ptrdiff_t end = ((hi < L ? hi : L) - 1) * Step + 1;
        for (int part = 0; part < Step; ++part) {
          lanes_[v][runs[v]][part] =
              lanes_between<T>(within(begin - part * L), within(end - part * L));
        }
        ++runs[v];
      }
    }
  }
  FC_INLINE Vec<T> get(const T* source, int v) const {
    Vec<T> parts[Step];
    FC_UNROLL for (int part = 0; part < Step; ++part) {
      Vec<T> x{};
      FC_UNROLL for (int i = 0; i < N; ++i) {
        x = load_lanes(source + from_[v][i] + part * kLanes<T>, lanes_[v][i][part], x);
      }
      parts[part] = x;
    }
    return every<Step>(parts);
  }
  // Fetches what get() reads.
  FC_INLINE void fetch(const T* source) const {
    FC_UNROLL for (int v = 0; v < kTileVectors; ++v) {
      FC_UNROLL for (int part = 0; part < Step; ++part) {
        __builtin_prefetch(source + from_[v][0] + part * kLanes<T>);
      }
    }
  }

 private:
  static int within(ptrdiff_t lane) {
    return static_cast<int>(lane < 0 ? 0 : lane < kLanes<T> ? lane : kLanes<T>);
  }
  ptrdiff_t from_[kTileVectors][N] = {};
  LaneMask<T> lanes_[kTileVectors][N][Step] = {};
};

template <class T, int N, int Step = 1>
void pack_runs(const T* src, const ptrdiff_t* k_off, ptrdiff_t depth, const Segment* segments,
               int count, T* panel) {
  const Runs<T, N, Step> given(segments, count);
  const Runs<T, N, Step> runs = given;  // a copy that the compiler can keep in registers
  // Planes lie pages apart, which no hardware follows.
  constexpr ptrdiff_t kAhead = 16;
  for (ptrdiff_t k = 0; k < depth; ++k, panel += kTileLanes<T>) {
    if (Step > 1 && k + kAhead < depth) runs.fetch(src + k_off[k + kAhead]);
    FC_UNROLL for (int v = 0; v < kTileVectors; ++v) {
      store(panel + v * kLanes<T>, runs.get(src + k_off[k], v));
    }
  }
}

// The most runs that any vector of the panel has lanes from.
template <class T>
int runs_of_vector(const Segment* segments, int count) {
  int most = 0;
  for (int v = 0; v < kTileVectors; ++v) {
    int runs = 0;
    for (int i = 0; i < count; ++i) {
      const ptrdiff_t lo = segments[i].dst - v * kLanes<T>;
      runs += lo < kLanes<T> && lo + segments[i].len > 0;
    }
    if (runs > most) most = runs;
  }
  return most;
}

template <class T>
FC_INLINE void copy_run(const T* src, T* dst, ptrdiff_t len) {
  constexpr int L = kLanes<T>;
  ptrdiff_t i = 0;
  for (; i + L <= len; i += L) store(dst + i, load(src + i));
  if (i < len)
    store_part(dst + i, load_part(src + i, static_cast<int>(len - i)), static_cast<int>(len - i));
}

template <class T>
void pack_panel(const T* src, const ptrdiff_t* k_off, ptrdiff_t depth, const Segment* segments,
                int count, T* panel) {
  constexpr int NR = kTileLanes<T>;
  constexpr int L = kLanes<T>;
  if (count == 1 && segments[0].len == NR) {
    src += segments[0].src;
    for (ptrdiff_t k = 0; k < depth; ++k, panel += NR) {
      const T* s = src + k_off[k];
      FC_UNROLL for (int v = 0; v < kTileVectors; ++v) store(panel + v * L, load(s + v * L));
    }
    return;
  }
  if constexpr (kVectorBytes >= 32) {  // has masked loads
    switch (runs_of_vector<T>(segments, count)) {
      case 1:
        return pack_runs<T, 1>(src, k_off, depth, segments, count, panel);
      case 2:
        return pack_runs<T, 2>(src, k_off, depth, segments, count, panel);
      case 3:
        return pack_runs<T, 3>(src, k_off, depth, segments, count, panel);
      case 4:
        return pack_runs<T, 4>(src, k_off, depth, segments, count, panel);
      default:
        break;
    }
  }
  ptrdiff_t filled = 0;
  for (int i = 0; i < count; ++i) filled += segments[i].len;
  for (ptrdiff_t k = 0; k < depth; ++k, panel += NR) {
    const T* s = src + k_off[k];
    for (int i = 0; i < count; ++i) {
      copy_run(s + segments[i].src, panel + segments[i].dst, segments[i].len);
    }
    for (ptrdiff_t j = filled; j < NR; ++j) panel[j] = T(0);
  }
}

// Every second element of the runs.
template <class T>
void pack_halves(const T* src, const ptrdiff_t* k_off, ptrdiff_t depth, const Segment* segments,
                 int count, T* panel) {
  if constexpr (kVectorBytes >= 32) {  // has masked loads
    const int runs = runs_of_vector<T>(segments, count);
    if (runs == 1) return pack_runs<T, 1, 2>(src, k_off, depth, segments, count, panel);
    if (runs == 2) return pack_runs<T, 2, 2>(src, k_off, depth, segments, count, panel);
  }
  constexpr int NR = kTileLanes<T>;
  for (ptrdiff_t k = 0; k < depth; ++k, panel += NR) {
    T* to = panel;
    for (int i = 0; i < count; ++i) {
      const T* s = src + k_off[k] + segments[i].src;
      for (ptrdiff_t j = 0; j < segments[i].len; ++j) *to++ = s[2 * j];
    }
    while (to < panel + NR) *to++ = T(0);
  }
}

}  // namespace
}  // namespace fastconv
