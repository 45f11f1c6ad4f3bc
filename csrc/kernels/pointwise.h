// Elementwise functions and their derivatives, one struct each: f(x) and, beside it, df(x), the
// factor that turns the gradient of the result into that of x. p.a and p.b are the function's
// parameters (a slope, a bound). NaN passes through every f.
#pragma once

#include "../kernels.h"
#include "vec.h"
#include "vmath.h"

namespace fastconv {
namespace {

template <class T>
struct Params {
  Vec<T> a, b;
};

template <class T>
FC_INLINE Vec<T> gelu_inner(Vec<T> x) {
  return splat(T(0.7978845608028654)) * fma(splat(T(0.044715)) * x * x, x, x);
}

// tanh(log(1 + e)) = (e^2 + 2 e) / (e^2 + 2 e + 2) with e = exp(x), kept from overflowing.
template <class T>
FC_INLINE Vec<T> mish_gate(Vec<T> x) {
  const Vec<T> e = exp<T>(clamp(x, splat(T(-1e4)), splat(T(20)))), n = e * (e + splat(T(2)));
  return n / (n + splat(T(2)));
}

template <class T>
struct Relu {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) { return x < 0 ? Vec<T>{} : x; }
  static FC_INLINE Vec<T> df(Vec<T> x, Params<T>) { return x > 0 ? splat(T(1)) : Vec<T>{}; }
};

// Also relu6: [a, b].
template <class T>
struct Hardtanh {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T> p) { return clamp(x, p.a, p.b); }
  static FC_INLINE Vec<T> df(Vec<T> x, Params<T> p) {
    const Vec<T> above = x > p.a ? splat(T(1)) : Vec<T>{};
    return x < p.b ? above : Vec<T>{};
  }
};

template <class T>
struct LeakyRelu {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T> p) { return x > 0 ? x : x * p.a; }
  static FC_INLINE Vec<T> df(Vec<T> x, Params<T> p) { return x > 0 ? splat(T(1)) : p.a; }
};

// b * (x > 0 ? x : a * (exp(x) - 1)): elu with b = 1, selu with its two constants.
template <class T>
struct Elu {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T> p) {
    // exp(x) - 1 loses digits near zero; there tanh(x / 2) gives it: expm1(x) = 2 t / (1 - t).
    const Vec<T> t = tanh<T>(x * splat(T(0.5)));
    const Vec<T> near = (t + t) / (splat(T(1)) - t), far = exp<T>(x) - splat(T(1));
    const Vec<T> m = x > splat(T(-1)) ? near : far;
    return p.b * (x > 0 ? x : p.a * m);
  }
  static FC_INLINE Vec<T> df(Vec<T> x, Params<T> p) {
    return p.b * (x > 0 ? splat(T(1)) : p.a * exp<T>(x));
  }
};

template <class T>
struct Sigmoid {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) { return sigmoid<T>(x); }
  static FC_INLINE Vec<T> df(Vec<T> x, Params<T>) {
    const Vec<T> s = sigmoid<T>(x);
    return s * (splat(T(1)) - s);
  }
};

template <class T>
struct Tanh {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) { return tanh<T>(x); }
  static FC_INLINE Vec<T> df(Vec<T> x, Params<T>) {
    const Vec<T> t = tanh<T>(x);
    return splat(T(1)) - t * t;
  }
};

// The derivative from the output, which a tape keeps instead of the input.
template <class T>
struct SigmoidOutput {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) { return x; }
  static FC_INLINE Vec<T> df(Vec<T> x, Params<T>) { return x * (splat(T(1)) - x); }
};

// Likewise.
template <class T>
struct TanhOutput {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) { return x; }
  static FC_INLINE Vec<T> df(Vec<T> x, Params<T>) { return splat(T(1)) - x * x; }
};

template <class T>
struct Silu {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) {
    const Vec<T> least = splat(static_cast<T>(-__builtin_huge_val()));
    const Vec<T> y = x * sigmoid<T>(x);
    return x == least ? Vec<T>{} : y;  // -inf * 0 would be NaN
  }
  static FC_INLINE Vec<T> df(Vec<T> x, Params<T>) {
    const Vec<T> s = sigmoid<T>(x);
    return s * fma(x, splat(T(1)) - s, splat(T(1)));
  }
};

template <class T>
struct Hardsigmoid {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) {
    return clamp(x + splat(T(3)), Vec<T>{}, splat(T(6))) * splat(T(1) / T(6));
  }
  static FC_INLINE Vec<T> df(Vec<T> x, Params<T>) {
    const Vec<T> slope = x > splat(T(-3)) ? splat(T(1) / T(6)) : Vec<T>{};
    return x < splat(T(3)) ? slope : Vec<T>{};
  }
};

template <class T>
struct Hardswish {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) {
    return x * clamp(x + splat(T(3)), Vec<T>{}, splat(T(6))) * splat(T(1) / T(6));
  }
  static FC_INLINE Vec<T> df(Vec<T> x, Params<T>) {
    const Vec<T> inside = fma(x, splat(T(1) / T(3)), splat(T(0.5)));
    const Vec<T> low = x < splat(T(-3)) ? Vec<T>{} : inside;
    return x > splat(T(3)) ? splat(T(1)) : low;
  }
};

// x times the normal distribution function.
template <class T>
struct Gelu {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) { return x * normal_cdf<T>(x); }
  static FC_INLINE Vec<T> df(Vec<T> x, Params<T>) {
    const Vec<T> density = splat(T(0.3989422804014327)) * exp<T>(x * x * splat(T(-0.5)));
    return fma(x, density, normal_cdf<T>(x));
  }
};

template <class T>
struct GeluTanh {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) {
    return splat(T(0.5)) * x * (splat(T(1)) + tanh<T>(gelu_inner<T>(x)));
  }
  static FC_INLINE Vec<T> df(Vec<T> x, Params<T>) {
    const Vec<T> t = tanh<T>(gelu_inner<T>(x)), half = splat(T(0.5));
    const Vec<T> slope =
        splat(T(0.7978845608028654)) * fma(splat(T(3 * 0.044715)) * x, x, splat(T(1)));
    return half * (splat(T(1)) + t) + half * x * (splat(T(1)) - t * t) * slope;
  }
};

// log(1 + exp(a x)) / a, the line itself where a x > b.
template <class T>
struct Softplus {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T> p) {
    const Vec<T> u = x * p.a, e = exp<T>(-absolute(u));
    const Vec<T> positive = u > 0 ? u : Vec<T>{};
    const Vec<T> y = (positive + log1p<T>(e)) / p.a;
    const Vec<T> line = u > p.b ? x : y;
    return x != x ? x : line;
  }
  static FC_INLINE Vec<T> df(Vec<T> x, Params<T> p) {
    const Vec<T> u = x * p.a;
    return u > p.b ? splat(T(1)) : sigmoid<T>(u);
  }
};

// x tanh(softplus(x)).
template <class T>
struct Mish {
  static FC_INLINE Vec<T> f(Vec<T> x, Params<T>) {
    const Vec<T> least = splat(static_cast<T>(-__builtin_huge_val()));
    const Vec<T> y = x * mish_gate<T>(x);
    return x == least ? Vec<T>{} : y;
  }
  static FC_INLINE Vec<T> df(Vec<T> x, Params<T>) {
    const Vec<T> t = mish_gate<T>(x);
    return t + x * (splat(T(1)) - t * t) * sigmoid<T>(x);
  }
};

template <class T, template <class> class Op>
void forward_row(const T* x, T* y, ptrdiff_t n, T a, T b) {
  constexpr int L = kLanes<T>;
  const Params<T> p{splat(a), splat(b)};
  ptrdiff_t i = 0;
  for (; i + L <= n; i += L) store(y + i, Op<T>::f(load(x + i), p));
  if (i < n) {
    const int part = static_cast<int>(n - i);
    store_part(y + i, Op<T>::f(load_part(x + i, part), p), part);
  }
}

template <class T, template <class> class Op>
void backward_row(const T* g, const T* x, T* dx, ptrdiff_t n, T a, T b) {
  constexpr int L = kLanes<T>;
  const Params<T> p{splat(a), splat(b)};
  ptrdiff_t i = 0;
  for (; i + L <= n; i += L) store(dx + i, load(g + i) * Op<T>::df(load(x + i), p));
  if (i < n) {
    const int part = static_cast<int>(n - i);
    store_part(dx + i, load_part(g + i, part) * Op<T>::df(load_part(x + i, part), p), part);
  }
}

template <class T, template <class> class Op>
constexpr UnaryKernel<T> unary(const char* name) {
  return {name, forward_row<T, Op>, backward_row<T, Op>};
}

template <class T>
constexpr PointwiseKernels<T> pointwise_table() {
  return {{unary<T, Relu>("relu"), unary<T, Hardtanh>("hardtanh"),
           unary<T, LeakyRelu>("leaky_relu"), unary<T, Elu>("elu"), unary<T, Sigmoid>("sigmoid"),
           unary<T, Tanh>("tanh"), unary<T, Silu>("silu"), unary<T, Hardsigmoid>("hardsigmoid"),
           unary<T, Hardswish>("hardswish"), unary<T, Gelu>("gelu"),
           unary<T, GeluTanh>("gelu_tanh"), unary<T, Softplus>("softplus"), unary<T, Mish>("mish"),
           unary<T, SigmoidOutput>("sigmoid_output"), unary<T, TanhOutput>("tanh_output")}};
}

}  // namespace
}  // namespace fastconv
