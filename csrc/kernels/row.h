// Walking along a row of any length, a vector at a time.
#pragma once

#include "lanes.h"
#include "vec.h"

namespace fastconv {
namespace {

// Lanes moved down by H, round the end.
template <int H, class V, int... I>
FC_INLINE V rotated(V v, Ints<I...>) {
  return __builtin_shufflevector(v, v, ((I + H) % static_cast<int>(sizeof...(I)))...);
}

// take(v, w) of all lanes of v, in every lane.
template <int H, class T, class Take>
FC_INLINE Vec<T> folded(Vec<T> v, const Take& take) {
  if constexpr (H == 0) {
    return v;
  } else {
    using Lanes = typename Count<kLanes<T>>::Type;
    return folded<H / 2, T>(take(v, rotated<H>(v, Lanes{})), take);
  }
}

template <class T>
FC_INLINE T total(Vec<T> v) {
  return folded<kLanes<T> / 2, T>(v, [](Vec<T> a, Vec<T> b) FC_LAMBDA { return a + b; })[0];
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

}  // namespace
}  // namespace fastconv
