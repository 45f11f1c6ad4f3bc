// Lines of small planes, and which of their lanes each tap reads inside the plane.
//
// A vector holds a line: part of an output row or, where rows are narrow, two whole rows. Lanes
// whose tap falls into the padding keep their sum.
#pragma once

#include "../kernels.h"
#include "lanes.h"
#include "vec.h"

namespace fastconv {
namespace {

constexpr int kPlaneCols = 7;      // most taps of a row
constexpr int kPlaneVectors = 16;  // most vectors of an output row
constexpr int kPackedLines = 40;   // most lines of packed rows, with those above and below

// Tiles are larger where there are registers for them.
constexpr bool kManyPlaneRegisters = kRegisters == 32;

// A number as a type: what a lambda is told at compile time.
template <int N>
struct Int {
  static constexpr int value = N;
};

// The lanes whose bits are set.
template <class T>
FC_INLINE LaneMask<T> mask_of_bits(unsigned bits) {
#if defined(__AVX512F__)
  return static_cast<LaneMask<T>>(bits);
#else
  using I = decltype(Mask<T>{}[0] + 0);
  const Mask<T> bit = (Mask<T>{} + I{1}) << iota<T>();
  return (bit & static_cast<I>(bits)) != 0;
#endif
}

// Whether sums can be masked; otherwise what is added is.
#if defined(__AVX512F__)
constexpr bool kMergesLanes = true;
#else
constexpr bool kMergesLanes = false;
#endif

// v as fma_where wants it: zero outside the mask, where sums cannot be masked.
template <class T>
FC_INLINE Vec<T> keep(Vec<T> v, LaneMask<T> mask) {
#if defined(__AVX512F__)
  (void)mask;
  return v;
#else
  return reinterpret_cast<Vec<T>>(reinterpret_cast<Mask<T>>(v) & mask);
#endif
}

// sum + a * b in the lanes of the mask; b has been through keep.
template <class T>
FC_INLINE Vec<T> fma_where(LaneMask<T> mask, Vec<T> a, Vec<T> b, Vec<T> sum) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return _mm512_mask3_fmadd_ps(a, b, sum, mask);
  } else {
    return _mm512_mask3_fmadd_pd(a, b, sum, mask);
  }
#else
  (void)mask;
  return fma(a, b, sum);
#endif
}

// Every second lane of a and b, from lane F on.
template <int F, class V, int... I>
FC_INLINE V every_second(V a, V b, Ints<I...>) {
  return __builtin_shufflevector(a, b, (2 * I + F)...);
}
template <int F, class T>
FC_INLINE Vec<T> every_second(Vec<T> a, Vec<T> b) {
  return every_second<F>(a, b, typename Count<kLanes<T>>::Type{});
}

// The masks of a call: [column tap][vector of the row], or [column tap][line] of packed rows.
template <class T>
struct PlaneMasks {
  LaneMask<T> at[kPlaneCols * kPackedLines];
  ptrdiff_t pitch;
  LaneMask<T> whole[kPlaneCols];  // of packed lines whose rows are all within the plane
};

// Lanes [lo, hi) as bits, whatever lo and hi are.
FC_INLINE unsigned bits_between(ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t lanes) {
  lo = lo < 0 ? 0 : lo > lanes ? lanes : lo;
  hi = hi < lo ? lo : hi > lanes ? lanes : hi;
  return ((1u << hi) - 1u) & ~((1u << lo) - 1u);
}

FC_INLINE ptrdiff_t floor_div(ptrdiff_t a, ptrdiff_t b) {
  return a >= 0 ? a / b : -((b - 1 - a) / b);
}

// Sums of more taps over narrow rows are left to PlaneLanes.
template <class T>
FC_INLINE bool packs_rows(const PlaneSum<T>& g) {
  return g.taps.rows == 3;
}
template <class T>
FC_INLINE bool packs_rows(const PlaneDots<T>&) {
  return true;
}

// Rows that are packed into one vector.
template <class T, template <class> class Work>
int rows_packed(const Work<T>& g) {
  if (!packs_rows(g)) return 1;
  if (g.taps.step > 1 || g.out_cols != g.in_cols) return 1;
  if (g.out_rows + 3 + g.taps.rows > kPackedLines) return 1;
  return g.in_cols * 2 <= kLanes<T> ? 2 : 1;
}

template <class T, class Work>
void row_masks(const Work& g, PlaneMasks<T>* masks) {
  constexpr ptrdiff_t L = kLanes<T>;
  const ptrdiff_t step = g.taps.step;
  masks->pitch = (g.out_cols + L - 1) / L;
  for (ptrdiff_t s = 0; s < g.taps.cols; ++s) {
    // Outputs lo .. hi - 1 read columns of the plane through this tap.
    const ptrdiff_t lo = floor_div(g.taps.left - s + step - 1, step);
    const ptrdiff_t end = floor_div(g.in_cols - 1 + g.taps.left - s, step) + 1;
    const ptrdiff_t hi = end < g.out_cols ? end : g.out_cols;
    for (ptrdiff_t c = 0; c < masks->pitch; ++c) {
      masks->at[s * masks->pitch + c] = mask_of_bits<T>(bits_between(lo - c * L, hi - c * L, L));
    }
  }
}

// Line i of the input holds rows i - top .. of the plane.
template <class T, class Work>
void packed_masks(const Work& g, int rows_packed, PlaneMasks<T>* masks) {
  constexpr ptrdiff_t L = kLanes<T>;
  const ptrdiff_t width = g.in_cols;
  masks->pitch = (g.out_rows + rows_packed - 1) / rows_packed * rows_packed + g.taps.rows - 1;
  for (ptrdiff_t s = 0; s < g.taps.cols; ++s) {
    unsigned cols = 0;
    for (ptrdiff_t p = 0; p < rows_packed; ++p) {
      cols |= bits_between(g.taps.left - s, width + g.taps.left - s, width) << (p * width);
    }
    masks->whole[s] = mask_of_bits<T>(cols);
    for (ptrdiff_t i = 0; i < masks->pitch; ++i) {
      const ptrdiff_t first = (g.taps.top - i) * width;
      const unsigned rows = bits_between(first, first + g.in_rows * width, L);
      masks->at[s * masks->pitch + i] = mask_of_bits<T>(cols & rows);
    }
  }
}

}  // namespace
}  // namespace fastconv
