// The weight gradient of one plane: every tap is the dot product of the output gradient with the
// source, shifted (see kernels.h).
#pragma once

#include "../kernels.h"
#include "vec.h"

namespace fastconv {
namespace {

// Rows of the gradient that are held in registers, each used with every tap of a tile.
constexpr int kDotRows = kRegisters == 32 ? 7 : 4;
// Doubles have less to gain than the code is large, and so has what runs anywhere.
template <class T>
constexpr int kMostDotCols = kVectorBytes == 16 || sizeof(T) == 8 ? 2 : 5;

// Where a masked load is as quick as a whole one, there need be no code for whole ones.
#if defined(__AVX512F__)
constexpr bool kMaskedLoads = true;
#else
constexpr bool kMaskedLoads = false;
#endif

// taps * cols sums, kDotRows rows of gradient and one of the source fill the registers.
template <class T>
constexpr int most_dot_cols(int taps) {
  const int cols = (kRegisters - 2 - kDotRows) / taps;
  return cols > kMostDotCols<T> ? kMostDotCols<T> : cols;
}

template <class T>
int dot_cols(int taps) {
  return most_dot_cols<T>(taps);
}

template <class T, int R, int K, int C, bool whole>
FC_INLINE void dot_rows(Vec<T> (&acc)[K][C], const BandDots<T>& g, const T* x, const T* grad,
                        int part) {
  Vec<T> dy[R];
  FC_UNROLL for (int r = 0; r < R; ++r) {
    dy[r] = whole ? load(grad + r * g.grad_row) : load_part(grad + r * g.grad_row, part);
    pin(dy[r]);
  }
  FC_UNROLL for (int s = 0; s < C; ++s) {
    const T* xs = x + g.col[s];
    FC_UNROLL for (int i = 0; i < R + K - 1; ++i) {
      // Beyond the last column both factors are zero: what lies there may be infinite.
      Vec<T> row = whole ? load(xs + i * g.src_row) : load_part(xs + i * g.src_row, part);
      pin(row);
      FC_UNROLL for (int k = 0; k < K; ++k) {
        if (i - k >= 0 && i - k < R) acc[k][s] = fma(dy[i - k], row, acc[k][s]);
      }
    }
  }
}

template <class T, int K, int C, bool whole>
FC_INLINE void dot_column(Vec<T> (&acc)[K][C], const BandDots<T>& g, ptrdiff_t j, int part) {
  const T* x = g.src + j;
  const T* grad = g.grad + j;
  ptrdiff_t i = 0;
  for (; i + kDotRows <= g.rows; i += kDotRows) {
    dot_rows<T, kDotRows, K, C, whole>(acc, g, x + i * g.src_row, grad + i * g.grad_row, part);
  }
  for (; i + 2 <= g.rows; i += 2) {
    dot_rows<T, 2, K, C, whole>(acc, g, x + i * g.src_row, grad + i * g.grad_row, part);
  }
  if (i < g.rows) {
    dot_rows<T, 1, K, C, whole>(acc, g, x + i * g.src_row, grad + i * g.grad_row, part);
  }
}

template <class T, int K, int C>
__attribute__((noinline)) void dot_tile(BandDots<T> g) {
  constexpr int L = kLanes<T>;
  for (ptrdiff_t plane = 0; plane < g.planes; ++plane) {
    Vec<T> acc[K][C];
    FC_UNROLL for (int k = 0; k < K; ++k) {
      FC_UNROLL for (int s = 0; s < C; ++s) acc[k][s] = Vec<T>{};
    }
    ptrdiff_t j = 0;
    if constexpr (!kMaskedLoads) {
      for (; j + L <= g.width; j += L) dot_column<T, K, C, true>(acc, g, j, L);
    }
    for (; j < g.width; j += L) {
      dot_column<T, K, C, false>(acc, g, j, static_cast<int>(g.width - j < L ? g.width - j : L));
    }
    FC_UNROLL for (int k = 0; k < K; ++k) {
      FC_UNROLL for (int s = 0; s < C; ++s) {
        T* to = g.sums + (k * C + s) * L;
        store(to, load(to) + acc[k][s]);
      }
    }
    g.src += g.next_src;
    g.grad += g.next_grad;
    g.sums += g.next_sums;
  }
}

template <class T, int K, int C>
FC_INLINE void pick_dot_cols(const BandDots<T>& g) {
  if constexpr (C == 1) {
    dot_tile<T, K, 1>(g);
  } else {
    g.cols == C ? dot_tile<T, K, C>(g) : pick_dot_cols<T, K, C - 1>(g);
  }
}

template <class T, int K>
FC_INLINE void pick_dot_taps(const BandDots<T>& g) {
  if constexpr (K == 1) {
    pick_dot_cols<T, 1, most_dot_cols<T>(1)>(g);
  } else if constexpr (K == 6) {  // never asked for
    pick_dot_taps<T, 5>(g);
  } else {
    g.taps == K ? pick_dot_cols<T, K, most_dot_cols<T>(K)>(g) : pick_dot_taps<T, K - 1>(g);
  }
}

template <class T>
void band_dot(const BandDots<T>& g) {
  pick_dot_taps<T, kMaxTaps>(g);
}

// Quarters of 16 bytes are added, then their lanes.
template <class T>
FC_INLINE T sum_lanes(const T* x) {
  typedef T Quarter __attribute__((vector_size(16)));
  typedef T Loose __attribute__((vector_size(16), aligned(alignof(T)), may_alias));
  constexpr int n = 16 / static_cast<int>(sizeof(T));
  Quarter v = *reinterpret_cast<const Loose*>(x);
  FC_UNROLL for (int i = n; i < kLanes<T>; i += n) v += *reinterpret_cast<const Loose*>(x + i);
  if constexpr (n == 4) {
    return (v[0] + v[1]) + (v[2] + v[3]);
  } else {
    return v[0] + v[1];
  }
}

template <class T>
void lane_sums(const T* in, ptrdiff_t rows, ptrdiff_t cols, T* out, ptrdiff_t out_row) {
  for (ptrdiff_t i = 0; i < rows; ++i, out += out_row) {
    for (ptrdiff_t j = 0; j < cols; ++j, in += kLanes<T>) out[j] = sum_lanes<T>(in);
  }
}

}  // namespace
}  // namespace fastconv
