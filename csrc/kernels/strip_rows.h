// Rows of an image into a strip: with their padding, and split by column phase.
#pragma once

#include "../kernels.h"
#include "lanes.h"

namespace fastconv {
namespace {

// A vector of a row of the source, and which of its lanes lie in the row.
template <class T>
struct RowVector {
  ptrdiff_t at;
  bool whole;
  LaneMask<T> inside;

  FC_INLINE void set(ptrdiff_t position, ptrdiff_t len) {
    constexpr ptrdiff_t L = kLanes<T>;
    const ptrdiff_t lo = position < 0 ? -position : 0, hi = len - position;
    at = position;
    whole = lo == 0 && hi >= L;
    inside = lanes_between<T>(static_cast<int>(lo < L ? lo : L), static_cast<int>(hi < 0   ? 0
                                                                                  : hi < L ? hi
                                                                                           : L));
  }
  FC_INLINE Vec<T> of(const T* row) const {
    return whole ? load(row + at) : load_lanes(row + at, inside, Vec<T>{});
  }
};

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

constexpr ptrdiff_t kStripVectors = 32;  // of a row, at a time

// use(row of the source, row of the strip) for all rows of all planes.
template <class T, class Use>
FC_INLINE void each_row(const StripRows<T>& s, const Use& use) {
  const ptrdiff_t src_row = s.src_row, dst_row = s.dst_row, rows = s.rows;
  const ptrdiff_t src_plane = s.src_plane, dst_plane = s.dst_plane;
  const T* plane = s.src;
  T* strip = s.dst + s.above * dst_row;
  for (ptrdiff_t p = 0; p < s.planes; ++p, plane += src_plane, strip += dst_plane) {
    const T* src = plane;
    T* dst = strip;
    for (ptrdiff_t r = 0; r < rows; ++r, src += src_row, dst += dst_row) use(src, dst);
  }
}

// Elements [j0, j0 + count) of phase `phase`, every Step-th of the row.
template <class T, int Step>
__attribute__((noinline)) void fill_phase(const StripRows<T>& s, ptrdiff_t phase, ptrdiff_t j0,
                                          ptrdiff_t count) {
  constexpr ptrdiff_t L = kLanes<T>;
  RowVector<T> from[kStripVectors][Step];
  const ptrdiff_t vectors = (count + L - 1) / L;
  for (ptrdiff_t v = 0; v < vectors; ++v) {
    for (int i = 0; i < Step; ++i) {
      from[v][i].set(s.first + phase + (j0 + v * L) * Step + i * L, s.len);
    }
  }
  const ptrdiff_t to = phase * s.dst_phase + j0;
  each_row<T>(s, [&](const T* src, T* dst) FC_LAMBDA {
    for (ptrdiff_t v = 0; v < vectors; ++v) {
      Vec<T> part[Step];
      FC_UNROLL for (int i = 0; i < Step; ++i) part[i] = from[v][i].of(src);
      store_upto(dst + to + v * L, every<Step>(part), count - v * L);
    }
  });
}

// Both phases of step 2 from the same loads.
template <class T>
__attribute__((noinline)) void fill_halves(const StripRows<T>& s, ptrdiff_t j0, ptrdiff_t count) {
  constexpr ptrdiff_t L = kLanes<T>;
  using Lanes = typename Count<L>::Type;
  RowVector<T> from[kStripVectors][2];
  const ptrdiff_t vectors = (count + L - 1) / L, odd = s.dst_phase;
  for (ptrdiff_t v = 0; v < vectors; ++v) {
    from[v][0].set(s.first + (j0 + v * L) * 2, s.len);
    from[v][1].set(s.first + (j0 + v * L) * 2 + L, s.len);
  }
  each_row<T>(s, [&](const T* src, T* dst) FC_LAMBDA {
    dst += j0;
    for (ptrdiff_t v = 0; v < vectors; ++v, dst += L) {
      const Vec<T> a = from[v][0].of(src), b = from[v][1].of(src);
      store_upto(dst, every_other<T, 0>(a, b, Lanes{}), count - v * L);
      store_upto(dst + odd, every_other<T, 1>(a, b, Lanes{}), count - v * L);
    }
  });
}

template <class T>
void fill_scalar(const StripRows<T>& s, ptrdiff_t phase) {
  const ptrdiff_t to = phase * s.dst_phase, first = s.first + phase, step = s.step;
  const ptrdiff_t count = s.count, len = s.len;
  each_row<T>(s, [&](const T* src, T* dst) FC_LAMBDA {
    ptrdiff_t j = 0;
    for (; j < count && first + j * step < 0; ++j) dst[to + j] = T(0);
    for (; j < count && first + j * step < len; ++j) dst[to + j] = src[first + j * step];
    for (; j < count; ++j) dst[to + j] = T(0);
  });
}

template <class T>
FC_INLINE void clear(T* to, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i += kLanes<T>) store_upto(to + i, Vec<T>{}, n - i);
}

template <class T>
void fill_rows(const StripRows<T>& s) {
  constexpr ptrdiff_t kMost = kStripVectors * kLanes<T>;
  const auto wanted = [&](ptrdiff_t f) { return f >= 64 || (s.phases >> f & 1); };
  for (ptrdiff_t f = 0; (s.above || s.below) && f < s.step; ++f) {
    if (!wanted(f)) continue;
    T* to = s.dst + f * s.dst_phase;
    for (ptrdiff_t p = 0; p < s.planes; ++p, to += s.dst_plane) {
      clear(to, s.above * s.dst_row);
      clear(to + (s.above + s.rows) * s.dst_row, s.below * s.dst_row);
    }
  }
  for (ptrdiff_t f = 0; s.step > 4 && f < s.step; ++f) {
    if (wanted(f)) fill_scalar(s, f);
  }
  for (ptrdiff_t j = 0; s.step <= 4 && j < s.count; j += kMost) {
    const ptrdiff_t count = s.count - j < kMost ? s.count - j : kMost;
    if (s.step == 2 && (s.phases & 3) == 3) {
      fill_halves(s, j, count);
      continue;
    }
    for (ptrdiff_t f = 0; f < s.step; ++f) {
      if (!wanted(f)) continue;
      if (s.step == 1) fill_phase<T, 1>(s, f, j, count);
      if (s.step == 2) fill_phase<T, 2>(s, f, j, count);
      if (s.step == 3) fill_phase<T, 3>(s, f, j, count);
      if (s.step == 4) fill_phase<T, 4>(s, f, j, count);
    }
  }
}

}  // namespace
}  // namespace fastconv
