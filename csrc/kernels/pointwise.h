// Elementwise functions over rows, forward and backward.
#pragma once

#include "../kernels.h"
#include "gates.h"
#include "unary.h"

namespace fastconv {
namespace {

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
  for (; i + L <= n; i += L) store(dx + i, Op<T>::dx(load(g + i), load(x + i), p));
  if (i < n) {
    const int part = static_cast<int>(n - i);
    store_part(dx + i, Op<T>::dx(load_part(g + i, part), load_part(x + i, part), p), part);
  }
}

template <class T, template <class> class Op>
constexpr UnaryKernel<T> unary(const char* name) {
  return {name, forward_row<T, Op>, backward_row<T, Op>};
}

template <class T>
constexpr PointwiseKernels<T> pointwise_table() {
  return {{unary<T, Relu>("relu"),
           unary<T, Hardtanh>("hardtanh"),
           unary<T, LeakyRelu>("leaky_relu"),
           unary<T, Elu>("elu"),
           unary<T, Celu>("celu"),
           unary<T, Threshold>("threshold"),
           unary<T, Hardshrink>("hardshrink"),
           unary<T, Softshrink>("softshrink"),
           unary<T, Sigmoid>("sigmoid"),
           unary<T, SigmoidOutput>("sigmoid_output"),
           unary<T, Tanh>("tanh"),
           unary<T, TanhOutput>("tanh_output"),
           unary<T, Tanhshrink>("tanhshrink"),
           unary<T, Hardsigmoid>("hardsigmoid"),
           unary<T, Softplus>("softplus"),
           unary<T, Logsigmoid>("logsigmoid"),
           unary<T, Softsign>("softsign"),
           unary<T, Silu>("silu"),
           unary<T, Hardswish>("hardswish"),
           unary<T, Gelu>("gelu"),
           unary<T, GeluTanh>("gelu_tanh"),
           unary<T, Mish>("mish")},
          leaky_backward<T>,
          prelu<T>,
          prelu_backward<T>,
          glu<T>,
          glu_backward<T>};
}

}  // namespace
}  // namespace fastconv
