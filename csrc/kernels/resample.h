// Weighted sums of rows, and of elements along a row.
#pragma once

#include "../kernels.h"
#include "vec.h"

namespace fastconv {
namespace {

// V vectors from j on: the sums of the taps start with a product, so that a single tap of weight
// one keeps its sign of zero.
template <int V, class T>
FC_INLINE void combine_vectors(const T* src, const ptrdiff_t* offsets, const T* weights,
                               ptrdiff_t taps, T* dst) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[V];
  FC_UNROLL for (int v = 0; v < V; ++v) sum[v] = load(src + offsets[0] + v * L) * weights[0];
  for (ptrdiff_t k = 1; k < taps; ++k) {
    const T* s = src + offsets[k];
    FC_UNROLL for (int v = 0; v < V; ++v) sum[v] = fma(load(s + v * L), splat(weights[k]), sum[v]);
  }
  FC_UNROLL for (int v = 0; v < V; ++v) store(dst + v * L, sum[v]);
}

template <class T>
void combine(const T* src, const ptrdiff_t* offsets, const T* weights, ptrdiff_t taps, ptrdiff_t n,
             T* dst) {
  constexpr int L = kLanes<T>;
  if (taps == 0) {
    __builtin_memset(dst, 0, static_cast<size_t>(n) * sizeof(T));
    return;
  }
  ptrdiff_t j = 0;
  for (; j + 4 * L <= n; j += 4 * L) {
    combine_vectors<4>(src + j, offsets, weights, taps, dst + j);
  }
  for (; j + L <= n; j += L) combine_vectors<1>(src + j, offsets, weights, taps, dst + j);
  if (j < n) {
    const int part = static_cast<int>(n - j);
    Vec<T> sum = load_part(src + offsets[0] + j, part) * weights[0];
    for (ptrdiff_t k = 1; k < taps; ++k) {
      sum = fma(load_part(src + offsets[k] + j, part), splat(weights[k]), sum);
    }
    store_part(dst + j, sum, part);
  }
}

// The elements at p + index, lane by lane. Near: index < 2 kLanes, and as much may be read.
template <bool Near, class T>
FC_INLINE Vec<T> pick(const T* p, const Position<T>* index) {
#if defined(__AVX512F__)
  const __m512i at = _mm512_loadu_si512(index);
  if constexpr (sizeof(T) == 4) {
    if constexpr (Near) return _mm512_permutex2var_ps(load(p), at, load(p + 16));
    return _mm512_i32gather_ps(at, p, 4);
  } else {
    if constexpr (Near) return _mm512_permutex2var_pd(load(p), at, load(p + 8));
    return _mm512_i64gather_pd(at, p, 8);
  }
#elif defined(__AVX2__)
  const __m256i at = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(index));
  if constexpr (sizeof(T) == 4) {
    return _mm256_i32gather_ps(p, at, 4);
  } else {
    return _mm256_i64gather_pd(p, at, 8);
  }
#else
  Vec<T> v;
  for (int i = 0; i < kLanes<T>; ++i) v[i] = p[index[i]];
  return v;
#endif
}

template <bool Near, bool Ragged, class T>
FC_INLINE Vec<T> along_group(const T* p, const Position<T>* index, const T* weights, int taps) {
  constexpr int L = kLanes<T>;
  Vec<T> sum{};
  for (int t = 0; t < taps; ++t) {
    const Vec<T> w = load(weights + t * L);
    Vec<T> v = pick<Near>(p, index + t * L);
    if constexpr (Ragged) v = w == 0 ? Vec<T>{} : v;
    sum = t ? fma(v, w, sum) : v * w;
  }
  return sum;
}

template <class T>
void along(const AlongRow<T>& g) {
  constexpr int L = kLanes<T>;
  const RowGroup* group = g.groups;
  for (ptrdiff_t q = 0; q < g.out; q += L, ++group) {
    const T* p = g.src + group->base;
    const Position<T>* index = g.index + group->first * L;
    const T* weights = g.weights + group->first * L;
    Vec<T> v;
    if (group->ragged) {
      v = group->near ? along_group<true, true>(p, index, weights, group->taps)
                      : along_group<false, true>(p, index, weights, group->taps);
    } else {
      v = group->near ? along_group<true, false>(p, index, weights, group->taps)
                      : along_group<false, false>(p, index, weights, group->taps);
    }
    if (q + L <= g.out) {
      store(g.dst + q, v);
    } else {
      store_part(g.dst + q, v, static_cast<int>(g.out - q));
    }
  }
}

template <class T>
constexpr ResampleKernels<T> resample_table() {
  return {kLanes<T>, combine<T>, along<T>};
}

}  // namespace
}  // namespace fastconv
