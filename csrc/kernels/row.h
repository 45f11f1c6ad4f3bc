// Walking along a row of any length, a vector at a time.
#pragma once

#include "vec.h"

namespace fastconv {
namespace {

template <class T>
FC_INLINE T total(Vec<T> v) {
  T s = 0;
  FC_UNROLL for (int i = 0; i < kLanes<T>; ++i) s += v[i];
  return s;
}

// Calls body(index of the first element, lanes that count) for every vector of a row.
template <class T, class Body>
FC_INLINE void each_vector(ptrdiff_t n, const Body& body) {
  constexpr int L = kLanes<T>;
  ptrdiff_t i = 0;
  for (; i + L <= n; i += L) body(i, L);
  if (i < n) body(i, static_cast<int>(n - i));
}

template <class T>
FC_INLINE Vec<T> get(const T* p, int lanes) {
  return lanes == kLanes<T> ? load(p) : load_part(p, lanes);
}

template <class T>
FC_INLINE void put(T* p, Vec<T> v, int lanes) {
  if (lanes == kLanes<T>) {
    store(p, v);
  } else {
    store_part(p, v, lanes);
  }
}

// Lanes beyond the count, zeroed.
template <class T>
FC_INLINE Vec<T> first_lanes(Vec<T> v, int lanes) {
  if (lanes == kLanes<T>) return v;
  Vec<T> kept{};
  for (int i = 0; i < lanes; ++i) kept[i] = v[i];
  return kept;
}

}  // namespace
}  // namespace fastconv
