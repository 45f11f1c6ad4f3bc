// exp, log, tanh and the normal distribution function on whole vectors. NaN passes, infinities and
// overflow go where libm sends them; errors are a few units in the last place
// (tests/test_vmath.py).
#pragma once

#include "vec.h"

namespace fastconv {
namespace {

template <class To, class From>
FC_INLINE To bits(From v) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &v, sizeof to);
  return to;
}

template <class T, class V>
FC_INLINE V polynomial(V x, const T* c, int n) {  // c[0] x^(n-1) + ... + c[n-1]
  V y = splat(c[0]);
  FC_UNROLL for (int i = 1; i < n; ++i) y = fma(y, x, splat(c[i]));
  return y;
}

template <class V>
FC_INLINE V absolute(V v) {
  return v < 0 ? -v : v;
}

// exp(x) = 2^n exp(r), n the integer nearest to x / log 2, exp(r) by its Taylor polynomial, whose
// remainder on |r| <= log(2) / 2 is below half a unit. 2^n is applied in two halves, so that
// results below the normal range come out right.
template <class T>
FC_INLINE Vec<T> exp(Vec<T> x) {
  using I = Mask<T>;
  if constexpr (sizeof(T) == 4) {
    constexpr float kTaylor[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24,
                                 1.0f / 6,    0.5f,       1.0f,       1.0f};
    constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    x = clamp(x, splat(-104.0f), splat(89.0f));
    const Vec<T> t = fma(x, splat(1.44269504f), splat(kMagic));
    const Vec<T> n = t - splat(kMagic);
    Vec<T> r = fma(n, splat(-0.693359375f), x);
    r = fma(n, splat(2.12194440e-4f), r);
    const Vec<T> p = polynomial<T>(r, kTaylor, 8);
    const I e = bits<I>(t) - bits<I>(splat(kMagic));
    const I half = e >> 1;
    return p * bits<Vec<T>>((half + 127) << 23) * bits<Vec<T>>((e - half + 127) << 23);
  } else {
    constexpr double kTaylor[] = {1.0 / 6227020800,
                                  1.0 / 479001600,
                                  1.0 / 39916800,
                                  1.0 / 3628800,
                                  1.0 / 362880,
                                  1.0 / 40320,
                                  1.0 / 5040,
                                  1.0 / 720,
                                  1.0 / 120,
                                  1.0 / 24,
                                  1.0 / 6,
                                  0.5,
                                  1.0,
                                  1.0};
    constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52
    x = clamp(x, splat(-746.0), splat(710.0));
    const Vec<T> t = fma(x, splat(1.4426950408889634), splat(kMagic));
    const Vec<T> n = t - splat(kMagic);
    Vec<T> r = fma(n, splat(-6.93145751953125e-1), x);
    r = fma(n, splat(-1.42860682030941723212e-6), r);
    const Vec<T> p = polynomial<T>(r, kTaylor, 14);
    const I e = bits<I>(t) - bits<I>(splat(kMagic));
    const I half = e >> 1;
    return p * bits<Vec<T>>((half + 1023) << 52) * bits<Vec<T>>((e - half + 1023) << 52);
  }
}

// log(1 + u) for u >= 0, by libm lane by lane for doubles; for floats log(1 + u) = 2 artanh(u / (2
// + u)) after scaling 1 + u into [sqrt(1/2), sqrt(2)).
template <class T>
FC_INLINE Vec<T> log1p(Vec<T> u) {
  if constexpr (sizeof(T) == 4) {
    using I = Mask<T>;
    // For a large u the one is lost, and rightly so.
    const Vec<T> y = u + splat(1.0f);
    const Vec<T> lost = u - (y - splat(1.0f));
    I e = (bits<I>(y) - bits<I>(splat(0.70710678f))) >> 23;
    const Vec<T> m = bits<Vec<T>>(bits<I>(y) - (e << 23));
    const Vec<T> f = m - splat(1.0f);
    const Vec<T> s = f / (m + splat(1.0f)), z = s * s;
    constexpr float kSeries[] = {2.0f / 9, 2.0f / 7, 2.0f / 5, 2.0f / 3};
    const Vec<T> tail = s * z * polynomial<T>(z, kSeries, 4);
    const Vec<T> n = __builtin_convertvector(e, Vec<T>);
    Vec<T> r = (s + s) + tail + n * splat(0.693147181f) + lost / y;
    const Vec<T> big = splat(3.0e38f);
    return u > big ? u : (u != u ? u : r);
  } else {
    for (int i = 0; i < kLanes<T>; ++i) u[i] = __builtin_log1p(u[i]);
    return u;
  }
}

// tanh(x) by an odd rational function near zero (Cephes), 1 - 2 / (exp(2 x) + 1) elsewhere.
template <class T>
FC_INLINE Vec<T> tanh(Vec<T> x) {
  const Vec<T> a = absolute(x), z = x * x;
  const Vec<T> far = splat(T(1)) - splat(T(2)) / (exp<T>(a + a) + splat(T(1)));
  Vec<T> near;
  if constexpr (sizeof(T) == 4) {
    constexpr float kP[] = {-5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f,
                            1.33314422036e-1f, -3.33332819422e-1f};
    near = fma(polynomial<T>(z, kP, 5) * z, x, x);
  } else {
    constexpr double kP[] = {-9.64399179425052238628e-1, -9.92877231001918586564e1,
                             -1.61468768441708447952e3};
    constexpr double kQ[] = {1.0, 1.12811678491632931402e2, 2.23548839060100448583e3,
                             4.84406305325125486048e3};
    near = fma(x * z, polynomial<T>(z, kP, 3) / polynomial<T>(z, kQ, 4), x);
  }
  const Vec<T> signed_far = x < 0 ? -far : far;
  return a < splat(T(0.625)) ? near : signed_far;
}

template <class T>
FC_INLINE Vec<T> sigmoid(Vec<T> x) {
  return splat(T(1)) / (splat(T(1)) + exp<T>(-x));
}

// The normal distribution function. Floats: erfc by the Chebyshev fit of Numerical Recipes (erfcc,
// relative error 1.2e-7), its argument's square taken with a correction; doubles: libm.
template <class T>
FC_INLINE Vec<T> normal_cdf(Vec<T> x) {
  if constexpr (sizeof(T) == 4) {
    constexpr float kFit[] = {0.17087277f,  -0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f,
                              -0.18628806f, 0.09678418f,  0.37409196f, 1.00002368f,  -1.26551223f};
    const Vec<T> z = absolute(x) * splat(0.70710678f);
    const Vec<T> t = splat(1.0f) / fma(splat(0.5f), z, splat(1.0f));
    const Vec<T> square = z * z;
    const Vec<T> lost = fma(z, z, -square);
    const Vec<T> tail =
        splat(0.5f) * t * exp<T>(polynomial<T>(t, kFit, 10) - square) * (splat(1.0f) - lost);
    const Vec<T> huge = splat(1.0e4f);
    const Vec<T> small = z > huge ? Vec<T>{} : tail;
    return x < 0 ? small : splat(1.0f) - small;
  } else {
    for (int i = 0; i < kLanes<T>; ++i) {
      x[i] = 0.5 * __builtin_erfc(-x[i] * 0.70710678118654752440);
    }
    return x;
  }
}

}  // namespace
}  // namespace fastconv
