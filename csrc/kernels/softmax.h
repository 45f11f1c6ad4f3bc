// Softmax and its logarithm, over rows and over columns.
#pragma once

#include "row.h"
#include "vmath.h"

namespace fastconv {
namespace {

// NaN wins, as everywhere.
template <class T>
FC_INLINE Vec<T> larger(Vec<T> a, Vec<T> b) {
  const Vec<T> m = a > b ? a : b;
  return a != a ? a : m;  // a NaN stays
}

template <class T>
void softmax_row(const T* x, T* y, ptrdiff_t n, bool logarithm) {
  Vec<T> top = splat(static_cast<T>(-__builtin_huge_val()));
  const Vec<T> least = top;
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    Vec<T> v = least;
    if (lanes == kLanes<T>) {
      v = load(x + i);
    } else {
      for (int j = 0; j < lanes; ++j) v[j] = x[i + j];
    }
    top = larger<T>(top, v);
  });
  T highest = top[0];
  for (int j = 1; j < kLanes<T>; ++j)
    highest = top[j] > highest || top[j] != top[j] ? top[j] : highest;
  Vec<T> sums{};
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    const Vec<T> e = exp<T>(get(x + i, lanes) - splat(highest));
    if (!logarithm) put(y + i, e, lanes);
    sums += first_lanes<T>(e, lanes);
  });
  const T sum = total<T>(sums);
  if (logarithm) {
    T shift;
    if constexpr (sizeof(T) == 4) {
      shift = highest + __builtin_logf(sum);
    } else {
      shift = highest + __builtin_log(sum);
    }
    each_vector<T>(
        n, [&](ptrdiff_t i, int lanes) { put(y + i, get(x + i, lanes) - splat(shift), lanes); });
  } else {
    const T scale = T(1) / sum;
    each_vector<T>(
        n, [&](ptrdiff_t i, int lanes) { put(y + i, get(y + i, lanes) * splat(scale), lanes); });
  }
}

// Softmax: dx = y (g - sum of g y). Its logarithm: dx = g - exp(y) sum of g.
template <class T>
void softmax_backward_row(const T* g, const T* y, T* dx, ptrdiff_t n, bool logarithm) {
  Vec<T> sums{};
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    const Vec<T> gv = get(g + i, lanes);
    sums += logarithm ? gv : gv * get(y + i, lanes);
  });
  const T s = total<T>(sums);
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    const Vec<T> gv = get(g + i, lanes), yv = get(y + i, lanes);
    put(dx + i, logarithm ? gv - exp<T>(yv) * splat(s) : yv * (gv - splat(s)), lanes);
  });
}

template <class T>
FC_INLINE Vec<T> logarithm_of(Vec<T> sum) {
  return log1p<T>(sum - splat(T(1)), sum);
}

// Columns beside each other, lanes of them (at most a vector): d values each, `stride` apart. The
// exponentials wait in scratch, a vector for each value: memory is read once and written once.
template <class T>
FC_INLINE void softmax_lanes(const T* x, T* y, ptrdiff_t d, ptrdiff_t stride, int lanes, T* scratch,
                             bool logarithm) {
  constexpr int L = kLanes<T>;
  Vec<T> top = get(x, lanes);
  store(scratch, top);
  for (ptrdiff_t i = 1; i < d; ++i) {
    const Vec<T> v = get(x + i * stride, lanes);
    top = larger<T>(top, v);
    store(scratch + i * L, v);
  }
  Vec<T> sum{};
  for (ptrdiff_t i = 0; i < d; ++i) {
    const Vec<T> e = exp<T>(load(scratch + i * L) - top);
    if (!logarithm) store(scratch + i * L, e);
    sum += e;
  }
  const Vec<T> change = logarithm ? top + logarithm_of<T>(sum) : splat(T(1)) / sum;
  for (ptrdiff_t i = 0; i < d; ++i) {
    const Vec<T> v = load(scratch + i * L);
    put(y + i * stride, logarithm ? v - change : v * change, lanes);
  }
}

template <class T>
void softmax_columns(const T* x, T* y, ptrdiff_t d, ptrdiff_t stride, ptrdiff_t columns, T* scratch,
                     bool logarithm) {
  each_vector<T>(columns, [&](ptrdiff_t j, int lanes) {
    softmax_lanes<T>(x + j, y + j, d, stride, lanes, scratch, logarithm);
  });
}

template <class T>
void softmax_backward_columns(const T* g, const T* y, T* dx, ptrdiff_t d, ptrdiff_t stride,
                              ptrdiff_t columns, bool logarithm) {
  each_vector<T>(columns, [&](ptrdiff_t j, int lanes) {
    Vec<T> s{};
    for (ptrdiff_t i = 0; i < d; ++i) {
      const Vec<T> gv = get(g + j + i * stride, lanes);
      s += logarithm ? gv : gv * get(y + j + i * stride, lanes);
    }
    for (ptrdiff_t i = 0; i < d; ++i) {
      const ptrdiff_t at = j + i * stride;
      const Vec<T> gv = get(g + at, lanes), yv = get(y + at, lanes);
      put(dx + at, logarithm ? gv - exp<T>(yv) * s : yv * (gv - s), lanes);
    }
  });
}

}  // namespace
}  // namespace fastconv
