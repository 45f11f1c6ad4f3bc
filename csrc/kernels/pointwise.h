// Elementwise functions and their derivatives, one struct each: f(x) and, beside it, df(x), the
// factor that turns the gradient of the result into that of x. a and b are the function's
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

#define FC_UNARY(name) \
  template <class T>   \
  struct name
#define FC_F static FC_INLINE Vec<T> f(Vec<T> x, Params<T> p)
#define FC_DF static FC_INLINE Vec<T> df(Vec<T> x, Params<T> p)

template <class T>
constexpr Vec<T> kZero = Vec<T>{};

FC_UNARY(Relu){FC_F{return (void)p, x < 0 ? kZero<T> : x;
}  // namespace
FC_DF {
  return (void)p, x > 0 ? splat(T(1)) : kZero<T>;
}
};  // namespace fastconv

FC_UNARY(Hardtanh){// also relu6: [a, b]
                   FC_F{return clamp(x, p.a, p.b);
}
FC_DF {
  const Vec<T> one = splat(T(1)), above = x > p.a ? one : kZero<T>;
  return x < p.b ? above : kZero<T>;
}
}
;

FC_UNARY(LeakyRelu){FC_F{return x > 0 ? x : x * p.a;
}
FC_DF {
  return x > 0 ? splat(T(1)) : p.a;
}
}
;

// b * (x > 0 ? x : a * (exp(x) - 1)): elu with b = 1, selu with its two constants.
FC_UNARY(Elu){
    FC_F{// exp(x) - 1 loses digits near zero; there tanh(x / 2) gives it: expm1(x) = 2 t / (1 - t).
         const Vec<T> t = tanh<T>(x * splat(T(0.5)));
const Vec<T> near = (t + t) / (splat(T(1)) - t), far = exp<T>(x) - splat(T(1));
const Vec<T> m = x > splat(T(-1)) ? near : far;
return p.b * (x > 0 ? x : p.a * m);
}
FC_DF {
  return p.b * (x > 0 ? splat(T(1)) : p.a * exp<T>(x));
}
}
;

FC_UNARY(Sigmoid){FC_F{return (void)p, sigmoid<T>(x);
}
FC_DF {
  (void)p;
  const Vec<T> s = sigmoid<T>(x);
  return s * (splat(T(1)) - s);
}
}
;

FC_UNARY(Tanh){FC_F{return (void)p, tanh<T>(x);
}
FC_DF {
  (void)p;
  const Vec<T> t = tanh<T>(x);
  return splat(T(1)) - t * t;
}
}
;

FC_UNARY(Silu){FC_F{(void)p;
const Vec<T> least = splat(static_cast<T>(-__builtin_huge_val()));
const Vec<T> y = x * sigmoid<T>(x);
return x == least ? kZero<T> : y;  // -inf * 0 would be NaN
}
FC_DF {
  (void)p;
  const Vec<T> s = sigmoid<T>(x);
  return s * fma(x, splat(T(1)) - s, splat(T(1)));
}
}
;

FC_UNARY(Hardsigmoid){FC_F{(void)p;
return clamp(x + splat(T(3)), kZero<T>, splat(T(6))) * splat(T(1) / T(6));
}
FC_DF {
  (void)p;
  const Vec<T> slope = x > splat(T(-3)) ? splat(T(1) / T(6)) : kZero<T>;
  return x < splat(T(3)) ? slope : kZero<T>;
}
}
;

FC_UNARY(Hardswish){FC_F{(void)p;
return x * clamp(x + splat(T(3)), kZero<T>, splat(T(6))) * splat(T(1) / T(6));
}
FC_DF {
  (void)p;
  const Vec<T> inside = fma(x, splat(T(1) / T(3)), splat(T(0.5)));
  const Vec<T> low = x < splat(T(-3)) ? kZero<T> : inside;
  return x > splat(T(3)) ? splat(T(1)) : low;
}
}
;

FC_UNARY(Gelu){// x times the normal distribution function
               FC_F{return (void)p, x * normal_cdf<T>(x);
}
FC_DF {
  (void)p;
  const Vec<T> density = splat(T(0.3989422804014327)) * exp<T>(x * x * splat(T(-0.5)));
  return fma(x, density, normal_cdf<T>(x));
}
}
;

FC_UNARY(GeluTanh){static FC_INLINE Vec<T> inner(Vec<T> x){
    return splat(T(0.7978845608028654)) * fma(splat(T(0.044715)) * x * x, x, x);
}
FC_F {
  return (void)p, splat(T(0.5)) * x * (splat(T(1)) + tanh<T>(inner(x)));
}
FC_DF {
  (void)p;
  const Vec<T> t = tanh<T>(inner(x)), half = splat(T(0.5));
  const Vec<T> slope =
      splat(T(0.7978845608028654)) * fma(splat(T(3 * 0.044715)) * x, x, splat(T(1)));
  return half * (splat(T(1)) + t) + half * x * (splat(T(1)) - t * t) * slope;
}
}
;

// log(1 + exp(a x)) / a, the line itself where a x > b.
FC_UNARY(Softplus){FC_F{const Vec<T> u = x * p.a, e = exp<T>(-absolute(u));
const Vec<T> positive = u > 0 ? u : kZero<T>;
const Vec<T> y = (positive + log1p<T>(e)) / p.a;
const Vec<T> line = u > p.b ? x : y;
return x != x ? x : line;
}
FC_DF {
  const Vec<T> u = x * p.a;
  return u > p.b ? splat(T(1)) : sigmoid<T>(u);
}
}
;

FC_UNARY(Mish){
    // x tanh(softplus(x))
    static FC_INLINE Vec<T> gate(Vec<T> x){
        // tanh(log(1 + e)) = (e^2 + 2 e) / (e^2 + 2 e + 2), e = exp(x), kept from overflowing.
        const Vec<T> e = exp<T>(clamp(x, splat(T(-1e4)), splat(T(20)))), n = e * (e + splat(T(2)));
return n / (n + splat(T(2)));
}
FC_F {
  (void)p;
  const Vec<T> least = splat(static_cast<T>(-__builtin_huge_val()));
  const Vec<T> y = x * gate(x);
  return x == least ? kZero<T> : y;
}
FC_DF {
  (void)p;
  const Vec<T> t = gate(x);
  return t + x * (splat(T(1)) - t * t) * sigmoid<T>(x);
}
}
;

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
           unary<T, GeluTanh>("gelu_tanh"), unary<T, Softplus>("softplus"),
           unary<T, Mish>("mish")}};
}

#undef FC_UNARY
#undef FC_F
#undef FC_DF

}  // namespace
}  // namespace fastconv
