// Moving data into other shapes and back: transposes, phases woven together, sums.
#pragma once

#include "../kernels.h"
#include "lanes.h"
#include "vec.h"

namespace fastconv {
namespace {

// a[0] b[0] a[1] b[1] ...: 2 * kLanes of them from the vectors a and b.
template <class T>
FC_INLINE void zip(Vec<T> a, Vec<T> b, Vec<T>* lo, Vec<T>* hi) {
  constexpr int L = kLanes<T>;
  if constexpr (L == 16) {
    *lo = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    *hi =
        __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  } else if constexpr (L == 8) {
    *lo = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    *hi = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  } else if constexpr (L == 4) {
    *lo = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    *hi = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  } else {
    *lo = __builtin_shufflevector(a, b, 0, 2);
    *hi = __builtin_shufflevector(a, b, 1, 3);
  }
}

// row(r) is where row r starts.
template <class T, class Row>
FC_INLINE void transpose_any(const Row& row, ptrdiff_t rows, ptrdiff_t cols, T* out,
                             ptrdiff_t out_row) {
  constexpr int L = kLanes<T>;
  for (ptrdiff_t r = 0; r < rows; r += L) {
    const int nr = static_cast<int>(rows - r < L ? rows - r : L);
    for (ptrdiff_t c = 0; c < cols; c += L) {
      const int nc = static_cast<int>(cols - c < L ? cols - c : L);
      T* dst = out + c * out_row + r;
      Vec<T> v[L];
      if (nr == L && nc == L) {
        FC_UNROLL for (int i = 0; i < L; ++i) v[i] = load(row(r + i) + c);
        transpose_square<T>(v);
        FC_UNROLL for (int i = 0; i < L; ++i) store(dst + i * out_row, v[i]);
      } else if (nr * nc * 4 < L * L) {
        for (int i = 0; i < nr; ++i) {
          for (int j = 0; j < nc; ++j) dst[j * out_row + i] = row(r + i)[c + j];
        }
      } else {
        FC_UNROLL for (int i = 0; i < L; ++i) {
          v[i] = i < nr ? load_part(row(r + i) + c, nc) : Vec<T>{};
        }
        transpose_square<T>(v);
        FC_UNROLL for (int i = 0; i < L; ++i) {
          if (i < nc) store_part(dst + i * out_row, v[i], nr);
        }
      }
    }
  }
}

template <class T>
void transpose(const T* in, ptrdiff_t in_row, ptrdiff_t rows, ptrdiff_t cols, T* out,
               ptrdiff_t out_row) {
  transpose_any<T>([=](ptrdiff_t r) { return in + r * in_row; }, rows, cols, out, out_row);
}

template <class T>
void transpose_rows(const T* in, const ptrdiff_t* row_off, ptrdiff_t rows, ptrdiff_t cols, T* out,
                    ptrdiff_t out_row) {
  transpose_any<T>([=](ptrdiff_t r) { return in + row_off[r]; }, rows, cols, out, out_row);
}

// Every other element of 2 * kLanes, starting with the first.
template <class T>
FC_INLINE Vec<T> evens(Vec<T> a, Vec<T> b) {
  constexpr int L = kLanes<T>;
  if constexpr (L == 16) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  } else if constexpr (L == 8) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
  } else if constexpr (L == 4) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6);
  } else {
    return __builtin_shufflevector(a, b, 0, 2);
  }
}

template <class T>
FC_INLINE void settle(const T* residual, T* dst, int part, Vec<T> v, Vec<T> lo, Vec<T> hi) {
  if (part >= kLanes<T>) {
    if (residual) v += load(residual);
    store(dst, clamp(v, lo, hi));
  } else if (part > 0) {
    if (residual) v += load_part(residual, part);
    store_part(dst, clamp(v, lo, hi), part);
  }
}

template <class T>
void spread(const T* src, ptrdiff_t step, const T* residual, ptrdiff_t count, T lo, T hi, T* dst) {
  constexpr int L = kLanes<T>;
  ptrdiff_t i = 0;
  if (step == 1) {
    const Vec<T> low = splat(lo), high = splat(hi);
    for (; i < count; i += L) {
      const int part = static_cast<int>(count - i < L ? count - i : L);
      const Vec<T> v = !src ? Vec<T>{} : part == L ? load(src + i) : load_part(src + i, part);
      settle(residual ? residual + i : nullptr, dst + i, part, v, low, high);
    }
    return;
  }
  const auto each = [=](auto value) FC_LAMBDA {
    for (ptrdiff_t n = 0; n < count; ++n) {
      T v = value(n);
      v = v < lo ? lo : v;
      dst[n * step] = v > hi ? hi : v;
    }
  };
  if (residual) {
    each([=](ptrdiff_t n) FC_LAMBDA { return (src ? src[n] : T(0)) + residual[n * step]; });
  } else {
    each([=](ptrdiff_t n) FC_LAMBDA { return src ? src[n] : T(0); });
  }
}

// The code for parts of vectors stands once, in loops that are not unrolled.
template <class T, int S>
__attribute__((noinline)) void weave_some(const T* const* from, const T* residual, ptrdiff_t count,
                                          T lo, T hi, T* dst) {
  constexpr int L = kLanes<T>;
  const Vec<T> low = splat(lo), high = splat(hi);
  alignas(64) T in[S][L], out[S][L];
  for (ptrdiff_t i = 0, e = 0; i < count; i += S * L, e += L) {
#pragma GCC unroll 1
    for (int f = 0; f < S; ++f) {
      const ptrdiff_t left = (count - i - f + S - 1) / S;
      store(in[f], !from[f] || left <= 0 ? Vec<T>{}
                   : left < L            ? load_part(from[f] + e, static_cast<int>(left))
                                         : load(from[f] + e));
    }
    Vec<T> v[S];
    FC_UNROLL for (int f = 0; f < S; ++f) v[f] = load(in[f]);
    store(out[0], woven<S, 0>(v));
    store(out[1], woven<S, 1>(v));
    if constexpr (S > 2) store(out[2], woven<S, 2>(v));
    if constexpr (S > 3) store(out[3], woven<S, 3>(v));
#pragma GCC unroll 1
    for (int f = 0; f < S; ++f) {
      const ptrdiff_t at = i + f * L, left = count - at;
      settle(residual ? residual + at : nullptr, dst + at,
             static_cast<int>(left < 0   ? 0
                              : left < L ? left
                                         : L),
             load(out[f]), low, high);
    }
  }
}

template <class T>
void weave(const T* const* from, int ways, const T* residual, ptrdiff_t count, T lo, T hi, T* dst) {
  const auto run = ways == 2 ? weave_some<T, 2> : ways == 3 ? weave_some<T, 3> : weave_some<T, 4>;
  run(from, residual, count, lo, hi, dst);
}

// Four vectors of partial sums over stretches of 4096: short enough for the error of a long sum to
// grow with the square root of its length only.
template <class T>
T sum(const T* x, ptrdiff_t n) {
  constexpr int L = kLanes<T>;
  constexpr ptrdiff_t kStretch = 4096;
  T total = 0;
  for (ptrdiff_t at = 0; at < n; at += kStretch) {
    const ptrdiff_t len = n - at < kStretch ? n - at : kStretch;
    const T* s = x + at;
    Vec<T> acc[4] = {};
    ptrdiff_t i = 0;
    for (; i + 4 * L <= len; i += 4 * L) {
      FC_UNROLL for (int v = 0; v < 4; ++v) acc[v] += load(s + i + v * L);
    }
    for (; i + L <= len; i += L) acc[0] += load(s + i);
    if (i < len) acc[1] += load_part(s + i, static_cast<int>(len - i));
    const Vec<T> all = (acc[0] + acc[1]) + (acc[2] + acc[3]);
    T part = 0;
    for (int lane = 0; lane < L; ++lane) part += all[lane];
    total += part;
  }
  return total;
}

}  // namespace
}  // namespace fastconv
