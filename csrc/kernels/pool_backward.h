// Pools, backward. Elements of a row whose indices are alike modulo the stride form a phase: they
// meet the same taps of neighbouring windows. Phases are computed one by one and woven together.
#pragma once

#include "byte_lanes.h"
#include "pool.h"

namespace fastconv {
namespace {

// Positions narrowed to lanes, the first n of them and zeros. All their bits are collected.
template <class T>
FC_INLINE Mask<T> load_index(const int64_t* p, int n, Vec<int64_t>& bits) {
  constexpr int W = kLanes<int64_t>;
  if constexpr (sizeof(T) == 8) {
    const Vec<int64_t> v = n >= W ? load(p) : load_part(p, n);
    bits |= v;
    return reinterpret_cast<Mask<T>>(v);
  } else {
    Vec<int32_t> part[2];
    FC_UNROLL for (int i = 0; i < 2; ++i) {
      const int rest = n - i * W < 0 ? 0 : n - i * W;
      const Vec<int64_t> v = rest >= W ? load(p + i * W) : load_part(p + i * W, rest);
      bits |= v;
      part[i] = reinterpret_cast<Vec<int32_t>>(v);
    }
    return every<2>(part);  // the low halves
  }
}

// Whether positions with these bits are not negative and fit the lanes.
template <class T>
FC_INLINE bool fit(Vec<int64_t> bits) {
  int64_t all = 0;
  for (int i = 0; i < kLanes<int64_t>; ++i) all |= bits[i];
  return all >= 0 && (sizeof(T) == 8 || all <= INT32_MAX);
}

// ---- phases woven together ----

template <int S, int I, class T>
FC_INLINE void store_woven(const Vec<T>* v, T* y, ptrdiff_t left, ptrdiff_t room) {
  constexpr int L = kLanes<T>;
  if constexpr (I < S) {
    const Vec<T> w = woven<S, I>(v);
    if (left <= I * L) return;
    if (room >= (I + 1) * L) {
      store(y + I * L, w);
    } else {
      store_part(y + I * L, w, static_cast<int>(left - I * L < L ? left - I * L : L));
    }
    store_woven<S, I + 1>(v, y, left, room);
  }
}

template <int S, class T>
void weave_rows(const PoolWeave<T> g) {
  constexpr int L = kLanes<T>;
  for (ptrdiff_t r = 0; r < g.rows; ++r) {
    T* y = g.dst + r * g.out;
    const ptrdiff_t room = g.room - r * g.out;
    for (ptrdiff_t c = 0; c < g.out; c += S * L) {
      Vec<T> v[S];
      FC_UNROLL for (int f = 0; f < S; ++f) v[f] = load(g.phase[f] + r * g.pitch + c / S);
      store_woven<S, 0>(v, y + c, g.out - c, room - c);
    }
  }
}

// dst[r][j * S + f] = phase[f][r * pitch + j].
template <class T>
void weave(const PoolWeave<T>& g) {
  if (g.phases == 1) return weave_rows<1>(g);
  if (g.phases == 2) return weave_rows<2>(g);
  if (g.phases == 3) return weave_rows<3>(g);
  if (g.phases == 4) return weave_rows<4>(g);
  for (ptrdiff_t r = 0; r < g.rows; ++r) {
    for (ptrdiff_t f = 0; f < g.phases; ++f) {
      const T* x = g.phase[f] + r * g.pitch;
      T* y = g.dst + r * g.out;
      for (ptrdiff_t c = f; c < g.out; c += g.phases) y[c] = *x++;
    }
  }
}

// ---- windows side by side: each element meets one window at most ----

template <class T>
bool select(const PoolSelect<T>& args) {
  constexpr int L = kLanes<T>, S = kSelectStride;
  const PoolSelect<T> g = args;
  using P = Position<T>;
  const Mask<T> lane = iota<T>() * static_cast<P>(S);
  Mask<T> count = reinterpret_cast<Mask<T>>(load(g.count));
  Vec<int64_t> bits{};
  T* y = g.dst;
  ptrdiff_t room = g.room;
  for (ptrdiff_t plane = 0; plane < g.planes; ++plane) {
    const T* grad = g.grad + plane * g.windows * g.out;
    const int64_t* index = g.index + plane * g.windows * g.out;
    ptrdiff_t p = g.row / g.stride, r = g.row % g.stride;  // window row and its tap
    P at = g.pos;
    for (ptrdiff_t h = 0; h < g.rows; ++h, y += g.len, room -= g.len, at += static_cast<P>(g.len)) {
      const ptrdiff_t from = p * g.out, out = p < g.windows && r < g.taps ? g.out : 0;
      for (ptrdiff_t c = 0, q = 0; c < g.len; c += S * L, q += L) {
        const ptrdiff_t left = out - q;
        const int part = static_cast<int>(left < 0 ? 0 : left < L ? left : L);
        const Mask<T> to = load_index<T>(index + from + q, part, bits);
        const Vec<T> v = part == L ? load(grad + from + q) : load_part(grad + from + q, part);
        const Mask<T> pos = lane + (at + static_cast<P>(c));
        Vec<T> phase[S];
        FC_UNROLL for (int f = 0; f < S; ++f) {
          phase[f] = Vec<T>{};
          if (f < g.col_taps) {
            const LaneMask<T> points = equal<T>(to, pos + static_cast<P>(f));
            phase[f] = add_where<T>(phase[f], points, v);
            count = count_where<T>(count, points);
          }
        }
        store_woven<S, 0>(phase, y + c, g.len - c, room - c);
      }
      if (++r == g.stride) {
        r = 0;
        ++p;
      }
    }
  }
  store(g.count, reinterpret_cast<Vec<P>>(count));
  return fit<T>(bits);
}

// ---- any windows, by the taps that they point at ----

// N vectors from column c on, the last of `part` lanes.
template <int N, class T>
FC_INLINE void pick_columns(const PoolPick<T>& g, ptrdiff_t from, T* y, int part) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[N] = {};
  for (ptrdiff_t k = 0; k < g.taps; ++k) {
    const T* grad = g.grad + from + g.offsets[k];
    const uint8_t* where = g.where + from + g.offsets[k];
    const uint8_t number = g.numbers[k];
    FC_UNROLL for (int v = 0; v < N; ++v) {
      const bool whole = v + 1 < N || part == L;
      const Vec<T> x = whole ? load(grad + v * L) : load_part(grad + v * L, part);
      sum[v] = add_where<T>(sum[v], bytes_equal<T>(where + v * L, number, whole ? L : part), x);
    }
  }
  FC_UNROLL for (int v = 0; v < N; ++v) {
    if (v + 1 < N || part == L) {
      store(y + v * L, sum[v]);
    } else {
      store_part(y + v * L, sum[v], part);
    }
  }
}

template <class T>
void pick(const PoolPick<T>& args) {
  constexpr int L = kLanes<T>;
  const PoolPick<T> g = args;
  for (ptrdiff_t r = 0; r < g.rows; ++r) {
    const ptrdiff_t row = r * g.step;
    T* y = g.dst + r * g.dst_pitch;
    ptrdiff_t c = 0;
    for (; c + 2 * L <= g.out; c += 2 * L) pick_columns<2>(g, row + c, y + c, L);
    for (; c + L <= g.out; c += L) pick_columns<1>(g, row + c, y + c, L);
    if (c < g.out) pick_columns<1>(g, row + c, y + c, static_cast<int>(g.out - c));
  }
}

}  // namespace
}  // namespace fastconv
