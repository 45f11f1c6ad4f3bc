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
FC_INLINE Vec<T> largest_lane(Vec<T> v) {
  return folded<kLanes<T> / 2, T>(v, [](Vec<T> a, Vec<T> b) FC_LAMBDA { return larger<T>(a, b); });
}

// What the logarithm of a softmax subtracts from x - top, and what a softmax is multiplied by. (The
// largest goes first: added to the logarithm of the sum it would swallow its digits.)
template <class T>
FC_INLINE T change_of(T sum, bool logarithm) {
  if (!logarithm) return T(1) / sum;
  return sizeof(T) == 4 ? __builtin_logf(sum) : static_cast<T>(__builtin_log(sum));
}

// Lanes that are not there hold minus infinity: they are never the largest, and add nothing.
template <class T>
FC_INLINE Vec<T> or_least(const T* p, int lanes) {
  if (lanes == kLanes<T>) return load(p);
  return load_lanes<T>(p, lanes_between<T>(0, lanes), splat(-static_cast<T>(__builtin_inff())));
}

// A row of V vectors, the last one in part, that stays in registers.
template <int V, class T>
FC_INLINE void softmax_short(const T* x, T* y, ptrdiff_t n, bool logarithm) {
  constexpr int L = kLanes<T>;
  const int rest = static_cast<int>(n) - (V - 1) * L;
  Vec<T> v[V], e[V], sum{};
  FC_UNROLL for (int i = 0; i < V; ++i) v[i] = or_least(x + i * L, i < V - 1 ? L : rest);
  Vec<T> top = v[0];
  FC_UNROLL for (int i = 1; i < V; ++i) top = larger<T>(top, v[i]);
  top = largest_lane<T>(top);
  FC_UNROLL for (int i = 0; i < V; ++i) {
    e[i] = exp<T>(v[i] - top);
    sum += e[i];
  }
  const Vec<T> change = splat(change_of(total<T>(sum), logarithm));
  FC_UNROLL for (int i = 0; i < V; ++i) {
    put(y + i * L, logarithm ? (v[i] - top) - change : e[i] * change, i < V - 1 ? L : rest);
  }
}

template <class T>
void softmax_row(const T* x, T* y, ptrdiff_t n, bool logarithm) {
  constexpr int L = kLanes<T>;
  if (n <= L) return softmax_short<1>(x, y, n, logarithm);
  if (n <= 2 * L) return softmax_short<2>(x, y, n, logarithm);
  if (n <= 3 * L) return softmax_short<3>(x, y, n, logarithm);
  if (n <= 4 * L) return softmax_short<4>(x, y, n, logarithm);
  Vec<T> top = splat(-static_cast<T>(__builtin_inff()));
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) { top = larger<T>(top, or_least(x + i, lanes)); });
  top = largest_lane<T>(top);
  Vec<T> sum{};
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    const Vec<T> e = exp<T>(or_least(x + i, lanes) - top);
    if (!logarithm) put(y + i, e, lanes);
    sum += e;
  });
  const Vec<T> change = splat(change_of(total<T>(sum), logarithm));
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    put(y + i, logarithm ? (get(x + i, lanes) - top) - change : get(y + i, lanes) * change, lanes);
  });
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
template <int V, class T>
FC_INLINE void softmax_lanes(const T* x, T* y, ptrdiff_t d, ptrdiff_t stride, int lanes, T* scratch,
                             bool logarithm) {
  constexpr int L = kLanes<T>;
  Vec<T> top[V], sum[V] = {}, change[V];
  FC_UNROLL for (int v = 0; v < V; ++v) {
    top[v] = get(x + v * L, lanes);
    store(scratch + v * L, top[v]);
  }
  for (ptrdiff_t i = 1; i < d; ++i) {
    FC_UNROLL for (int k = 0; k < V; ++k) {
      const Vec<T> v = get(x + i * stride + k * L, lanes);
      top[k] = larger<T>(top[k], v);
      store(scratch + (i * V + k) * L, v);
    }
  }
  for (ptrdiff_t i = 0; i < d; ++i) {
    FC_UNROLL for (int v = 0; v < V; ++v) {
      T* at = scratch + (i * V + v) * L;
      const Vec<T> e = exp<T>(load(at) - top[v]);
      if (!logarithm) store(at, e);
      sum[v] += e;
    }
  }
  FC_UNROLL for (int v = 0; v < V; ++v) {
    change[v] = logarithm ? logarithm_of<T>(sum[v]) : splat(T(1)) / sum[v];
  }
  for (ptrdiff_t i = 0; i < d; ++i) {
    FC_UNROLL for (int k = 0; k < V; ++k) {
      const Vec<T> v = load(scratch + (i * V + k) * L);
      put(y + i * stride + k * L, logarithm ? (v - top[k]) - change[k] : v * change[k], lanes);
    }
  }
}

template <class T>
void softmax_columns(const T* x, T* y, ptrdiff_t d, ptrdiff_t stride, ptrdiff_t columns, T* scratch,
                     bool logarithm) {
  constexpr int L = kLanes<T>;
  ptrdiff_t j = 0;
  for (; j + 2 * L <= columns; j += 2 * L) {
    softmax_lanes<2>(x + j, y + j, d, stride, L, scratch, logarithm);
  }
  each_vector<T>(columns - j, [&](ptrdiff_t i, int lanes) {
    softmax_lanes<1>(x + j + i, y + j + i, d, stride, lanes, scratch, logarithm);
  });
}

// V vectors of columns, `columns` in all: a step down a column is far in memory, so that much is
// read at each.
template <int V, class T>
__attribute__((noinline)) void softmax_backward_lanes(const T* g, const T* y, T* dx, ptrdiff_t d,
                                                      ptrdiff_t stride, ptrdiff_t columns,
                                                      bool logarithm) {
  constexpr int L = kLanes<T>;
  int lanes[V];
  FC_UNROLL for (int v = 0; v < V; ++v) {
    const ptrdiff_t left = columns - v * L;
    lanes[v] = left <= 0 ? 0 : left < L ? static_cast<int>(left) : L;
  }
  Vec<T> s[V] = {};
  for (ptrdiff_t i = 0; i < d; ++i) {
    FC_UNROLL for (int v = 0; v < V; ++v) {
      const Vec<T> gv = get(g + i * stride + v * L, lanes[v]);
      s[v] += logarithm ? gv : gv * get(y + i * stride + v * L, lanes[v]);
    }
  }
  for (ptrdiff_t i = 0; i < d; ++i) {
    FC_UNROLL for (int v = 0; v < V; ++v) {
      const ptrdiff_t at = i * stride + v * L;
      const Vec<T> gv = get(g + at, lanes[v]), yv = get(y + at, lanes[v]);
      put(dx + at, logarithm ? gv - exp<T>(yv) * s[v] : yv * (gv - s[v]), lanes[v]);
    }
  }
}

template <class T>
void softmax_backward_columns(const T* g, const T* y, T* dx, ptrdiff_t d, ptrdiff_t stride,
                              ptrdiff_t columns, bool logarithm) {
  constexpr int L = kLanes<T>;
  for (ptrdiff_t j = 0; j < columns; j += 4 * L) {
    const ptrdiff_t some = columns - j < 4 * L ? columns - j : 4 * L;
    const auto run = some > L ? softmax_backward_lanes<4, T> : softmax_backward_lanes<1, T>;
    run(g + j, y + j, dx + j, d, stride, some, logarithm);
  }
}

}  // namespace
}  // namespace fastconv
