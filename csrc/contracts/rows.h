// Kernels that work on rows of n elements: activations, normalisations, softmax, optimiser steps.
#pragma once

#include <cstddef>

namespace fastconv {

// An elementwise function and its derivative; a and b are its parameters.
template <class T>
struct UnaryKernel {
  const char* name;
  void (*forward)(const T* x, T* y, ptrdiff_t n, T a, T b);                // y may be x
  void (*backward)(const T* g, const T* x, T* dx, ptrdiff_t n, T a, T b);  // dx may be g or x
};

constexpr int kUnaryCount = 22;

template <class T>
struct PointwiseKernels {
  UnaryKernel<T> unary[kUnaryCount];
  // x where positive, else a x; the sum over the others of g x, the gradient of a, is returned.
  T (*leaky_backward)(const T* g, const T* x, T* dx, ptrdiff_t n, T a);
  // The same with a slope for each element; da[i] += g[i] x[i] where x is not positive.
  void (*prelu)(const T* x, const T* a, T* y, ptrdiff_t n);
  void (*prelu_backward)(const T* g, const T* x, const T* a, T* dx, T* da, ptrdiff_t n);
  // y = x sigmoid(gate)
  void (*glu)(const T* x, const T* gate, T* y, ptrdiff_t n);
  void (*glu_backward)(const T* g, const T* x, const T* gate, T* dx, T* dgate, ptrdiff_t n);
};

struct PointwiseTable {
  PointwiseKernels<float> f32;
  PointwiseKernels<double> f64;
};

// What a gradient passes on its way back through clamp(x scale + shift): g where lo < x scale +
// shift < hi, else 0. A bound that is NaN is none.
template <class T>
struct Gate {
  T scale, shift, lo, hi;
};
// The same for channels-last arrays: a scale and a shift for each channel.
template <class T>
struct ColumnGate {
  const T *scale, *shift;
  T lo, hi;
};

// The gradient of layer norm. With xhat = (x - mean) rstd and the means m1, m2 of g w and g w xhat
// over a row, dx = rstd (g w - m1 - xhat m2); and dw += g xhat, db += g, summed over the rows in
// their order. w may be null; dw and db both.
template <class T>
struct LayerRows {
  const T *g, *x, *w;
  const T *mean, *rstd;  // a number for each row
  T *dx, *dw, *db;
  ptrdiff_t rows, n;
};

// Rows of n elements under the normalisations and the softmax (norm.h says what each computes).
// gate: of g, or null.
template <class T>
struct NormKernels {
  T (*squares)(const T* x, ptrdiff_t n, T mean);
  void (*dots)(const T* g, const T* x, ptrdiff_t n, T mean, const Gate<T>* gate, T* out);
  void (*affine)(const T* x, const T* residual, T* y, ptrdiff_t n, T scale, T shift, T lo, T hi);
  void (*affine2)(const T* g, const T* x, T* dx, ptrdiff_t n, T a, T b, T c, const Gate<T>* gate);
  void (*normalize)(const T* x, const T* w, const T* b, T* y, ptrdiff_t n, T mean, T rstd);
  void (*layer_back)(const LayerRows<T>& a);
  void (*softmax)(const T* x, T* y, ptrdiff_t n, bool logarithm);
  void (*softmax_backward)(const T* g, const T* y, T* dx, ptrdiff_t n, bool logarithm);
  // Columns of d values, `stride` apart; scratch holds 2 d vectors.
  void (*softmax_columns)(const T* x, T* y, ptrdiff_t d, ptrdiff_t stride, ptrdiff_t columns,
                          T* scratch, bool logarithm);
  void (*softmax_backward_columns)(const T* g, const T* y, T* dx, ptrdiff_t d, ptrdiff_t stride,
                                   ptrdiff_t columns, bool logarithm);
};

// The same for channels-last arrays: rows of c channels, `stride` elements apart, with a number for
// each channel (norm_last.h).
template <class T>
struct NormLastKernels {
  void (*sums)(const T* x, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t stride, T* out);
  void (*squares)(const T* x, const T* mean, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t stride, T* out);
  void (*dots)(const T* g, const T* x, const T* mean, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t stride,
               const ColumnGate<T>* gate, T* out);
  void (*affine)(const T* x, const T* residual, T* y, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t stride,
                 const T* scale, const T* shift, T lo, T hi);
  void (*affine2)(const T* g, const T* x, T* dx, ptrdiff_t rows, ptrdiff_t c, ptrdiff_t stride,
                  const T* a, const T* b, const T* k, const ColumnGate<T>* gate);
};

struct NormTable {
  NormKernels<float> f32;
  NormKernels<double> f64;
  NormLastKernels<float> last32;
  NormLastKernels<double> last64;
};

template <class T>
struct SgdStep {
  T rate, momentum, fresh, decay;  // fresh: 1 - dampening
  bool nesterov, maximize;
  bool first;  // the velocity has no value yet
};

template <class T>
struct AdamStep {
  T rate;  // divided by 1 - beta1^t already
  T beta1, beta2;
  T fresh1, fresh2;   // 1 - beta1, 1 - beta2
  T eps, correction;  // 1 / sqrt(1 - beta2^t)
  T decay;            // of the gradient
  T shrink;           // of the parameter: 1 - rate * decay where decoupled, else 1
  bool maximize;
};

// An optimiser's step over one parameter (update.h).
template <class T>
struct UpdateKernels {
  void (*sgd)(T* p, const T* grad, T* velocity, ptrdiff_t n, const SgdStep<T>& step);
  void (*adam)(T* p, const T* grad, T* m, T* v, T* most, ptrdiff_t n, const AdamStep<T>& step);
};

struct UpdateTable {
  UpdateKernels<float> f32;
  UpdateKernels<double> f64;
};

}  // namespace fastconv
