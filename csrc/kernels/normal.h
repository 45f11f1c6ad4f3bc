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

// The distribution beyond a alone, for 0 <= a < kNear: polynomials over sixteen stretches, whose
// coefficients a permutation picks, cost half as much as the exponential.
#if defined(__AVX512F__)
constexpr float kNear = 3.875f, kStretches = 4.0f;  // a stretch is a quarter, about its centre
constexpr float kStretchFit[6][16] = {
    {-9.635155038e-06f, -8.229653758e-06f, -4.440189514e-06f, 1.638084655e-07f, 3.938265309e-06f,
     5.829616839e-06f, 5.704516298e-06f, 4.182866178e-06f, 2.176097723e-06f, 4.394567270e-07f,
     -6.538397201e-07f, -1.093730361e-06f, -1.076651415e-06f, -8.397389593e-07f, -5.605485285e-07f,
     -3.308482803e-07f},
    {-7.942355751e-08f, -4.604131027e-05f, -7.851050032e-05f, -8.932502533e-05f, -7.858247409e-05f,
     -5.336480535e-05f, -2.377488272e-05f, 1.416994792e-06f, 1.745260124e-05f, 2.388321991e-05f,
     2.313323603e-05f, 1.855935261e-05f, 1.299382529e-05f, 8.134130439e-06f, 4.614716545e-06f,
     2.392628176e-06f},
    {1.038935734e-03f, 9.440052672e-04f, 6.876178086e-04f, 3.430847428e-04f, -3.818674710e-09f,
     -2.675510477e-04f, -4.216012021e-04f, -4.633960198e-04f, -4.217973619e-04f, -3.357824171e-04f,
     -2.396424825e-04f, -1.554075134e-04f, -9.233141463e-05f, -5.052970664e-05f, -2.556837717e-05f,
     -1.199533017e-05f},
    {-3.000107052e-09f, 3.020828124e-03f, 5.500994623e-03f, 7.057882845e-03f, 7.561568171e-03f,
     7.134724874e-03f, 6.071142852e-03f, 4.718301818e-03f, 3.374446882e-03f, 2.231702674e-03f,
     1.369402744e-03f, 7.814790588e-04f, 4.154848866e-04f, 2.060736151e-04f, 9.544819477e-05f,
     4.131872629e-05f},
    {-9.973557293e-02f, -9.666702896e-02f, -8.801633120e-02f, -7.528435439e-02f, -6.049267948e-02f,
     -4.566227272e-02f, -3.237939999e-02f, -2.156933025e-02f, -1.349774189e-02f, -7.934913039e-03f,
     -4.382075276e-03f, -2.273390535e-03f, -1.107961987e-03f, -5.072618951e-04f, -2.181705786e-04f,
     -8.814885223e-05f},
    {5.000000000e-01f, 4.012936652e-01f, 3.085375428e-01f, 2.266273499e-01f, 1.586552560e-01f,
     1.056497768e-01f, 6.680720299e-02f, 4.005915672e-02f, 2.275013179e-02f, 1.222447213e-02f,
     6.209665444e-03f, 2.979763318e-03f, 1.349898055e-03f, 5.770250573e-04f, 2.326290996e-04f,
     8.841729868e-05f},
};

FC_INLINE Vec<float> beyond_near(Vec<float> a) {
  const Vec<float> magic = splat(Format<float>::kMagic), scale = splat(kStretches);
  const Vec<float> t = fma(a, scale, magic);
  const Vec<float> u = fma(a, scale, magic - t);
  const auto row = [&](int i) FC_LAMBDA {
    return Vec<float>(_mm512_permutexvar_ps(bits<__m512i>(t), load(kStretchFit[i])));
  };
  Vec<float> y = row(0);
  FC_UNROLL for (int i = 1; i < 6; ++i) y = fma(y, u, row(i));
  return y;
}
#endif

}  // namespace
}  // namespace fastconv
