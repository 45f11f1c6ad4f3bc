// Vec<T>: one register of the instruction set that this file is compiled for, on the compiler's
// vector extensions, so that one source serves SSE2, AVX2+FMA, AVX-512 and NEON.
//
// Everything under csrc/kernels is compiled once per instruction set and must have internal
// linkage: keep it in the unnamed namespace (a weak symbol compiled for AVX-512 may be picked by
// the linker for a caller that runs anywhere).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>  // masked loads and stores only
#endif

#define FC_INLINE inline __attribute__((always_inline))
#define FC_LAMBDA __attribute__((always_inline))
#define FC_UNROLL _Pragma("GCC unroll 64")

namespace fastconv {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr int kRegisters = 32;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
constexpr int kRegisters = 16;
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16;
constexpr int kRegisters = 32;
#else
constexpr int kVectorBytes = 16;
constexpr int kRegisters = 16;
#endif

template <class T>
struct Register {
  typedef T Type __attribute__((vector_size(kVectorBytes)));
  typedef T Loose __attribute__((vector_size(kVectorBytes), aligned(alignof(T)), may_alias));
};

template <class T>
using Vec = typename Register<T>::Type;

template <class T>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

// The signed integer as wide as T: comparisons of Vec<T> give a Vec of it, all ones where true.
template <class T>
using Mask = decltype(Vec<T>{} < Vec<T>{});

template <class T>
FC_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename Register<T>::Loose*>(p);
}

template <class T>
FC_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename Register<T>::Loose*>(p) = v;
}

// `s - 0` folds to a plain broadcast; `0 + s` would not, because of minus zero.
template <class T>
FC_INLINE Vec<T> splat(T s) {
  return s - Vec<T>{};
}

// Keeps a loaded vector in a register: GCC otherwise folds the load into every FMA that uses it.
template <class V>
FC_INLINE void pin(V& v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#else
  (void)v;
#endif
}

// Makes a value opaque, so that it is neither recomputed nor folded into others.
template <class V>
FC_INLINE void hide(V& v) {
  asm("" : "+r"(v));
}

// The first n lanes, 0 <= n <= kLanes; the rest are zero and their memory is not touched.
template <class T>
FC_INLINE Vec<T> load_part(const T* p, int n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return reinterpret_cast<Vec<T>>(
        _mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << n) - 1u), p));
  } else if constexpr (sizeof(T) == 8) {
    return reinterpret_cast<Vec<T>>(
        _mm512_maskz_loadu_epi64(static_cast<__mmask8>((1u << n) - 1u), p));
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i keep = _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane);
    return reinterpret_cast<Vec<T>>(_mm256_maskload_epi32(reinterpret_cast<const int*>(p), keep));
  } else if constexpr (sizeof(T) == 8) {
    const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
    const __m256i keep = _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), lane);
    return reinterpret_cast<Vec<T>>(
        _mm256_maskload_epi64(reinterpret_cast<const long long*>(p), keep));
  }
#endif
  Vec<T> v{};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}

template <class T>
FC_INLINE void store_part(T* p, Vec<T> v, int n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << n) - 1u),
                             reinterpret_cast<__m512i>(v));
    return;
  } else if constexpr (sizeof(T) == 8) {
    _mm512_mask_storeu_epi64(p, static_cast<__mmask8>((1u << n) - 1u),
                             reinterpret_cast<__m512i>(v));
    return;
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i keep = _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane);
    _mm256_maskstore_epi32(reinterpret_cast<int*>(p), keep, reinterpret_cast<__m256i>(v));
    return;
  } else if constexpr (sizeof(T) == 8) {
    const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
    const __m256i keep = _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), lane);
    _mm256_maskstore_epi64(reinterpret_cast<long long*>(p), keep, reinterpret_cast<__m256i>(v));
    return;
  }
#endif
  for (int i = 0; i < n; ++i) p[i] = v[i];
}

// One rounding where the hardware has FMA: -ffp-contract=fast contracts within the expression.
template <class V>
FC_INLINE V fma(V a, V b, V c) {
  return a * b + c;
}

// A NaN in v survives: both comparisons are false for it.
template <class V>
FC_INLINE V clamp(V v, V lo, V hi) {
  v = v < lo ? lo : v;
  return v > hi ? hi : v;
}

}  // namespace
}  // namespace fastconv
