// A byte for each lane of a vector: which tap of its window a maximum is. GCC makes conversions
// between vectors of other widths one lane at a time, so they are spelled out here.
#pragma once

#include "lanes.h"

namespace fastconv {
namespace {

// The first n lanes, 0 <= n <= kLanes, as bytes.
template <class T>
FC_INLINE void store_bytes(uint8_t* p, Mask<T> at, int n) {
  constexpr int L = kLanes<T>;
#if defined(__AVX512F__)
  const __m512i lanes = reinterpret_cast<__m512i>(at);
  const __m128i bytes = L == 16 ? _mm512_cvtepi32_epi8(lanes) : _mm512_cvtepi64_epi8(lanes);
  _mm_mask_storeu_epi8(p, static_cast<__mmask16>((1u << n) - 1u), bytes);
#else
  if (n < L) {
    for (int i = 0; i < n; ++i) p[i] = static_cast<uint8_t>(at[i]);
    return;
  }
#if defined(__AVX2__)
  constexpr int W = static_cast<int>(sizeof(T)), half = L / 2;
  const __m256i lanes = reinterpret_cast<__m256i>(at);
  const __m256i first = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, W, 2 * W & 15, 3 * W & 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  const __m256i bytes = _mm256_shuffle_epi8(lanes, first);
  const int low = _mm256_extract_epi32(bytes, 0), high = _mm256_extract_epi32(bytes, 4);
  std::memcpy(p, &low, half);
  std::memcpy(p + half, &high, half);
#else
  for (int i = 0; i < L; ++i) p[i] = static_cast<uint8_t>(at[i]);
#endif
#endif
}

// Where one of n bytes, 0 <= n <= kLanes, is `number`.
template <class T>
FC_INLINE LaneMask<T> bytes_equal(const uint8_t* p, uint8_t number, int n) {
#if defined(__AVX512F__)
  const auto some = static_cast<__mmask16>((1u << n) - 1u);
  const __m128i bytes = n == 16 ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(p))
                                : _mm_maskz_loadu_epi8(some, p);
  const __m128i wanted = _mm_set1_epi8(static_cast<char>(number));
  return static_cast<LaneMask<T>>(_mm_mask_cmpeq_epi8_mask(some, bytes, wanted));
#else
  constexpr int L = kLanes<T>;
  uint8_t part[L] = {};
  if (n < L) {
    for (int i = 0; i < n; ++i) part[i] = p[i];
    p = part;
  }
  Mask<T> lanes;
#if defined(__AVX2__)
  int64_t bytes = 0;
  std::memcpy(&bytes, p, L);
  const __m128i narrow = _mm_cvtsi64_si128(bytes);
  lanes = reinterpret_cast<Mask<T>>(L == 8 ? _mm256_cvtepu8_epi32(narrow)
                                           : _mm256_cvtepu8_epi64(narrow));
#else
  for (int i = 0; i < L; ++i) lanes[i] = p[i];
#endif
  const Mask<T> points = lanes == Mask<T>{} + number;
  return n < L ? points & lanes_between<T>(0, n) : points;
#endif
}

}  // namespace
}  // namespace fastconv
