// Dot products along rows of pixels: the weight gradient of few channels, where neither output
// channels nor kernel positions fill the lanes of a register tile.
#pragma once

#include "../kernels.h"
#include "gemm.h"
#include "pack.h"
#include "vec.h"

namespace fastconv {
namespace {

// Each vector of a and of b is loaded once for a whole tile of sums: 5 x 5 or 3 x 3.
// Doubles make do with the small one everywhere: the code is not small.
template <class T>
constexpr int kDotTile = kRegisters == 32 && sizeof(T) == 4 ? 5 : 3;

template <class T, int R, int C, class Load>
FC_INLINE void dot_step(const RowsOfA<T, R>& a, const T* b, const ptrdiff_t (&b_off)[C],
                        const Load& ld, Vec<T> (&acc)[R][C]) {
  Vec<T> av[R];
  FC_UNROLL for (int i = 0; i < R; ++i) {
    av[i] = ld(a.at(i, 0));
    pin(av[i]);
  }
  FC_UNROLL for (int j = 0; j < C; ++j) {
    Vec<T> bv = ld(b + b_off[j]);
    if constexpr (R * C + R + 2 < kRegisters) pin(bv);
    FC_UNROLL for (int i = 0; i < R; ++i) acc[i][j] = fma(av[i], bv, acc[i][j]);
  }
}

template <class T, int R, int C>
__attribute__((noinline)) void dot_tile(const DotBlock<T>& d, ptrdiff_t row, ptrdiff_t col) {
  constexpr int L = kLanes<T>;
  Vec<T> acc[R][C];
  T* const sums = d.sums + (row * d.cols + col) * L;
  FC_UNROLL for (int i = 0; i < R; ++i) {
    FC_UNROLL for (int j = 0; j < C; ++j) acc[i][j] = load(sums + (i * d.cols + j) * L);
  }
  ptrdiff_t b_off[C];
  FC_UNROLL for (int j = 0; j < C; ++j) b_off[j] = d.b_off[col + j];
  RowsOfA<T, R> rows(d.a, d.a_row);
  const ptrdiff_t width = d.width;
  const int rest = static_cast<int>(width % L);
  for (ptrdiff_t s = 0; s < d.segments; ++s) {
    const T* a = d.a + row * d.a_row + d.a_seg[s];
    const T* b = d.b + d.b_seg[s];
    const T* const end = b + (width - rest);
    for (; b < end; a += L, b += L) {
      rows.move_to(a);
      const auto whole = [](const T* p) FC_LAMBDA { return load(p); };
      dot_step<T, R, C>(rows, b, b_off, whole, acc);
    }
    if (rest) {
      rows.move_to(a);
      const auto part = [rest](const T* p) FC_LAMBDA { return load_part(p, rest); };
      dot_step<T, R, C>(rows, b, b_off, part, acc);
    }
  }
  FC_UNROLL for (int i = 0; i < R; ++i) {
    FC_UNROLL for (int j = 0; j < C; ++j) store(sums + (i * d.cols + j) * L, acc[i][j]);
  }
}

template <class T>
using DotFn = void (*)(const DotBlock<T>&, ptrdiff_t, ptrdiff_t);

template <class T, int R, int C>
FC_INLINE DotFn<T> pick_dot(ptrdiff_t rows, ptrdiff_t cols) {
  if constexpr (R > 1) {
    if (rows < R) return pick_dot<T, R - 1, C>(rows, cols);
  }
  if constexpr (C > 1) {
    if (cols < C) return pick_dot<T, R, C - 1>(rows, cols);
  }
  return dot_tile<T, R, C>;
}

template <class T>
void dot(const DotBlock<T>& d) {
  const ptrdiff_t row_groups = (d.rows + kDotTile<T> - 1) / kDotTile<T>;
  const ptrdiff_t col_groups = (d.cols + kDotTile<T> - 1) / kDotTile<T>;
  for (ptrdiff_t j = 0; j < col_groups; ++j) {
    const ptrdiff_t c0 = d.cols * j / col_groups, c1 = d.cols * (j + 1) / col_groups;
    for (ptrdiff_t i = 0; i < row_groups; ++i) {
      const ptrdiff_t r0 = d.rows * i / row_groups, r1 = d.rows * (i + 1) / row_groups;
      pick_dot<T, kDotTile<T>, kDotTile<T>>(r1 - r0, c1 - c0)(d, r0, c0);
    }
  }
}

template <class T>
void fold(const T* sums, ptrdiff_t count, T* out) {
  constexpr int L = kLanes<T>;
  ptrdiff_t i = 0;
  for (; i + L <= count; i += L, sums += L * L) {
    Vec<T> v[L];
    FC_UNROLL for (int j = 0; j < L; ++j) v[j] = load(sums + j * L);
    transpose_square<T>(v);
    FC_UNROLL for (int half = L / 2; half > 0; half /= 2) {
      FC_UNROLL for (int j = 0; j < half; ++j) v[j] += v[j + half];
    }
    store(out + i, load(out + i) + v[0]);
  }
  for (; i < count; ++i, sums += L) {
    T t[L];
    for (int j = 0; j < L; ++j) t[j] = sums[j];
    for (int half = L / 2; half > 0; half /= 2) {
      for (int j = 0; j < half; ++j) t[j] += t[j + half];
    }
    out[i] += t[0];
  }
}

}  // namespace
}  // namespace fastconv
