// Weighted sums of rows, and of elements along a row; rows woven together and taken apart.
#pragma once

#include "../kernels.h"
#include "row.h"

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

template <class T>
void cells(const T* src, const int64_t* start, const int64_t* offsets, const T* weights,
           ptrdiff_t out, ptrdiff_t n, T* dst) {
  constexpr int L = kLanes<T>;
  for (ptrdiff_t i = 0; i < out; ++i, dst += n) {
    const int64_t k0 = start[i], k1 = start[i + 1];
    for (ptrdiff_t j = 0; j < n; j += L) {
      const ptrdiff_t at = j + L <= n ? j : n - L;  // the last ones again where they are too few
      const T* s = src + at;
      Vec<T> sum{};
      if (k0 < k1) sum = load(s + offsets[k0]) * weights[k0];
      for (int64_t k = k0 + 1; k < k1; ++k) {
        sum = fma(load(s + offsets[k]), splat(weights[k]), sum);
      }
      store(dst + at, sum);
    }
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

// How many of a vector's lanes are left of `rest` elements.
template <class T>
FC_INLINE int lanes_of(ptrdiff_t rest) {
  return rest <= 0 ? 0 : rest < kLanes<T> ? static_cast<int>(rest) : kLanes<T>;
}

template <int S, class T, int... I>
FC_INLINE void put_woven(const Vec<T>* v, T* to, ptrdiff_t rest, Ints<I...>) {
  (put(to + I * kLanes<T>, woven<S, I>(v), lanes_of<T>(rest - I * kLanes<T>)), ...);
}

template <int S, class T>
void weave_rows(const T* const* rows, ptrdiff_t n, T* to) {
  const T* row[S];
  for (int j = 0; j < S; ++j) row[j] = rows[j];
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) FC_LAMBDA {
    Vec<T> v[S];
    FC_UNROLL for (int j = 0; j < S; ++j) v[j] = get(row[j] + i, lanes);
    put_woven<S, T>(v, to + i * S, S * lanes, typename Count<S>::Type{});
  });
}

template <int S, class T>
void unravel_rows(const T* from, ptrdiff_t n, T* const* rows) {
  constexpr int L = kLanes<T>;
  T* row[S];
  for (int j = 0; j < S; ++j) row[j] = rows[j];
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) FC_LAMBDA {
    FC_UNROLL for (int j = 0; j < S; ++j) {
      const ptrdiff_t at = i * S + j;
      Vec<T> v[S];
      FC_UNROLL for (int k = 0; k < S; ++k) {
        v[k] = get(from + at + k * L, lanes_of<T>(n * S - at - k * L));
      }
      put(row[j] + i, every<S>(v), lanes);
    }
  });
}

template <class T>
void weave(int s, const T* const* rows, ptrdiff_t n, T* to) {
  return s == 2   ? weave_rows<2>(rows, n, to)
         : s == 3 ? weave_rows<3>(rows, n, to)
                  : weave_rows<4>(rows, n, to);
}

template <class T>
void unravel(int s, const T* from, ptrdiff_t n, T* const* rows) {
  return s == 2   ? unravel_rows<2>(from, n, rows)
         : s == 3 ? unravel_rows<3>(from, n, rows)
                  : unravel_rows<4>(from, n, rows);
}

template <class T>
constexpr ResampleKernels<T> resample_table() {
  return {kLanes<T>, combine<T>, along<T>, cells<T>, weave<T>, unravel<T>};
}

}  // namespace
}  // namespace fastconv
