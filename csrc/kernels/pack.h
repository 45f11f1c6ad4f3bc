// Moving data into the shape that the register tiles read: panels, padded rows, transposes.
#pragma once

#include "../kernels.h"
#include "vec.h"

namespace fastconv {
namespace {

// A panel of B is two vectors wide on every instruction set.
constexpr int kTileVectors = 2;
template <class T>
constexpr int kTileLanes = kTileVectors * kLanes<T>;

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

// W x W blocks by log2(W) rounds of pairwise interleaving, which every compiler turns into
// shuffles.
template <class T>
FC_INLINE void transpose_square(Vec<T>* v) {
  constexpr int L = kLanes<T>;
  Vec<T> t[L];
  // Perfect shuffle: after log2(L) rounds of zip(v[i], v[i + L/2]) the block is transposed.
  FC_UNROLL for (int round = 1; round < L; round *= 2) {
    FC_UNROLL for (int i = 0; i < L / 2; ++i) {
      const Vec<T> a = v[i], b = v[i + L / 2];
      if constexpr (L == 16) {
        t[2 * i] =
            __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        t[2 * i + 1] = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
                                               14, 30, 15, 31);
      } else if constexpr (L == 8) {
        t[2 * i] = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
        t[2 * i + 1] = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
      } else if constexpr (L == 4) {
        t[2 * i] = __builtin_shufflevector(a, b, 0, 4, 1, 5);
        t[2 * i + 1] = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      } else {
        t[2 * i] = __builtin_shufflevector(a, b, 0, 2);
        t[2 * i + 1] = __builtin_shufflevector(a, b, 1, 3);
      }
    }
    FC_UNROLL for (int i = 0; i < L; ++i) v[i] = t[i];
  }
}

template <class T>
void transpose(const T* in, ptrdiff_t in_row, ptrdiff_t rows, ptrdiff_t cols, T* out,
               ptrdiff_t out_row) {
  constexpr int L = kLanes<T>;
  for (ptrdiff_t r = 0; r < rows; r += L) {
    const int nr = static_cast<int>(rows - r < L ? rows - r : L);
    for (ptrdiff_t c = 0; c < cols; c += L) {
      const int nc = static_cast<int>(cols - c < L ? cols - c : L);
      const T* src = in + r * in_row + c;
      T* dst = out + c * out_row + r;
      Vec<T> v[L];
      if (nr == L && nc == L) {
        FC_UNROLL for (int i = 0; i < L; ++i) v[i] = load(src + i * in_row);
        transpose_square<T>(v);
        FC_UNROLL for (int i = 0; i < L; ++i) store(dst + i * out_row, v[i]);
      } else {
        for (int i = 0; i < nr; ++i) {
          for (int j = 0; j < nc; ++j) dst[j * out_row + i] = src[i * in_row + j];
        }
      }
    }
  }
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
void gather_row(const T* src, ptrdiff_t len, ptrdiff_t first, ptrdiff_t step, ptrdiff_t count,
                T* dst) {
  constexpr int L = kLanes<T>;
  // Indices [lo, hi) of dst have a source.
  ptrdiff_t lo = first < 0 ? (-first + step - 1) / step : 0;
  ptrdiff_t hi = first < len ? (len - first + step - 1) / step : 0;
  if (hi > count) hi = count;
  if (!src || lo >= hi) lo = hi = count;
  for (ptrdiff_t j = 0; j < lo; ++j) dst[j] = T(0);
  for (ptrdiff_t j = hi; j < count; ++j) dst[j] = T(0);
  if (lo >= hi) return;
  const T* s = src + first + lo * step;
  T* d = dst + lo;
  const ptrdiff_t n = hi - lo;
  if (step == 1) {
    copy_run(s, d, n);
    return;
  }
  ptrdiff_t j = 0;
  if (step == 2) {
    // The last vector would read one element past the last that is wanted.
    for (; j + L < n; j += L) store(d + j, evens<T>(load(s + 2 * j), load(s + 2 * j + L)));
  }
  for (; j < n; ++j) d[j] = s[j * step];
}

template <class T>
void finish_row(const T* src, const T* residual, ptrdiff_t count, ptrdiff_t step, T lo, T hi,
                T* dst) {
  constexpr int L = kLanes<T>;
  ptrdiff_t i = 0;
  if (step == 1) {
    for (; i + L <= count; i += L) {
      Vec<T> v = load(src + i);
      if (residual) v += load(residual + i);
      store(dst + i, clamp(v, splat(lo), splat(hi)));
    }
  }
  for (; i < count; ++i) {
    T v = src[i] + (residual ? residual[i * step] : T(0));
    v = v < lo ? lo : v;
    dst[i * step] = v > hi ? hi : v;
  }
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
