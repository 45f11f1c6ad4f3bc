// Normalisations of channels-last arrays: rows of channels, each channel with its own numbers.
#pragma once

#include "../kernels.h"
#include "norm.h"
#include "row.h"

namespace fastconv {
namespace {

// body(first channel, V vectors' worth, lanes of each) for blocks of channels: four vectors at a
// time, then single ones.
template <class T, class Four, class One>
FC_INLINE void channel_blocks(ptrdiff_t c, const Four& four, const One& one) {
  constexpr int L = kLanes<T>;
  ptrdiff_t i = 0;
  for (; i + 4 * L <= c; i += 4 * L) four(i);
  for (; i + L <= c; i += L) one(i, L);
  if (i < c) one(i, static_cast<int>(c - i));
}

// Fewer channels than lanes: as many rows as there are lanes are read as one, which is a whole
// number of vectors. Numbers for each channel are repeated, sums for each place added up.
template <class T>
struct Widened {
  static constexpr ptrdiff_t kRows = kLanes<T>, kMost = kRows * kRows;
  static bool fits(ptrdiff_t rows, ptrdiff_t c, ptrdiff_t stride) {
    return stride == c && c < kRows && rows >= 2 * kRows;
  }

  Widened(ptrdiff_t rows, ptrdiff_t c) : c(c), wide(c * kRows), high(rows / kRows) {
    rest = rows - high * kRows;
  }
  ptrdiff_t after() const { return high * wide; }  // where the rows begin that are left
  void repeat(const T* from, T* to) const {
    for (ptrdiff_t r = 0; r < kRows; ++r, to += c) {
      for (ptrdiff_t i = 0; i < c; ++i) to[i] = from[i];
    }
  }
  void add_up(const T* from, T* to) const {
    for (ptrdiff_t r = 0; r < kRows; ++r, from += c) {
      for (ptrdiff_t i = 0; i < c; ++i) to[i] += from[i];
    }
  }
  ptrdiff_t c, wide, high, rest;
};

// out[c] = sum over rows of x
template <class T>
void column_sums(const T* x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t stride, T* out) {
  if (Widened<T>::fits(rows, c, stride)) {
    const Widened<T> w(rows, c);
    T sums[Widened<T>::kMost];
    column_sums(x, w.high, w.wide, w.wide, sums);
    column_sums(x + w.after(), w.rest, c, c, out);
    return w.add_up(sums, out);
  }
  constexpr int L = kLanes<T>;
  channel_blocks<T>(
      c,
      [&](ptrdiff_t i) {
        Vec<T> sum[4] = {};
        for (ptrdiff_t r = 0; r < rows; ++r) {
          FC_UNROLL for (int v = 0; v < 4; ++v) sum[v] += load(x + r * stride + i + v * L);
        }
        FC_UNROLL for (int v = 0; v < 4; ++v) store(out + i + v * L, sum[v]);
      },
      [&](ptrdiff_t i, int lanes) {
        Vec<T> sum[4] = {};
        ptrdiff_t r = 0;
        for (; r + 4 <= rows; r += 4) {
          FC_UNROLL for (int k = 0; k < 4; ++k) sum[k] += get(x + (r + k) * stride + i, lanes);
        }
        for (; r < rows; ++r) sum[0] += get(x + r * stride + i, lanes);
        put(out + i, (sum[0] + sum[1]) + (sum[2] + sum[3]), lanes);
      });
}

// out[c] = sum over rows of (x - mean[c])^2
template <class T>
void column_squares(const T* x, const T* mean, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t stride,
                    T* out) {
  if (Widened<T>::fits(rows, c, stride)) {
    const Widened<T> w(rows, c);
    T sums[Widened<T>::kMost], means[Widened<T>::kMost];
    w.repeat(mean, means);
    column_squares(x, means, w.high, w.wide, w.wide, sums);
    column_squares(x + w.after(), mean, w.rest, c, c, out);
    return w.add_up(sums, out);
  }
  constexpr int L = kLanes<T>;
  channel_blocks<T>(
      c,
      [&](ptrdiff_t i) {
        Vec<T> sum[4] = {}, m[4];
        FC_UNROLL for (int v = 0; v < 4; ++v) m[v] = load(mean + i + v * L);
        for (ptrdiff_t r = 0; r < rows; ++r) {
          FC_UNROLL for (int v = 0; v < 4; ++v) {
            const Vec<T> d = load(x + r * stride + i + v * L) - m[v];
            sum[v] = fma(d, d, sum[v]);
          }
        }
        FC_UNROLL for (int v = 0; v < 4; ++v) store(out + i + v * L, sum[v]);
      },
      [&](ptrdiff_t i, int lanes) {
        const Vec<T> m = get(mean + i, lanes);
        Vec<T> sum{};
        for (ptrdiff_t r = 0; r < rows; ++r) {
          const Vec<T> d = get(x + r * stride + i, lanes) - m;
          sum = fma(d, d, sum);
        }
        put(out + i, sum, lanes);
      });
}

// g at channel i where it passes the gate.
template <class T>
FC_INLINE Vec<T> passed_at(const ColumnGate<T>* gate, Vec<T> g, Vec<T> x, ptrdiff_t i, int lanes) {
  if (!gate) return g;
  const Vec<T> y = fma(x, get(gate->scale + i, lanes), get(gate->shift + i, lanes));
  return passed<T>(g, y, gate->lo, gate->hi);
}

// out[c] = sum over rows of g, out[channels + c] = sum over rows of g (x - mean[c])
template <class T>
void column_dots(const T* g, const T* x, const T* mean, ptrdiff_t rows, ptrdiff_t c,
                 ptrdiff_t stride, const ColumnGate<T>* gate, T* out) {
  if (!gate && Widened<T>::fits(rows, c, stride)) {
    const Widened<T> w(rows, c);
    T sums[2 * Widened<T>::kMost], means[Widened<T>::kMost];
    w.repeat(mean, means);
    column_dots<T>(g, x, means, w.high, w.wide, w.wide, nullptr, sums);
    column_dots<T>(g + w.after(), x + w.after(), mean, w.rest, c, c, nullptr, out);
    w.add_up(sums, out);
    return w.add_up(sums + w.wide, out + c);
  }
  constexpr int L = kLanes<T>;
  channel_blocks<T>(
      c,
      [&](ptrdiff_t i) {
        Vec<T> a[4] = {}, b[4] = {}, m[4];
        FC_UNROLL for (int v = 0; v < 4; ++v) m[v] = load(mean + i + v * L);
        for (ptrdiff_t r = 0; r < rows; ++r) {
          FC_UNROLL for (int v = 0; v < 4; ++v) {
            const Vec<T> xv = load(x + r * stride + i + v * L);
            const Vec<T> gv =
                passed_at<T>(gate, load(g + r * stride + i + v * L), xv, i + v * L, L);
            a[v] += gv;
            b[v] = fma(gv, xv - m[v], b[v]);
          }
        }
        FC_UNROLL for (int v = 0; v < 4; ++v) {
          store(out + i + v * L, a[v]);
          store(out + c + i + v * L, b[v]);
        }
      },
      [&](ptrdiff_t i, int lanes) {
        const Vec<T> m = get(mean + i, lanes);
        Vec<T> a{}, b{};
        for (ptrdiff_t r = 0; r < rows; ++r) {
          const Vec<T> xv = get(x + r * stride + i, lanes);
          const Vec<T> gv = passed_at<T>(gate, get(g + r * stride + i, lanes), xv, i, lanes);
          a += gv;
          b = fma(gv, xv - m, b);
        }
        put(out + i, a, lanes);
        put(out + c + i, b, lanes);
      });
}

// y = clamp(x * scale[c] + shift[c] + residual)
template <class T>
void column_affine(const T* x, const T* residual, T* y, ptrdiff_t rows, ptrdiff_t c,
                   ptrdiff_t stride, const T* scale, const T* shift, T lo, T hi) {
  if (Widened<T>::fits(rows, c, stride)) {
    const Widened<T> w(rows, c);
    T scales[Widened<T>::kMost], shifts[Widened<T>::kMost];
    w.repeat(scale, scales);
    w.repeat(shift, shifts);
    column_affine(x, residual, y, w.high, w.wide, w.wide, scales, shifts, lo, hi);
    const ptrdiff_t at = w.after();
    return column_affine(x + at, residual ? residual + at : nullptr, y + at, w.rest, c, c, scale,
                         shift, lo, hi);
  }
  for (ptrdiff_t r = 0; r < rows; ++r) {
    const ptrdiff_t at = r * stride;
    each_vector<T>(c, [&](ptrdiff_t i, int lanes) {
      Vec<T> v = fma(get(x + at + i, lanes), get(scale + i, lanes), get(shift + i, lanes));
      if (residual) v += get(residual + at + i, lanes);
      put(y + at + i, clamp(v, splat(lo), splat(hi)), lanes);
    });
  }
}

// dx = a[c] g + b[c] x + k[c]
template <class T>
void column_affine2(const T* g, const T* x, T* dx, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t stride,
                    const T* a, const T* b, const T* k, const ColumnGate<T>* gate) {
  if (!gate && Widened<T>::fits(rows, c, stride)) {
    const Widened<T> w(rows, c);
    T as[Widened<T>::kMost], bs[Widened<T>::kMost], ks[Widened<T>::kMost];
    w.repeat(a, as);
    w.repeat(b, bs);
    w.repeat(k, ks);
    const ptrdiff_t at = w.after();
    column_affine2<T>(g, x, dx, w.high, w.wide, w.wide, as, bs, ks, nullptr);
    return column_affine2<T>(g + at, x + at, dx + at, w.rest, c, c, a, b, k, nullptr);
  }
  for (ptrdiff_t r = 0; r < rows; ++r) {
    const ptrdiff_t at = r * stride;
    each_vector<T>(c, [&](ptrdiff_t i, int lanes) {
      const Vec<T> xv = get(x + at + i, lanes);
      const Vec<T> gv = passed_at<T>(gate, get(g + at + i, lanes), xv, i, lanes);
      const Vec<T> v = fma(xv, get(b + i, lanes), get(k + i, lanes));
      put(dx + at + i, fma(gv, get(a + i, lanes), v), lanes);
    });
  }
}

template <class T>
constexpr NormLastKernels<T> norm_last_table() {
  return {column_sums<T>, column_squares<T>, column_dots<T>, column_affine<T>, column_affine2<T>};
}

}  // namespace
}  // namespace fastconv
