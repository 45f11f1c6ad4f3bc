// Losses of pairs, one struct each: f(x, t) and its derivative by x.
#pragma once

#include "../kernels.h"
#include "row.h"
#include "vmath.h"

namespace fastconv {
namespace {

template <class T>
struct Squared {
  static FC_INLINE Vec<T> f(Vec<T> x, Vec<T> t, Vec<T>) { return (x - t) * (x - t); }
  static FC_INLINE Vec<T> df(Vec<T> x, Vec<T> t, Vec<T>) { return splat(T(2)) * (x - t); }
};

template <class T>
struct Absolute {
  static FC_INLINE Vec<T> f(Vec<T> x, Vec<T> t, Vec<T>) { return absolute<T>(x - t); }
  static FC_INLINE Vec<T> df(Vec<T> x, Vec<T> t, Vec<T>) {
    const Vec<T> d = x - t;
    return d == 0 ? Vec<T>{} : (d != d ? d : with_sign<T>(splat(T(1)), d));
  }
};

// d^2 / (2 a) up to a, from there on |d| - a / 2.
template <class T>
struct SmoothL1 {
  static FC_INLINE Vec<T> f(Vec<T> x, Vec<T> t, Vec<T> a) {
    const Vec<T> d = absolute<T>(x - t), half = splat(T(0.5));
    return d < a ? half * d * d / a : d - half * a;
  }
  static FC_INLINE Vec<T> df(Vec<T> x, Vec<T> t, Vec<T> a) {
    const Vec<T> d = x - t;
    return at_most<T>(at_least<T>(d, -a), a) / a;
  }
};

// d^2 / 2 up to a, from there on a (|d| - a / 2).
template <class T>
struct Huber {
  static FC_INLINE Vec<T> f(Vec<T> x, Vec<T> t, Vec<T> a) {
    const Vec<T> d = absolute<T>(x - t), half = splat(T(0.5));
    return d < a ? half * d * d : a * (d - half * a);
  }
  static FC_INLINE Vec<T> df(Vec<T> x, Vec<T> t, Vec<T> a) {
    return at_most<T>(at_least<T>(x - t, -a), a);
  }
};

// -(t log x + (1 - t) log(1 - x)), the logarithms not below -100.
template <class T>
struct Bce {
  static FC_INLINE Vec<T> f(Vec<T> x, Vec<T> t, Vec<T>) {
    const Vec<T> one = splat(T(1)), floor = splat(T(-100));
    const Vec<T> yes = at_least<T>(log<T>(x), floor);
    const Vec<T> no = at_least<T>(log1p<T>(-x, one - x), floor);
    return -(t * yes + (one - t) * no);
  }
  static FC_INLINE Vec<T> df(Vec<T> x, Vec<T> t, Vec<T>) {
    return (x - t) / at_least<T>((splat(T(1)) - x) * x, splat(T(1e-12)));
  }
};

// The same of sigmoid(x): (1 - t) x - log(sigmoid(x)).
template <class T>
struct BceLogits {
  static FC_INLINE Vec<T> f(Vec<T> x, Vec<T> t, Vec<T>) {
    const Vec<T> rest = log1p<T>(exp<T>(-absolute<T>(x)));
    return (splat(T(1)) - t) * x - (at_most<T>(x, Vec<T>{}) - rest);
  }
  static FC_INLINE Vec<T> df(Vec<T> x, Vec<T> t, Vec<T>) { return sigmoid<T>(x) - t; }
};

// t (log t - x), nothing where t is zero.
template <class T>
struct KlDiv {
  static FC_INLINE Vec<T> f(Vec<T> x, Vec<T> t, Vec<T>) {
    return (t == 0 ? Vec<T>{} : t * log<T>(t)) - t * x;
  }
  static FC_INLINE Vec<T> df(Vec<T>, Vec<T> t, Vec<T>) { return -t; }
};

// The same of the logarithm of t.
template <class T>
struct KlDivLog {
  static FC_INLINE Vec<T> f(Vec<T> x, Vec<T> t, Vec<T>) { return exp<T>(t) * (t - x); }
  static FC_INLINE Vec<T> df(Vec<T>, Vec<T> t, Vec<T>) { return -exp<T>(t); }
};

// ---- rows: one body for whole vectors and the rest ----

template <class T>
FC_INLINE int lanes_left(ptrdiff_t n) {
  return n <= 0 ? 0 : n < kLanes<T> ? static_cast<int>(n) : kLanes<T>;
}

template <class T, template <class> class Loss>
void loss_each(const T* x, const T* t, T* y, ptrdiff_t n, T a) {
  for (ptrdiff_t i = 0; i < n; i += kLanes<T>) {
    const int lanes = lanes_left<T>(n - i);
    put(y + i, Loss<T>::f(get(x + i, lanes), get(t + i, lanes), splat(a)), lanes);
  }
}

template <class T, template <class> class Loss>
T loss_sum(const T* x, const T* t, ptrdiff_t n, T a) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[2] = {};
  for (ptrdiff_t i = 0; i < n; i += 2 * L) {
    FC_UNROLL for (int v = 0; v < 2; ++v) {
      const ptrdiff_t at = i + v * L;
      const int lanes = lanes_left<T>(n - at);
      const Vec<T> y = Loss<T>::f(get(x + at, lanes), get(t + at, lanes), splat(a));
      if (lanes == L) {
        sum[v] += y;
      } else {
        for (int l = 0; l < lanes; ++l) sum[v][l] += y[l];
      }
    }
  }
  return total<T>(sum[0] + sum[1]);
}

template <class T, template <class> class Loss>
void loss_backward(const T* g, bool each, const T* x, const T* t, T* dx, ptrdiff_t n, T a) {
  const Vec<T> one = splat(each ? T(0) : g[0]);
  for (ptrdiff_t i = 0; i < n; i += kLanes<T>) {
    const int lanes = lanes_left<T>(n - i);
    const Vec<T> gi = each ? get(g + i, lanes) : one;
    put(dx + i, gi * Loss<T>::df(get(x + i, lanes), get(t + i, lanes), splat(a)), lanes);
  }
}

template <class T>
void exp_times(const T* x, const T* s, bool each, T* y, ptrdiff_t n) {
  const Vec<T> one = splat(each ? T(0) : s[0]);
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) FC_LAMBDA {
    put(y + i, exp<T>(get(x + i, lanes)) * (each ? get(s + i, lanes) : one), lanes);
  });
}

template <class T, template <class> class Loss>
constexpr PairKernel<T> pair(const char* name) {
  return {name, loss_each<T, Loss>, loss_sum<T, Loss>, loss_backward<T, Loss>};
}

template <class T>
constexpr LossKernels<T> loss_table() {
  return {
      {pair<T, Squared>("mse_loss"), pair<T, Absolute>("l1_loss"),
       pair<T, SmoothL1>("smooth_l1_loss"), pair<T, Huber>("huber_loss"),
       pair<T, Bce>("binary_cross_entropy"), pair<T, BceLogits>("binary_cross_entropy_with_logits"),
       pair<T, KlDiv>("kl_div"), pair<T, KlDivLog>("kl_div_log")},
      exp_times<T>};
}

}  // namespace
}  // namespace fastconv
