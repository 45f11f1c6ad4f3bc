// Rows under the normalisations, the softmax and the losses: sums, affine maps, in one pass each.
#pragma once

#include "../kernels.h"
#include "vec.h"
#include "vmath.h"

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

// Long sums are cut into stretches, each summed into four vectors, so that the error grows slowly.
constexpr ptrdiff_t kStretch = 4096;

// sum of (x - mean)^2
template <class T>
T squares(const T* x, ptrdiff_t n, T mean) {
  constexpr int L = kLanes<T>;
  T all = 0;
  for (ptrdiff_t at = 0; at < n; at += kStretch) {
    const ptrdiff_t len = n - at < kStretch ? n - at : kStretch;
    const T* s = x + at;
    Vec<T> acc[4] = {};
    ptrdiff_t i = 0;
    for (; i + 4 * L <= len; i += 4 * L) {
      FC_UNROLL for (int v = 0; v < 4; ++v) {
        const Vec<T> d = load(s + i + v * L) - splat(mean);
        acc[v] = fma(d, d, acc[v]);
      }
    }
    for (; i + L <= len; i += L) {
      const Vec<T> d = load(s + i) - splat(mean);
      acc[0] = fma(d, d, acc[0]);
    }
    T rest = 0;
    for (; i < len; ++i) rest += (s[i] - mean) * (s[i] - mean);
    all += total<T>((acc[0] + acc[1]) + (acc[2] + acc[3])) + rest;
  }
  return all;
}

// out[0] = sum of g, out[1] = sum of g * (x - mean)
template <class T>
void dots(const T* g, const T* x, ptrdiff_t n, T mean, T* out) {
  constexpr int L = kLanes<T>;
  T sum_g = 0, sum_gx = 0;
  for (ptrdiff_t at = 0; at < n; at += kStretch) {
    const ptrdiff_t len = n - at < kStretch ? n - at : kStretch;
    const T *gs = g + at, *xs = x + at;
    Vec<T> a[2] = {}, b[2] = {};
    ptrdiff_t i = 0;
    for (; i + 2 * L <= len; i += 2 * L) {
      FC_UNROLL for (int v = 0; v < 2; ++v) {
        const Vec<T> gv = load(gs + i + v * L);
        a[v] += gv;
        b[v] = fma(gv, load(xs + i + v * L) - splat(mean), b[v]);
      }
    }
    T rest_a = 0, rest_b = 0;
    for (; i < len; ++i) {
      rest_a += gs[i];
      rest_b += gs[i] * (xs[i] - mean);
    }
    sum_g += total<T>(a[0] + a[1]) + rest_a;
    sum_gx += total<T>(b[0] + b[1]) + rest_b;
  }
  out[0] = sum_g;
  out[1] = sum_gx;
}

// y = clamp(x * scale + shift + residual)
template <class T>
void affine(const T* x, const T* residual, T* y, ptrdiff_t n, T scale, T shift, T lo, T hi) {
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    Vec<T> v = fma(get(x + i, lanes), splat(scale), splat(shift));
    if (residual) v += get(residual + i, lanes);
    put(y + i, clamp(v, splat(lo), splat(hi)), lanes);
  });
}

// dx = a * g + b * x + c
template <class T>
void affine2(const T* g, const T* x, T* dx, ptrdiff_t n, T a, T b, T c) {
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    const Vec<T> v = fma(get(x + i, lanes), splat(b), splat(c));
    put(dx + i, fma(get(g + i, lanes), splat(a), v), lanes);
  });
}

// y = (x - mean) * rstd * w + b, elementwise w and b (or null)
template <class T>
void normalize(const T* x, const T* w, const T* b, T* y, ptrdiff_t n, T mean, T rstd) {
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    Vec<T> v = (get(x + i, lanes) - splat(mean)) * splat(rstd);
    if (w) v *= get(w + i, lanes);
    if (b) v += get(b + i, lanes);
    put(y + i, v, lanes);
  });
}

// dx = rstd * (g w - m1 - xhat m2), m1 and m2 the means of g w and g w xhat; and onto the running
// sums dw += g xhat, db += g (any of dx, dw, db may be null).
template <class T>
void normalize_backward(const T* g, const T* x, const T* w, T* dx, T* dw, T* db, ptrdiff_t n,
                        T mean, T rstd) {
  Vec<T> s1{}, s2{};
  if (dx) {
    each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
      Vec<T> gw = get(g + i, lanes);
      if (w) gw *= get(w + i, lanes);
      const Vec<T> xhat = (get(x + i, lanes) - splat(mean)) * splat(rstd);
      s1 += gw;
      s2 = fma(gw, first_lanes<T>(xhat, lanes), s2);
    });
  }
  const T m1 = total<T>(s1) / static_cast<T>(n), m2 = total<T>(s2) / static_cast<T>(n);
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    const Vec<T> gv = get(g + i, lanes);
    const Vec<T> xhat = (get(x + i, lanes) - splat(mean)) * splat(rstd);
    if (dw) put(dw + i, fma(gv, xhat, get(dw + i, lanes)), lanes);
    if (db) put(db + i, get(db + i, lanes) + gv, lanes);
    if (dx) {
      const Vec<T> gw = w ? gv * get(w + i, lanes) : gv;
      put(dx + i, splat(rstd) * (gw - splat(m1) - xhat * splat(m2)), lanes);
    }
  });
}

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
constexpr NormKernels<T> norm_table() {
  return {squares<T>,     dots<T>,
          affine<T>,      affine2<T>,
          normalize<T>,   normalize_backward<T>,
          softmax_row<T>, softmax_backward_row<T>};
}

}  // namespace
}  // namespace fastconv
