// exp, log1p and tanh on whole vectors. NaN passes, infinities and overflow go where libm sends
// them; errors are a few units in the last place (tests/test_vmath.py).
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

// max(v, lo) and min(v, hi), one instruction each; a NaN in v survives. (With mask registers GCC
// makes two of a comparison.)
template <class T>
FC_INLINE Vec<T> at_least(Vec<T> v, Vec<T> lo) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return _mm512_max_ps(lo, v);
  } else {
    return _mm512_max_pd(lo, v);
  }
#else
  return v < lo ? lo : v;
#endif
}

template <class T>
FC_INLINE Vec<T> at_most(Vec<T> v, Vec<T> hi) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return _mm512_min_ps(hi, v);
  } else {
    return _mm512_min_pd(hi, v);
  }
#else
  return v > hi ? hi : v;
#endif
}

// The sign bit alone, and all others.
template <class T>
FC_INLINE Mask<T> sign_bit() {
  return bits<Mask<T>>(splat(T(-0.0)));
}

template <class T>
FC_INLINE Vec<T> absolute(Vec<T> v) {
  return bits<Vec<T>>(bits<Mask<T>>(v) & ~sign_bit<T>());
}

// size >= 0, with the sign of v.
template <class T>
FC_INLINE Vec<T> with_sign(Vec<T> size, Vec<T> v) {
  return bits<Vec<T>>(bits<Mask<T>>(size) | (bits<Mask<T>>(v) & sign_bit<T>()));
}

// How a float type is laid out, and what exp needs of it.
template <class T>
struct Format;

template <>
struct Format<float> {
  static constexpr int kMantissa = 23, kBias = 127;
  static constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  static constexpr float kLowest = -104.0f, kHighest = 89.0f;
  static constexpr float kLog2High = 0.693359375f, kLog2Low = -2.12194440e-4f;
  // Chebyshev fits of exp on +-log(2) / 2, relative error 3e-9 and, below, 4e-18.
  static constexpr float kExp[] = {
      1.39485928e-3f, 8.37513727e-3f, 4.16662181e-2f, 1.66664154e-1f, 5.00000011e-1f, 1.0f, 1.0f};
};

template <>
struct Format<double> {
  static constexpr int kMantissa = 52, kBias = 1023;
  static constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double kLowest = -746.0, kHighest = 710.0;
  static constexpr double kLog2High = 6.93145751953125e-1, kLog2Low = 1.42860682030941723212e-6;
  static constexpr double kExp[] = {2.5114882786996687e-08,
                                    2.7632655759332031e-07,
                                    2.7557224918368869e-06,
                                    2.4801485438447379e-05,
                                    1.9841269909260645e-04,
                                    1.3888888952356135e-03,
                                    8.3333333333095068e-03,
                                    4.1666666666487939e-02,
                                    1.6666666666666702e-01,
                                    5.0000000000000189e-01,
                                    1.0,
                                    1.0};
};

template <class C, size_t N>
constexpr int count_of(const C (&)[N]) {
  return static_cast<int>(N);
}

// p * 2^n for whole n, below the normal range and beyond the largest number too; t is kMagic + n.
template <class T>
FC_INLINE Vec<T> times_power(Vec<T> p, Vec<T> n, Vec<T> t) {
#if defined(__AVX512F__)
  (void)t;
  if constexpr (sizeof(T) == 4) {
    return _mm512_scalef_ps(p, n);
  } else {
    return _mm512_scalef_pd(p, n);
  }
#else
  using F = Format<T>;
  (void)n;
  const Mask<T> e = bits<Mask<T>>(t) - bits<Mask<T>>(splat(F::kMagic)), half = e >> 1;
  return p * bits<Vec<T>>((half + F::kBias) << F::kMantissa) *
         bits<Vec<T>>((e - half + F::kBias) << F::kMantissa);
#endif
}

// x = n log 2 + r with the whole n nearest to x / log 2; t is kMagic + n.
template <class T>
struct Reduced {
  Vec<T> n, t, r;
};

// For kLowest <= x <= kHighest.
template <class T>
FC_INLINE Reduced<T> reduce(Vec<T> x) {
  using F = Format<T>;
  const Vec<T> t = fma(x, splat(T(1.4426950408889634)), splat(F::kMagic));
  const Vec<T> n = t - splat(F::kMagic);
  return {n, t, fma(n, splat(-F::kLog2Low), fma(n, splat(-F::kLog2High), x))};
}

template <class T>
FC_INLINE Vec<T> exp(const Reduced<T>& x) {
  using F = Format<T>;
  return times_power<T>(polynomial<T>(x.r, F::kExp, count_of(F::kExp)), x.n, x.t);
}

// x where exp neither vanishes nor overflows.
template <class T>
FC_INLINE Vec<T> within_range(Vec<T> x) {
  return at_most<T>(at_least<T>(x, splat(Format<T>::kLowest)), splat(Format<T>::kHighest));
}

// What vanishes is not computed: results below the normal range take the processor a hundred
// cycles, and minus infinity is common where values are masked out.
template <class T>
FC_INLINE Vec<T> exp(Vec<T> x) {
  const Vec<T> lowest = splat(Format<T>::kLowest);
  const Vec<T> some = at_most<T>(x < lowest ? Vec<T>{} : x, splat(Format<T>::kHighest));
  const Vec<T> y = exp<T>(reduce<T>(some));
  return x < lowest ? Vec<T>{} : y;
}

// exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1): no digits are lost near zero, where n is.
template <class T>
FC_INLINE Vec<T> expm1(const Reduced<T>& v) {
  using F = Format<T>;
  const Vec<T> one = splat(T(1));
  const Vec<T> power = times_power<T>(one, v.n, v.t);
  const Vec<T> small = v.r * polynomial<T>(v.r, F::kExp, count_of(F::kExp) - 1);
  return fma(power, small, power - one);
}

template <class T>
FC_INLINE Vec<T> expm1(Vec<T> x) {
  return expm1<T>(reduce<T>(within_range<T>(x)));
}

// log(1 + u) for u >= -1, y being 1 + u as rounded: y = 2^e m with m in [sqrt(1/2), sqrt(2)), and
// log m = 2 artanh(s) with s = (m - 1) / (m + 1).
template <class T>
FC_INLINE Vec<T> log1p(Vec<T> u, Vec<T> y) {
  using I = Mask<T>;
  using F = Format<T>;
  const Vec<T> one = splat(T(1));
  const Vec<T> lost = u - (y - one);  // for a large u the one is lost, and rightly so
  const auto root = bits<I>(splat(T(0.70710678118654752)));
  const I e = (bits<I>(y) - root) >> F::kMantissa;
  const Vec<T> m = bits<Vec<T>>(bits<I>(y) - (e << F::kMantissa));
  const Vec<T> s = (m - one) / (m + one), z = s * s;
  Vec<T> tail;
  if constexpr (sizeof(T) == 4) {
    constexpr float kSeries[] = {2.0f / 9, 2.0f / 7, 2.0f / 5, 2.0f / 3};
    tail = polynomial<T>(z, kSeries, 4);
  } else {
    constexpr double kSeries[] = {2.0 / 21, 2.0 / 19, 2.0 / 17, 2.0 / 15, 2.0 / 13,
                                  2.0 / 11, 2.0 / 9,  2.0 / 7,  2.0 / 5,  2.0 / 3};
    tail = polynomial<T>(z, kSeries, 10);
  }
  const Vec<T> n = __builtin_convertvector(e, Vec<T>);
  const Vec<T> r = (s + s) + s * z * tail + n * splat(T(0.69314718055994531)) + lost / y;
  const Vec<T> big = splat(static_cast<T>(sizeof(T) == 4 ? 3.0e38 : 1.0e308));
  const Vec<T> least = splat(static_cast<T>(-__builtin_huge_val()));
  const Vec<T> none = splat(static_cast<T>(__builtin_nan("")));
  return u > big ? u : (y > 0 ? r : (y == 0 ? least : none));
}

template <class T>
FC_INLINE Vec<T> log1p(Vec<T> u) {
  return log1p<T>(u, u + splat(T(1)));
}

template <class T>
FC_INLINE Vec<T> log(Vec<T> x) {
  constexpr double kLift = sizeof(T) == 4 ? 16777216.0 : 18014398509481984.0;  // 2^24, 2^54
  constexpr double kLess = (sizeof(T) == 4 ? 24 : 54) * 0.69314718055994531;
  const Vec<T> normal =
      splat(static_cast<T>(sizeof(T) == 4 ? 1.17549435e-38 : 2.2250738585072014e-308));
  const Vec<T> y = x < normal ? x * splat(T(kLift)) : x;
  const Vec<T> r = log1p<T>(y - splat(T(1)), y);
  return x < normal ? r - splat(T(kLess)) : r;
}

// tanh(x) = m / (m + 2) with m = exp(2 |x|) - 1, one from |x| = 20 on.
template <class T>
FC_INLINE Vec<T> tanh(Vec<T> x) {
  const Vec<T> a = at_most<T>(absolute<T>(x), splat(T(20)));
  const Vec<T> m = expm1<T>(reduce<T>(a + a));
  return with_sign<T>(m / (m + splat(T(2))), x);
}

// exp(-x) for x >= -kHighest, to be added to one: what would fall below the normal range stays
// above it.
template <class T>
FC_INLINE Vec<T> exp_of_minus(Vec<T> x) {
  return exp<T>(reduce<T>(-at_most<T>(x, splat(static_cast<T>(sizeof(T) == 4 ? 87 : 708)))));
}

template <class T>
FC_INLINE Vec<T> sigmoid(Vec<T> x) {
  const Vec<T> e = exp_of_minus<T>(at_least<T>(x, splat(-Format<T>::kHighest)));
  return splat(T(1)) / (splat(T(1)) + e);
}

}  // namespace
}  // namespace fastconv
