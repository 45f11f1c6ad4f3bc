// Depthwise convolution with channels in the lanes: planes are transposed, so that no lane idles in
// a narrow row or multiplies padding, and transposed back.
#pragma once

#include "broadcast.h"
#include "pack.h"
#include "plane_masks.h"
#include "strip_rows.h"

namespace fastconv {
namespace {

constexpr int kLaneTile = 8;  // most outputs of a tile

// acc[j] += w[s] * x[j * Step + s] for s < S, where that column lies in [lo, hi).
template <class T, int Q, int S, int Step>
FC_INLINE void lane_taps(Vec<T> (&acc)[Q], const T* x, const T* w, ptrdiff_t lo, ptrdiff_t hi) {
  constexpr int L = kLanes<T>;
  Vec<T> weight[S];
  FC_UNROLL for (int s = 0; s < S; ++s) {
    weight[s] = load(w + s * L);
    pin(weight[s]);
  }
  FC_UNROLL for (int c = 0; c < (Q - 1) * Step + S; ++c) {
    if (c < lo || c >= hi) continue;
    const Vec<T> v = load(x + c * L);
    FC_UNROLL for (int s = 0; s < S; ++s) {
      const int j = (c - s) / Step;
      if (c >= s && (c - s) % Step == 0 && j < Q) acc[j] = fma(weight[s], v, acc[j]);
    }
  }
}

// `count` tiles of every row of the output, from column `first` on.
template <class T, int Q, int Step>
__attribute__((noinline)) void lane_tiles(const PlaneLanes<T>& g, const T* x, const T* w,
                                          Vec<T> bias, ptrdiff_t first, ptrdiff_t count, T* out) {
  constexpr int L = kLanes<T>;
  const ptrdiff_t rows = g.taps.rows, cols = g.taps.cols, in_cols = g.in_cols;
  for (ptrdiff_t i = 0; i < g.out_rows; ++i) {
    const ptrdiff_t row = i * Step - g.taps.top;
    const ptrdiff_t r0 = row < 0 ? -row : 0, r1 = g.in_rows - row < rows ? g.in_rows - row : rows;
    T* to = out + (i * g.out_cols + first) * L;
    for (ptrdiff_t tile = 0; tile < count; ++tile, to += Q * L) {
      Vec<T> acc[Q];
      FC_UNROLL for (int j = 0; j < Q; ++j) acc[j] = bias;
      const ptrdiff_t col = (first + tile * Q) * Step - g.taps.left;
      for (ptrdiff_t r = r0; r < r1; ++r) {
        const T* from = x + ((row + r) * in_cols + col) * L;
        const T* wr = w + r * cols * L;
        ptrdiff_t s = 0;
        const auto add = [&](auto taps) FC_LAMBDA {
          constexpr int S = decltype(taps)::value;
          lane_taps<T, Q, S, Step>(acc, from + s * L, wr + s * L, -col - s, in_cols - col - s);
          s += S;
        };
        while (s + 7 <= cols) add(Int<7>{});
        if (s + 5 <= cols) add(Int<5>{});
        if (s + 3 <= cols) add(Int<3>{});
        while (s < cols) add(Int<1>{});
      }
      FC_UNROLL for (int j = 0; j < Q; ++j) store(to + j * L, acc[j]);
    }
  }
}

template <class T, int Q, int Step>
FC_INLINE void pick_lane_tiles(const PlaneLanes<T>& g, const T* x, const T* w, Vec<T> bias,
                               ptrdiff_t size, ptrdiff_t first, ptrdiff_t count, T* out) {
  if (Q == 1 || size == Q) {
    lane_tiles<T, Q, Step>(g, x, w, bias, first, Q == 1 ? count * size : count, out);
  } else {
    pick_lane_tiles<T, Q == 4 ? 1 : Q - (Q > 1), Step>(g, x, w, bias, size, first, count, out);
  }
}

// [channel][n] to [n][lane]; a column or two left over from squares go one by one.
template <class T>
FC_INLINE void to_lanes(const T* in, ptrdiff_t n, ptrdiff_t channels, T* out) {
  constexpr ptrdiff_t L = kLanes<T>;
  const ptrdiff_t whole = n % L <= 2 ? n - n % L : n;
  // Lanes without a channel may hold anything, but numbers that are quick to multiply.
  if (channels < L) clear(out, n * L);
  transpose_any<T>([=](ptrdiff_t r) { return in + r * n; }, channels, whole, out, L);
  for (ptrdiff_t i = whole; i < n; ++i) {
    for (ptrdiff_t c = 0; c < channels; ++c) out[i * L + c] = in[c * n + i];
  }
}

template <class T, int Step>
void lane_planes(const PlaneLanes<T>& g, const T* x, const T* w, Vec<T> bias, T* out) {
  // Rows are cut evenly, into tiles of two sizes at most.
  const ptrdiff_t tiles = (g.out_cols + kLaneTile - 1) / kLaneTile;
  const ptrdiff_t small = g.out_cols / tiles, large = g.out_cols % tiles;  // so many have one more
  if (large) pick_lane_tiles<T, kLaneTile, Step>(g, x, w, bias, small + 1, 0, large, out);
  pick_lane_tiles<T, kLaneTile, Step>(g, x, w, bias, small, large * (small + 1), tiles - large,
                                      out);
}

template <class T>
void plane_lanes(const PlaneLanes<T>& given) {
  constexpr ptrdiff_t L = kLanes<T>;
  PlaneLanes<T> g = given;
  const ptrdiff_t taps = g.taps.rows * g.taps.cols;
  const ptrdiff_t in_plane = g.in_rows * g.in_cols, out_plane = g.out_rows * g.out_cols;
  T* const x = g.scratch;
  T* const w = x + in_plane * L;
  T* const y = w + taps * L;
  for (ptrdiff_t c = 0; c < given.channels; c += L) {
    const ptrdiff_t channels = given.channels - c < L ? given.channels - c : L;
    to_lanes(g.src, in_plane, channels, x);
    to_lanes(g.w, taps, channels, w);
    if (g.reversed) {
      for (ptrdiff_t t = 0; t < taps / 2; ++t) {
        const Vec<T> first = load(w + t * L), last = load(w + (taps - 1 - t) * L);
        store(w + t * L, last);
        store(w + (taps - 1 - t) * L, first);
      }
    }
    const Vec<T> bias = g.bias ? load_part(g.bias, static_cast<int>(channels)) : Vec<T>{};
    g.taps.step == 2 ? lane_planes<T, 2>(g, x, w, bias, y) : lane_planes<T, 1>(g, x, w, bias, y);
    // The last column or two of the result go one by one, too.
    const ptrdiff_t whole = out_plane % L <= 2 ? out_plane - out_plane % L : out_plane;
    broadcast_store<T>({y, L, whole, channels, g.out, out_plane, g.residual, g.lo, g.hi});
    for (ptrdiff_t i = whole; i < out_plane; ++i) {
      for (ptrdiff_t k = 0; k < channels; ++k) {
        const ptrdiff_t at = k * out_plane + i;
        T v = y[i * L + k] + (g.residual ? g.residual[at] : T(0));
        v = v < g.lo ? g.lo : v;
        g.out[at] = v > g.hi ? g.hi : v;
      }
    }
    g.src += channels * in_plane;
    g.w += channels * taps;
    g.out += channels * out_plane;
    if (g.bias) g.bias += channels;
    if (g.residual) g.residual += channels * out_plane;
  }
}

}  // namespace
}  // namespace fastconv
