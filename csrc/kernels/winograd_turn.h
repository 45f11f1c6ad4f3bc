// Filters of nine taps from memory, lanes side by side. A square transpose would move sixteen
// columns to keep nine; pieces of four are loaded into their place instead, and turned there.
#pragma once

#include "pack.h"
#include "vec.h"

namespace fastconv {
namespace {

#if defined(__SSE2__)
// Elements 4 r to 4 r + 3 of a vector come from p + r * pitch.
FC_INLINE Vec<float> load_quads(const float* p, ptrdiff_t pitch) {
#if defined(__AVX512F__)
  __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(p));
  v = _mm512_insertf32x4(v, _mm_loadu_ps(p + pitch), 1);
  v = _mm512_insertf32x4(v, _mm_loadu_ps(p + 2 * pitch), 2);
  return reinterpret_cast<Vec<float>>(_mm512_insertf32x4(v, _mm_loadu_ps(p + 3 * pitch), 3));
#elif defined(__AVX2__)
  const __m256 v = _mm256_castps128_ps256(_mm_loadu_ps(p));
  return reinterpret_cast<Vec<float>>(_mm256_insertf128_ps(v, _mm_loadu_ps(p + pitch), 1));
#else
  (void)pitch;
  return load(p);
#endif
}

// Every quad of a, b, c, d is a row of a 4 x 4 block: transposes the blocks.
FC_INLINE void turn_quads(Vec<float>* v) {
  typedef double Pairs __attribute__((vector_size(kVectorBytes)));
  Vec<float> t[4];
#if defined(__AVX512F__)
#define FC_LOW 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define FC_HIGH 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define FC_EVEN 0, 8, 2, 10, 4, 12, 6, 14
#define FC_ODD 1, 9, 3, 11, 5, 13, 7, 15
#elif defined(__AVX2__)
#define FC_LOW 0, 8, 1, 9, 4, 12, 5, 13
#define FC_HIGH 2, 10, 3, 11, 6, 14, 7, 15
#define FC_EVEN 0, 4, 2, 6
#define FC_ODD 1, 5, 3, 7
#else
#define FC_LOW 0, 4, 1, 5
#define FC_HIGH 2, 6, 3, 7
#define FC_EVEN 0, 2
#define FC_ODD 1, 3
#endif
  t[0] = __builtin_shufflevector(v[0], v[1], FC_LOW);
  t[1] = __builtin_shufflevector(v[2], v[3], FC_LOW);
  t[2] = __builtin_shufflevector(v[0], v[1], FC_HIGH);
  t[3] = __builtin_shufflevector(v[2], v[3], FC_HIGH);
  FC_UNROLL for (int i = 0; i < 2; ++i) {
    const Pairs a = reinterpret_cast<Pairs>(t[2 * i]), b = reinterpret_cast<Pairs>(t[2 * i + 1]);
    v[2 * i] = reinterpret_cast<Vec<float>>(__builtin_shufflevector(a, b, FC_EVEN));
    v[2 * i + 1] = reinterpret_cast<Vec<float>>(__builtin_shufflevector(a, b, FC_ODD));
  }
#undef FC_LOW
#undef FC_HIGH
#undef FC_EVEN
#undef FC_ODD
}
#endif

// v[j] = column j of `rows` rows of nine elements that are `pitch` apart. Missing rows are zero.
template <class T>
FC_INLINE void load_nine(const T* p, ptrdiff_t pitch, int rows, Vec<T> (&v)[9]) {
  constexpr int L = kLanes<T>;
#if defined(__SSE2__)
  if constexpr (sizeof(T) == 4) {
    if (rows == L) {
      Vec<T> last[4];  // columns 5 to 8: nothing behind the rows is read
      FC_UNROLL for (int r = 0; r < 4; ++r) {
        v[r] = load_quads(p + r * pitch, 4 * pitch);
        v[4 + r] = load_quads(p + r * pitch + 4, 4 * pitch);
        last[r] = load_quads(p + r * pitch + 5, 4 * pitch);
      }
      turn_quads(v);
      turn_quads(v + 4);
      turn_quads(last);
      v[8] = last[3];
      return;
    }
  }
#endif
  FC_UNROLL for (int j = 0; j < 9; j += L) {
    const int cols = 9 - j < L ? 9 - j : L;
    Vec<T> t[L];
    FC_UNROLL for (int l = 0; l < L; ++l) {
      t[l] = l < rows ? load_part(p + l * pitch + j, cols) : Vec<T>{};
    }
    transpose_square<T>(t);
    FC_UNROLL for (int c = 0; c < L; ++c) {
      if (c < cols) v[j + c] = t[c];
    }
  }
}

}  // namespace
}  // namespace fastconv
