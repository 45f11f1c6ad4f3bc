// Elementwise functions, one struct each: f(x) and, beside it, dx(g, x), the gradient of x from
// that of the result. p.a and p.b are the function's parameters (a slope, a bound). NaN passes
// through every f. Pieces that are straight lines select their gradient, so that an infinite one
// does not become NaN where nothing passes.
#pragma once

#include "normal.h"
#include "vec.h"
#include "vmath.h"

namespace fastconv {
namespace {

template <class T>
struct Params {
  Vec<T> a, b;
};

// ---- rectifiers ----

template <class T>
struct Relu {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) { return at_least<T>(x, Vec<T>{}); }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T>) { return x <= 0 ? Vec<T>{} : g; }
};

// Also relu6: [a, b].
template <class T>
struct Hardtanh {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T> p) { return at_most<T>(at_least<T>(x, p.a), p.b); }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T> p) {
    const Vec<T> above = x <= p.a ? Vec<T>{} : g;
    return x >= p.b ? Vec<T>{} : above;
  }
};

template <class T>
struct LeakyRelu {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T> p) { return x > 0 ? x : x * p.a; }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T> p) { return x > 0 ? g : g * p.a; }
};

// b * (x > 0 ? x : a * (exp(x) - 1)): elu with b = 1, selu with its two constants.
template <class T>
struct Elu {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T> p) { return p.b * (x > 0 ? x : p.a * expm1<T>(x)); }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T> p) {
    return g * (p.b * (x > 0 ? splat(T(1)) : p.a * exp<T>(x)));
  }
};

template <class T>
struct Celu {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T> p) { return x > 0 ? x : p.a * expm1<T>(x / p.a); }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T> p) {
    return x > 0 ? g : g * exp<T>(x / p.a);
  }
};

// x above a, else b.
template <class T>
struct Threshold {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T> p) { return x <= p.a ? p.b : x; }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T> p) { return x <= p.a ? Vec<T>{} : g; }
};

template <class T>
struct Hardshrink {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T> p) { return dx(x, x, p); }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T> p) {
    return absolute<T>(x) <= p.a ? Vec<T>{} : g;
  }
};

template <class T>
struct Softshrink {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T> p) {
    // Within, a zero of the sign of x.
    return with_sign<T>(at_least<T>(absolute<T>(x) - p.a, Vec<T>{}), x);
  }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T> p) {
    return absolute<T>(x) <= p.a ? Vec<T>{} : g;
  }
};

// ---- sigmoids ----

template <class T>
struct Sigmoid {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) { return sigmoid<T>(x); }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T>) {
    const Vec<T> s = sigmoid<T>(x);
    return g * (s * (splat(T(1)) - s));
  }
};

// The gradient of sigmoid given its output.
template <class T>
struct SigmoidOutput {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) { return x; }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T>) { return g * (x * (splat(T(1)) - x)); }
};

template <class T>
struct Tanh {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) { return tanh<T>(x); }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T>) {
    const Vec<T> t = tanh<T>(x);
    return g * (splat(T(1)) - t * t);
  }
};

template <class T>
struct TanhOutput {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) { return x; }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T>) { return g * (splat(T(1)) - x * x); }
};

template <class T>
struct Tanhshrink {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) { return x - tanh<T>(x); }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T>) {
    const Vec<T> t = tanh<T>(x);
    return g * (t * t);
  }
};

template <class T>
struct Hardsigmoid {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) {
    return at_most<T>(at_least<T>(x + splat(T(3)), Vec<T>{}), splat(T(6))) * splat(T(1) / T(6));
  }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T>) {
    const Vec<T> slope = x > splat(T(-3)) ? g * splat(T(1) / T(6)) : Vec<T>{};
    return x < splat(T(3)) ? slope : Vec<T>{};
  }
};

// log(1 + exp(a x)) / a, the line itself where a x > b.
template <class T>
struct Softplus {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T> p) {
    const Vec<T> u = x * p.a, e = exp<T>(-absolute<T>(u));
    const Vec<T> y = (at_least<T>(u, Vec<T>{}) + log1p<T>(e)) / p.a;
    const Vec<T> line = u > p.b ? x : y;
    return x != x ? x : line;
  }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T> p) {
    const Vec<T> u = x * p.a;
    return u > p.b ? g : g * sigmoid<T>(u);
  }
};

template <class T>
struct Logsigmoid {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) {
    return at_most<T>(x, Vec<T>{}) - log1p<T>(exp<T>(-absolute<T>(x)));
  }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T>) { return g * sigmoid<T>(-x); }
};

template <class T>
struct Softsign {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) { return x / (splat(T(1)) + absolute<T>(x)); }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T>) {
    const Vec<T> d = splat(T(1)) + absolute<T>(x);
    return g / (d * d);
  }
};

// ---- smooth gates ----

template <class T>
struct Silu {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) {
    // Where exp(-x) overflows x is kept finite: infinities would cancel out to NaN.
    const Vec<T> some = at_least<T>(x, splat(-Format<T>::kHighest));
    return some / (splat(T(1)) + exp_of_minus<T>(some));
  }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T>) {
    const Vec<T> s = sigmoid<T>(x);
    return g * (s * fma(x, splat(T(1)) - s, splat(T(1))));
  }
};

template <class T>
struct Hardswish {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T> p) { return x * Hardsigmoid<T>::f(x, p); }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T>) {
    const Vec<T> inside = g * fma(x, splat(T(1) / T(3)), splat(T(0.5)));
    const Vec<T> low = x <= splat(T(-3)) ? Vec<T>{} : inside;
    return x >= splat(T(3)) ? g : low;
  }
};

// x times the normal distribution function.
template <class T>
struct Gelu {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
      const Vec<T> a = absolute<T>(x);
      if (_mm512_cmp_ps_mask(a, splat(kNear), _CMP_NLT_UQ) == 0) [[likely]] {
        return fma(-a, beyond_near(a), at_least<T>(x, Vec<T>{}));
      }
    }
#endif
    const Normal<T> at = normal<T>(x);
    return fma(-at.size, at.beyond, at_least<T>(x, Vec<T>{}));
  }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T>) {
    const Normal<T> at = normal<T>(x);
    const Vec<T> below = x < 0 ? at.beyond : splat(T(1)) - at.beyond;
    const Vec<T> some = x < 0 ? -at.size : at.size;  // finite, for what is left of an infinite bell
    return g * fma(some * splat(T(0.3989422804014327)), at.bell, below);
  }
};

template <class T>
FC_INLINE Vec<T> gelu_inner(Vec<T> x) {
  return splat(T(0.7978845608028654)) * fma(splat(T(0.044715)) * x * x, x, x);
}

template <class T>
struct GeluTanh {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) {
    return splat(T(0.5)) * x * (splat(T(1)) + tanh<T>(gelu_inner<T>(x)));
  }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T>) {
    const Vec<T> t = tanh<T>(gelu_inner<T>(x)), half = splat(T(0.5));
    const Vec<T> slope =
        splat(T(0.7978845608028654)) * fma(splat(T(3 * 0.044715)) * x, x, splat(T(1)));
    return g * (half * (splat(T(1)) + t) + half * x * (splat(T(1)) - t * t) * slope);
  }
};

// tanh(log(1 + e)) = (e^2 + 2 e) / (e^2 + 2 e + 2) with e = exp(x), kept from overflowing.
template <class T>
FC_INLINE Vec<T> mish_gate(Vec<T> x) {
  const Vec<T> e = exp<T>(at_most<T>(x, splat(T(20)))), n = e * (e + splat(T(2)));
  return n / (n + splat(T(2)));
}

// x tanh(softplus(x)).
template <class T>
struct Mish {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) {
    const Vec<T> least = splat(static_cast<T>(-__builtin_huge_val()));
    const Vec<T> y = x * mish_gate<T>(x);
    return x == least ? Vec<T>{} : y;
  }
  static FC_INLINE Vec<T> dx(Vec<T> g, Vec<T> x, Params<T>) {
    const Vec<T> t = mish_gate<T>(x);
    return g * (t + x * (splat(T(1)) - t * t) * sigmoid<T>(x));
  }
};

}  // namespace
}  // namespace fastconv
