// Output rows of depthwise and grouped convolutions as sums of shifted source rows (see kernels.h),
// and the moves in and out of the strip that they read.
#pragma once

#include "../kernels.h"
#include "pack.h"
#include "vec.h"

namespace fastconv {
namespace {

// A tile is R x V vectors of outputs; with a band's weights it fills the registers.
constexpr int kMaxTaps = kRegisters == 32 ? 7 : 5;
constexpr int kMaxRows = kRegisters == 32 ? 8 : 4;

// Vectors beside each other: about 8 sums hide the latency of the FMA.
constexpr int tile_vectors(int rows) {
  return 8 / rows;
}

// All columns of a band of K taps: every source vector is loaded once and serves up to K rows.
template <class T, int R, int V, int K>
FC_INLINE void add_band(Vec<T> (&acc)[R][V], const BandSum<T>& g, const T* x, const T* w) {
  constexpr int L = kLanes<T>;
  const ptrdiff_t src_row = g.src_row, w_row = g.w_row, cols = g.cols;
  const ptrdiff_t* col = g.col;
  const ptrdiff_t* w_col = g.w_col;
  for (ptrdiff_t s = 0; s < cols; ++s) {
    const T* xs = x + col[s];
    const T* ws = w + w_col[s];
    Vec<T> weight[K];
    FC_UNROLL for (int k = 0; k < K; ++k) {
      weight[k] = splat(ws[k * w_row]);
      pin(weight[k]);
    }
    FC_UNROLL for (int i = 0; i < R + K - 1; ++i) {
      FC_UNROLL for (int v = 0; v < V; ++v) {
        Vec<T> row = load(xs + i * src_row + v * L);
        pin(row);
        FC_UNROLL for (int k = 0; k < K; ++k) {
          if (i - k >= 0 && i - k < R) acc[i - k][v] = fma(weight[k], row, acc[i - k][v]);
        }
      }
    }
  }
}

template <class T, int R, int V>
__attribute__((noinline)) void sum_tile(const BandSum<T>& g, ptrdiff_t row, ptrdiff_t column) {
  constexpr int L = kLanes<T>;
  Vec<T> acc[R][V];
  FC_UNROLL for (int i = 0; i < R; ++i) {
    FC_UNROLL for (int v = 0; v < V; ++v) acc[i][v] = Vec<T>{};
  }
  const T* src = g.src + row * g.src_row + column;
  for (ptrdiff_t b = 0; b < g.bands_count; ++b) {
    const TapBand band = g.bands[b];
    const ptrdiff_t first = band.row + row * g.row_step;
    if (first + (R + band.taps - 2) * g.row_step < g.row_lo || first >= g.row_hi) continue;
    const T* x = src + band.src;
    const T* w = g.w + band.w;
    switch (band.taps) {
      case 1:
        add_band<T, R, V, 1>(acc, g, x, w);
        break;
      case 2:
        add_band<T, R, V, 2>(acc, g, x, w);
        break;
      case 3:
        add_band<T, R, V, 3>(acc, g, x, w);
        break;
      case 4:
        add_band<T, R, V, 4>(acc, g, x, w);
        break;
      case 5:
        add_band<T, R, V, 5>(acc, g, x, w);
        break;
      default:
        if constexpr (kMaxTaps == 7) {
          if (band.taps == 6) {
            add_band<T, R, V, 6>(acc, g, x, w);
          } else {
            add_band<T, R, V, 7>(acc, g, x, w);
          }
        }
    }
  }
  const Vec<T> bias = splat(g.bias), lo = splat(g.lo), hi = splat(g.hi);
  T* out = g.out + row * g.out_row + column;
  const T* residual = g.residual ? g.residual + row * g.residual_row + column : nullptr;
  const ptrdiff_t left = g.width - column;
  FC_UNROLL for (int v = 0; v < V; ++v) {
    const int part = static_cast<int>(left - v * L < L ? left - v * L : L);
    FC_UNROLL for (int i = 0; i < R; ++i) {
      Vec<T> y = acc[i][v] + bias;
      T* to = out + i * g.out_row + v * L;
      if (part == L) {
        if (residual) y += load(residual + i * g.residual_row + v * L);
        store(to, clamp(y, lo, hi));
      } else {
        if (residual) y += load_part(residual + i * g.residual_row + v * L, part);
        store_part(to, clamp(y, lo, hi), part);
      }
    }
  }
}

template <class T, int R>
FC_INLINE void sum_rows(const BandSum<T>& g, ptrdiff_t row) {
  constexpr int V = tile_vectors(R), L = kLanes<T>;
  ptrdiff_t j = 0;
  for (; j + (V - 1) * L < g.width; j += V * L) sum_tile<T, R, V>(g, row, j);
  for (; j < g.width; j += L) sum_tile<T, R, 1>(g, row, j);
}

template <class T, int R>
FC_INLINE void pick_rows(const BandSum<T>& g, ptrdiff_t row, ptrdiff_t rows) {
  if constexpr (R == 1) {
    sum_rows<T, 1>(g, row);
  } else {
    rows == R ? sum_rows<T, R>(g, row) : pick_rows<T, R - 1>(g, row, rows);
  }
}

// Rows are split evenly, so that no tile is much smaller than the largest.
template <class T>
void band_sum(const BandSum<T>& g) {
  const ptrdiff_t tiles = (g.rows + kMaxRows - 1) / kMaxRows;
  for (ptrdiff_t t = 0; t < tiles; ++t) {
    const ptrdiff_t r0 = g.rows * t / tiles, r1 = g.rows * (t + 1) / tiles;
    pick_rows<T, kMaxRows>(g, r0, r1 - r0);
  }
}

template <class T>
FC_INLINE Vec<T> odds(Vec<T> a, Vec<T> b) {
  constexpr int L = kLanes<T>;
  if constexpr (L == 16) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  } else if constexpr (L == 8) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
  } else if constexpr (L == 4) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7);
  } else {
    return __builtin_shufflevector(a, b, 1, 3);
  }
}

template <class T>
FC_INLINE int at_most_vector(ptrdiff_t n) {
  return static_cast<int>(n < 0 ? 0 : n < kLanes<T> ? n : kLanes<T>);
}

template <class T>
void fill_rows(const T* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t step,
               ptrdiff_t first, ptrdiff_t pitch, T* dst, ptrdiff_t dst_row) {
  constexpr int L = kLanes<T>;
  for (ptrdiff_t i = 0; i < rows; ++i, src += src_row, dst += dst_row) {
    ptrdiff_t j = 0;
    if (step == 1) {
      for (; j + L <= cols; j += L) store(dst + first + j, load(src + j));
      if (j < cols) store(dst + first + j, load_part(src + j, static_cast<int>(cols - j)));
    } else if (step == 2) {
      T* even = dst + first % 2 * pitch + first / 2;
      T* odd = dst + (first + 1) % 2 * pitch + (first + 1) / 2;
      for (; j < cols; j += 2 * L, even += L, odd += L) {
        Vec<T> a, b;
        if (j + 2 * L <= cols) {
          a = load(src + j);
          b = load(src + j + L);
        } else {
          a = load_part(src + j, at_most_vector<T>(cols - j));
          b = load_part(src + j + L, at_most_vector<T>(cols - j - L));
        }
        store(even, evens<T>(a, b));
        store(odd, odds<T>(a, b));
      }
    } else {
      for (ptrdiff_t f = 0; f < step && f < cols; ++f) {
        T* to = dst + (first + f) % step * pitch + (first + f) / step;
        for (j = f; j < cols; j += step) *to++ = src[j];
      }
    }
  }
}

template <class T>
FC_INLINE void zip(Vec<T> a, Vec<T> b, T* dst) {
  constexpr int L = kLanes<T>;
  if constexpr (L == 16) {
    store<T>(dst,
             __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
    store<T>(dst + L, __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
                                              14, 30, 15, 31));
  } else if constexpr (L == 8) {
    store<T>(dst, __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11));
    store<T>(dst + L, __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15));
  } else if constexpr (L == 4) {
    store<T>(dst, __builtin_shufflevector(a, b, 0, 4, 1, 5));
    store<T>(dst + L, __builtin_shufflevector(a, b, 2, 6, 3, 7));
  } else {
    store<T>(dst, __builtin_shufflevector(a, b, 0, 2));
    store<T>(dst + L, __builtin_shufflevector(a, b, 1, 3));
  }
}

template <class T>
void interleave(const T* src, ptrdiff_t pitch, ptrdiff_t step, ptrdiff_t count, T* dst) {
  constexpr int L = kLanes<T>;
  ptrdiff_t j = 0;
  if (step == 2) {
    for (; (j + L) * 2 <= count; j += L) zip<T>(load(src + j), load(src + pitch + j), dst + 2 * j);
  }
  for (ptrdiff_t f = 0; f < step; ++f) {
    for (ptrdiff_t i = j; i * step + f < count; ++i) dst[i * step + f] = src[f * pitch + i];
  }
}

}  // namespace
}  // namespace fastconv
