// Pools of one plane, one window at a time: any geometry, however odd (kernels far larger than the
// input, planes beyond 32-bit positions). The fast paths of pool.cpp hand over what they do not
// cover.
#pragma once

#include <algorithm>
#include <limits>

#include "pool.h"

namespace fastconv {

// The taps [first, last) of a window along one axis that meet indices [0, size); `at` is the index
// of tap 0.
struct Taps {
  int64_t at, first, last;
};

inline Taps taps_within(const PoolWindows& w, int axis, int64_t o, int64_t size) {
  const int64_t d = w.dil[axis], at = o * w.stride[axis] - w.pad_lo[axis];
  const int64_t first = at < 0 ? (-at + d - 1) / d : 0;
  const int64_t last = at < size ? std::min(w.ker[axis], (size - at + d - 1) / d) : 0;
  return {at, first, last};
}

// body(position) for every element that the window (z, p, q) meets, in row-major order.
template <class Body>
void for_each_tap(const PoolWindows& w, int64_t z, int64_t p, int64_t q, const Body& body) {
  const Taps dt = taps_within(w, 0, z, w.in[0]), ht = taps_within(w, 1, p, w.in[1]),
             wt = taps_within(w, 2, q, w.in[2]);
  for (int64_t t = dt.first; t < dt.last; ++t) {
    for (int64_t r = ht.first; r < ht.last; ++r) {
      const int64_t row =
          ((dt.at + t * w.dil[0]) * w.in[1] + ht.at + r * w.dil[1]) * w.in[2] + wt.at;
      for (int64_t s = wt.first; s < wt.last; ++s) body(row + s * w.dil[2]);
    }
  }
}

// body(window, z, p, q) for every window of a plane.
template <class Body>
void for_each_window(const PoolWindows& w, const Body& body) {
  int64_t o = 0;
  for (int64_t z = 0; z < w.out[0]; ++z) {
    for (int64_t p = 0; p < w.out[1]; ++p) {
      for (int64_t q = 0; q < w.out[2]; ++q) body(o++, z, p, q);
    }
  }
}

// What the window's sum is divided by. A window that meets nothing has a divisor too: its sum of
// zero must not become a NaN.
inline int64_t divisor(const PoolWindows& w, const AverageRule& rule, int64_t z, int64_t p,
                       int64_t q) {
  if (rule.divisor != 0) return rule.divisor;
  const int64_t at[3] = {z, p, q};
  int64_t count = 1;
  for (int axis = 0; axis < 3; ++axis) {
    const int64_t size = w.in[axis] + (rule.count_padding ? w.pad_hi[axis] : 0);
    const Taps t = taps_within(w, axis, at[axis], size);
    count *= std::max<int64_t>(t.last - (rule.count_padding ? 0 : t.first), 0);
  }
  return std::max<int64_t>(count, 1);
}

template <class T, class Index>
void plain_max(const PoolWindows& w, const T* x, T* y, Index* index) {
  for_each_window(w, [&](int64_t o, int64_t z, int64_t p, int64_t q) {
    T best = -std::numeric_limits<T>::infinity();
    int64_t where = -1;
    for_each_tap(w, z, p, q, [&](int64_t at) {
      const T v = x[at];
      if (where < 0 || v > best || v != v) {
        best = v;
        where = at;
      }
    });
    y[o] = best;
    if (index) index[o] = static_cast<Index>(where);
  });
}

template <class T>
void plain_average(const PoolWindows& w, const AverageRule& rule, const T* x, T* y) {
  for_each_window(w, [&](int64_t o, int64_t z, int64_t p, int64_t q) {
    double total = 0;
    for_each_tap(w, z, p, q, [&](int64_t at) { total += static_cast<double>(x[at]); });
    y[o] = static_cast<T>(total / static_cast<double>(divisor(w, rule, z, p, q)));
  });
}

template <class T>
void plain_average_backward(const PoolWindows& w, const AverageRule& rule, const T* dy, T* dx) {
  for_each_window(w, [&](int64_t o, int64_t z, int64_t p, int64_t q) {
    const T share = dy[o] / static_cast<T>(divisor(w, rule, z, p, q));
    for_each_tap(w, z, p, q, [&](int64_t at) { dx[at] += share; });
  });
}

}  // namespace fastconv
