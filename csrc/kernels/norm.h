// Rows under the normalisations: sums, affine maps, in one pass each.
#pragma once

#include "../kernels.h"
#include "row.h"
#include "softmax.h"

namespace fastconv {
namespace {

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
    if (i < len) {  // lanes that are not there are at the mean
      const int rest = static_cast<int>(len - i);
      const Vec<T> d = load_lanes<T>(s + i, lanes_between<T>(0, rest), splat(mean)) - splat(mean);
      acc[1] = fma(d, d, acc[1]);
    }
    all += total<T>((acc[0] + acc[1]) + (acc[2] + acc[3]));
  }
  return all;
}

// g where it passes the clamp of y.
template <class T>
FC_INLINE Vec<T> passed(Vec<T> g, Vec<T> y, T lo, T hi) {
  const Vec<T> above = y <= splat(lo) ? Vec<T>{} : g;
  return y >= splat(hi) ? Vec<T>{} : above;
}

// out[0] = sum of g, out[1] = sum of g * (x - mean)
template <class T>
void dots(const T* g, const T* x, ptrdiff_t n, T mean, const Gate<T>* gate, T* out) {
  constexpr int L = kLanes<T>;
  const auto [scale, shift, lo, hi] = gate ? *gate : Gate<T>{};
  T sum_g = 0, sum_gx = 0;
  for (ptrdiff_t at = 0; at < n; at += kStretch) {
    const ptrdiff_t len = n - at < kStretch ? n - at : kStretch;
    const T *gs = g + at, *xs = x + at;
    Vec<T> a[2] = {}, b[2] = {};
    ptrdiff_t i = 0;
    for (; i + 2 * L <= len; i += 2 * L) {
      FC_UNROLL for (int v = 0; v < 2; ++v) {
        const Vec<T> xv = load(xs + i + v * L);
        Vec<T> gv = load(gs + i + v * L);
        if (gate) gv = passed<T>(gv, fma(xv, splat(scale), splat(shift)), lo, hi);
        a[v] += gv;
        b[v] = fma(gv, xv - splat(mean), b[v]);
      }
    }
    for (; i < len; i += L) {  // lanes that are not there have no gradient
      const int rest = static_cast<int>(len - i < L ? len - i : L);
      const LaneMask<T> there = lanes_between<T>(0, rest);
      const Vec<T> xv = load_lanes<T>(xs + i, there, splat(mean));
      Vec<T> gv = load_lanes<T>(gs + i, there, Vec<T>{});
      if (gate) gv = passed<T>(gv, fma(xv, splat(scale), splat(shift)), lo, hi);
      a[0] += gv;
      b[0] = fma(gv, xv - splat(mean), b[0]);
    }
    sum_g += total<T>(a[0] + a[1]);
    sum_gx += total<T>(b[0] + b[1]);
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
void affine2(const T* g, const T* x, T* dx, ptrdiff_t n, T a, T b, T c, const Gate<T>* gate) {
  const auto [scale, shift, lo, hi] = gate ? *gate : Gate<T>{};
  each_vector<T>(n, [&, scale = scale, shift = shift, lo = lo, hi = hi](ptrdiff_t i, int lanes) {
    const Vec<T> xv = get(x + i, lanes);
    Vec<T> gv = get(g + i, lanes);
    if (gate) gv = passed<T>(gv, fma(xv, splat(scale), splat(shift)), lo, hi);
    put(dx + i, fma(gv, splat(a), fma(xv, splat(b), splat(c))), lanes);
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

// R rows from `row` on, which share what is read and written of w, dw and db.
template <int R, class T>
__attribute__((noinline)) void layer_rows_back(const LayerRows<T>& a, ptrdiff_t row) {
  const ptrdiff_t n = a.n, from = row * n;
  Vec<T> mean[R], rstd[R], s1[R], s2[R];
  FC_UNROLL for (int r = 0; r < R; ++r) {
    mean[r] = splat(a.mean[row + r]);
    rstd[r] = splat(a.rstd[row + r]);
  }
  const auto weight = [&](ptrdiff_t i, int lanes)
                          FC_LAMBDA { return a.w ? get(a.w + i, lanes) : splat(T(1)); };
  // Row by row, as memory is fetched best; afterwards they are in cache.
  for (int r = 0; r < R; ++r) {
    const T *g = a.g + from + r * n, *x = a.x + from + r * n;
    Vec<T> sum{}, dot{};
    each_vector<T>(n, [&](ptrdiff_t i, int lanes) FC_LAMBDA {
      const Vec<T> gw = get(g + i, lanes) * weight(i, lanes);  // none in lanes that are not there
      sum += gw;
      dot = fma(gw, (get(x + i, lanes) - mean[r]) * rstd[r], dot);
    });
    s1[r] = splat(total<T>(sum) / static_cast<T>(n));
    s2[r] = splat(total<T>(dot) / static_cast<T>(n));
  }
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) FC_LAMBDA {
    const Vec<T> w = weight(i, lanes);
    Vec<T> dw{}, db{};
    if (a.dw) {
      dw = get(a.dw + i, lanes);
      db = get(a.db + i, lanes);
    }
    FC_UNROLL for (int r = 0; r < R; ++r) {
      const ptrdiff_t at = from + r * n + i;
      const Vec<T> g = get(a.g + at, lanes), xhat = (get(a.x + at, lanes) - mean[r]) * rstd[r];
      dw = fma(g, xhat, dw);
      db += g;
      put(a.dx + at, rstd[r] * (g * w - s1[r] - xhat * s2[r]), lanes);
    }
    if (a.dw) {
      put(a.dw + i, dw, lanes);
      put(a.db + i, db, lanes);
    }
  });
}

template <class T>
void layer_back(const LayerRows<T>& a) {
  constexpr int most = kRegisters == 32 ? 4 : 2;
  ptrdiff_t row = 0;
  for (; row + most <= a.rows; row += most) layer_rows_back<most>(a, row);
  for (; row < a.rows; ++row) layer_rows_back<1>(a, row);
}

template <class T>
constexpr NormKernels<T> norm_table() {
  return {squares<T>,         dots<T>,
          affine<T>,          affine2<T>,
          normalize<T>,       layer_back<T>,
          softmax_row<T>,     softmax_backward_row<T>,
          softmax_columns<T>, softmax_backward_columns<T>};
}

}  // namespace
}  // namespace fastconv
