// The normal distribution: its density and its distribution function, which share an exponential.
#pragma once

#include "vmath.h"

namespace fastconv {
namespace {

// 1 / d, for d in [1, 100]: a few units in the last place, faster than a division where possible.
template <class T>
FC_INLINE Vec<T> inverse(Vec<T> d) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const Vec<T> r = _mm512_rcp14_ps(d);
    return fma(r, splat(T(1)) - d * r, r);
  }
#endif
  return splat(T(1)) / d;
}

// With a = |x| and t = 1 / (1 + c a), the part of the distribution beyond a is
// exp(-a^2 / 2) t h(t); h is smooth and fitted by Chebyshev polynomials over a in [0, reach],
// beyond which nothing is left. They are written in u = t scale - shift, which lies in [-1, 1].
template <class T>
struct Beyond;

template <>
struct Beyond<float> {
  static constexpr float kC = 0.35f, kReach = 14.4f;
  static constexpr float kScale = 2.39408867f, kShift = 1.39408867f;
  static constexpr float kFit[] = {-2.6848217e-05f,  1.83052608e-05f,  2.88650816e-04f,
                                   -3.98705989e-04f, -3.04111334e-03f, 3.76685593e-03f,
                                   5.25166446e-02f,  1.63433953e-01f,  2.83442245e-01f};
};

template <>
struct Beyond<double> {
  static constexpr double kC = 0.2, kReach = 38.6;
  static constexpr double kScale = 2.2564102564102564, kShift = 1.2564102564102564;
  static constexpr double kFit[] = {
      -2.2937863485385516e-12, -3.4180959726983336e-11, 5.418496025275953e-11,
      4.3716321896536243e-10,  -6.997051783415795e-10,  -3.7466789601538685e-09,
      6.9655851373885325e-09,  3.206265843842974e-08,   -5.902584967483351e-08,
      -3.168524648309849e-07,  3.7129650729459804e-07,  3.5619703887307253e-06,
      8.942224555006926e-07,   -3.864551320186561e-05,  -0.00010487029417147944,
      0.00017254972401872283,  0.0022130755980400503,   0.009194586595105334,
      0.025734013027088314,    0.05544369442075127,     0.09679797914995926,
      0.14024520173287322,     0.17033792891176727};
};

template <class T>
struct Normal {
  Vec<T> size;    // |x|, not above the reach
  Vec<T> bell;    // exp(-x^2 / 2)
  Vec<T> beyond;  // the distribution beyond |x|
};

template <class T>
FC_INLINE Normal<T> normal(Vec<T> x) {
  using B = Beyond<T>;
  const Vec<T> half = splat(T(-0.5)), one = splat(T(1));
  const Vec<T> a = at_most<T>(absolute<T>(x), splat(B::kReach));
  Vec<T> again = a;
  pin(again);  // else GCC takes the product below for the one that is rounded
  const Vec<T> square = a * a;
  const Vec<T> lost = fma(again, a, -square);  // what rounding took from the square
  Reduced<T> power = reduce<T>(square * half);
  power.r = fma(lost, half, power.r);
  const Vec<T> bell = exp<T>(power);
  const Vec<T> t = inverse<T>(fma(a, splat(B::kC), one));
  const Vec<T> u = fma(t, splat(B::kScale), splat(-B::kShift));
  return {a, bell, bell * t * polynomial<T>(u, B::kFit, count_of(B::kFit))};
}

}  // namespace
}  // namespace fastconv
