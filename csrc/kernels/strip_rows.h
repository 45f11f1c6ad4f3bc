// Rows of an image into a strip: with their padding, and split by column phase.
#pragma once

#include "../kernels.h"
#include "lanes.h"

namespace fastconv {
namespace {

// Lanes of the vector at position `at` of a row of len elements that lie in the row.
template <class T>
FC_INLINE Vec<T> load_inside(const T* row, ptrdiff_t at, ptrdiff_t len) {
  constexpr int L = kLanes<T>;
  if (at >= 0 && at + L <= len) return load(row + at);
  if (at >= len || at + L <= 0) return Vec<T>{};
  const LaneMask<T> inside = lanes_between<T>(static_cast<int>(at < 0 ? -at : 0),
                                              static_cast<int>(len - at < L ? len - at : L));
  return load_lanes(row + at, inside, Vec<T>{});
}

template <class T>
FC_INLINE void store_upto(T* dst, Vec<T> v, ptrdiff_t left) {
  if (left >= kLanes<T>) {
    store(dst, v);
  } else {
    store_part(dst, v, static_cast<int>(left));
  }
}

// The even or odd elements of two vectors, one after the other.
template <class T, int Odd, int... I>
FC_INLINE Vec<T> every_other(Vec<T> a, Vec<T> b, Ints<I...>) {
  return __builtin_shufflevector(a, b, (2 * I + Odd)...);
}

template <class T>
void fill_rows(const StripRows<T>& s) {
  constexpr int L = kLanes<T>;
  using Lanes = typename Count<L>::Type;
  const ptrdiff_t len = s.len, count = s.count, first = s.first;
  const T* src = s.src;
  T* dst = s.dst;
  for (ptrdiff_t r = 0; r < s.rows; ++r, src += s.src_row, dst += s.dst_row) {
    if (s.step == 1) {
      for (ptrdiff_t j = 0; j < count; j += L) {
        store_upto(dst + j, load_inside(src, first + j, len), count - j);
      }
    } else if (s.step == 2) {
      T* const odd = dst + s.dst_phase;
      for (ptrdiff_t j = 0; j < count; j += L) {
        const Vec<T> a = load_inside(src, first + 2 * j, len);
        const Vec<T> b = load_inside(src, first + 2 * j + L, len);
        if (s.phases & 1) store_upto(dst + j, every_other<T, 0>(a, b, Lanes{}), count - j);
        if (s.phases & 2) store_upto(odd + j, every_other<T, 1>(a, b, Lanes{}), count - j);
      }
    } else {
      for (ptrdiff_t f = 0; f < s.step; ++f) {
        if (f < 64 && !(s.phases >> f & 1)) continue;
        T* const to = dst + f * s.dst_phase;
        const ptrdiff_t step = s.step, at = first + f;
        ptrdiff_t j = 0;
        for (; j < count && at + j * step < 0; ++j) to[j] = T(0);
        for (; j < count && at + j * step < len; ++j) to[j] = src[at + j * step];
        for (; j < count; ++j) to[j] = T(0);
      }
    }
  }
}

}  // namespace
}  // namespace fastconv
