// The one-dimensional transforms of Winograd's convolution, on vectors: evaluate at points,
// multiply there, interpolate. The two-dimensional ones apply these along both axes.
#pragma once

#include "vec.h"

namespace fastconv {
namespace {

template <class V>
using Element = decltype(V{}[0] + 0);

// What filters are multiplied with at the point (i, q), of which those at 0 differ.
template <class P, class V>
FC_INLINE V weighted(V v, int i, int q) {
  if (P::w0 == 1 || (i > 0 && q > 0)) return v;
  return static_cast<Element<V>>(i + q == 0 ? P::w0 * P::w0 : P::w0) * v;
}

// F(2, 3) on the points 0, 1, -1 and infinity: every constant is a power of two, so small integers
// stay exact.
struct Points2 {
  static constexpr int kOut = 2, kIn = 4;
  static constexpr double w0 = 1;

  struct Input {  // 4 inputs -> 4 points
    static constexpr int kFrom = 4, kTo = 4;
    template <class V>
    static FC_INLINE void run(const V* d, V* r) {
      r[0] = d[0] - d[2];
      r[1] = d[1] + d[2];
      r[2] = d[2] - d[1];
      r[3] = d[3] - d[1];
    }
  };
  struct Output {  // 4 points -> 2 outputs
    static constexpr int kFrom = 4, kTo = 2;
    template <class V>
    static FC_INLINE void run(const V* m, V* y) {
      y[0] = m[0] + (m[1] + m[2]);
      y[1] = (m[1] - m[2]) + m[3];
    }
  };
  struct Filter {  // 3 taps -> 4 points
    static constexpr int kFrom = 3, kTo = 4;
    template <class V>
    static FC_INLINE void run(const V* g, V* r) {
      const V even = (g[0] + g[2]) * 0.5f, odd = g[1] * 0.5f;
      r[0] = g[0];
      r[1] = even + odd;
      r[2] = even - odd;
      r[3] = g[2];
    }
  };
  struct Grad {  // 2 gradients, which are the filter of the weight gradient -> 4 points
    static constexpr int kFrom = 2, kTo = 4;
    template <class V>
    static FC_INLINE void run(const V* z, V* r) {
      r[0] = z[0];
      r[1] = (z[0] + z[1]) * 0.5f;
      r[2] = (z[0] - z[1]) * 0.5f;
      r[3] = z[1];
    }
  };
  struct FilterGrad {  // 4 points -> 3 taps
    static constexpr int kFrom = 4, kTo = 3;
    template <class V>
    static FC_INLINE void run(const V* m, V* y) {
      const V even = m[1] + m[2];
      y[0] = m[0] + even;
      y[1] = m[1] - m[2];
      y[2] = even + m[3];
    }
  };
};

// F(4, 3) on 0, a, -a, b, -b and infinity, a = 5/8 and b = 3/2. Several times more accurate than
// the usual 0, 1, -1, 2, -2.
//
// Every point's value is to be divided by the product of its distances to the other points: at 0
// the filters are, in one rounding for both axes, because one pixel of an image's corner may meet
// nothing else; at the others the inverse transforms do it. All other constants are exact.
struct Points4 {
  static constexpr int kOut = 4, kIn = 6;
  static constexpr float a = 0.625f, a2 = a * a, a3 = a2 * a;
  static constexpr float b = 1.5f, b2 = b * b, b3 = b2 * b;
  static constexpr double w0 = 1 / (double(a2) * b2);  // see weighted()
  static constexpr double wa = 1 / (2 * double(a2) * (double(a2) - b2));
  static constexpr double wb = 1 / (2 * double(b2) * (double(b2) - a2));

  struct Input {  // 6 inputs -> 6 points
    static constexpr int kFrom = 6, kTo = 6;
    template <class V>
    static FC_INLINE void run(const V* d, V* r) {
      const V even_a = d[4] - b2 * d[2], odd_a = d[3] - b2 * d[1];
      const V even_b = d[4] - a2 * d[2], odd_b = d[3] - a2 * d[1];
      r[0] = even_a + a2 * (b2 * d[0] - d[2]);
      r[1] = even_a + a * odd_a;
      r[2] = even_a - a * odd_a;
      r[3] = even_b + b * odd_b;
      r[4] = even_b - b * odd_b;
      r[5] = (d[5] - b2 * d[3]) - a2 * odd_a;
    }
  };
  struct Output {  // 6 points -> 4 outputs
    static constexpr int kFrom = 6, kTo = 4;
    template <class V>
    static FC_INLINE void run(const V* m, V* y) {
      const V even_a = m[1] + m[2], odd_a = m[1] - m[2];
      const V even_b = m[3] + m[4], odd_b = m[3] - m[4];
      y[0] = m[0] + (scale(wa, even_a) + scale(wb, even_b));
      y[1] = scale(wa * a, odd_a) + scale(wb * b, odd_b);
      y[2] = scale(wa * a2, even_a) + scale(wb * b2, even_b);
      y[3] = scale(wa * a3, odd_a) + (scale(wb * b3, odd_b) + m[5]);
    }
  };
  struct Filter {  // 3 taps -> 6 points
    static constexpr int kFrom = 3, kTo = 6;
    template <class V>
    static FC_INLINE void run(const V* g, V* r) {
      const V even_a = g[0] + a2 * g[2], even_b = g[0] + b2 * g[2];
      r[0] = g[0];
      r[1] = even_a + a * g[1];
      r[2] = even_a - a * g[1];
      r[3] = even_b + b * g[1];
      r[4] = even_b - b * g[1];
      r[5] = g[2];
    }
  };
  struct Grad {  // 4 gradients, which are the filter of the weight gradient -> 6 points
    static constexpr int kFrom = 4, kTo = 6;
    template <class V>
    static FC_INLINE void run(const V* z, V* r) {
      const V even_a = z[0] + a2 * z[2], odd_a = z[1] + a2 * z[3];
      const V even_b = z[0] + b2 * z[2], odd_b = z[1] + b2 * z[3];
      r[0] = z[0];
      r[1] = even_a + a * odd_a;
      r[2] = even_a - a * odd_a;
      r[3] = even_b + b * odd_b;
      r[4] = even_b - b * odd_b;
      r[5] = z[3];
    }
  };
  struct FilterGrad {  // 6 points -> 3 taps
    static constexpr int kFrom = 6, kTo = 3;
    template <class V>
    static FC_INLINE void run(const V* m, V* y) {
      const V even_a = m[1] + m[2], odd_a = m[1] - m[2];
      const V even_b = m[3] + m[4], odd_b = m[3] - m[4];
      y[0] = m[0] + (scale(wa, even_a) + scale(wb, even_b));
      y[1] = scale(wa * a, odd_a) + scale(wb * b, odd_b);
      y[2] = scale(wa * a2, even_a) + (scale(wb * b2, even_b) + m[5]);
    }
  };

 private:
  // A constant rounded to the element type, times a vector.
  template <class V>
  static FC_INLINE V scale(double s, V v) {
    return static_cast<Element<V>>(s) * v;
  }
};

}  // namespace
}  // namespace fastconv
