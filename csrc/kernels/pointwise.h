// Elementwise functions over rows, forward and backward.
#pragma once

#include "../kernels.h"
#include "gates.h"
#include "row.h"
#include "unary.h"

namespace fastconv {
namespace {

// One body for whole vectors and the rest: a function's code stands once for each direction.
template <class T, template <class> class Op>
void forward_row(const T* x, T* y, ptrdiff_t n, T a, T b) {
  constexpr int L = kLanes<T>;
  const Params<T> p{splat(a), splat(b)};
  for (ptrdiff_t i = 0; i < n; i += L) {
    const int lanes = static_cast<int>(n - i < L ? n - i : L);
    put(y + i, Op<T>::f(get(x + i, lanes), p), lanes);
  }
}

template <class T, template <class> class Op>
void backward_row(const T* g, const T* x, T* dx, ptrdiff_t n, T a, T b) {
  constexpr int L = kLanes<T>;
  const Params<T> p{splat(a), splat(b)};
  for (ptrdiff_t i = 0; i < n; i += L) {
    const int lanes = static_cast<int>(n - i < L ? n - i : L);
    put(dx + i, Op<T>::dx(get(g + i, lanes), get(x + i, lanes), p), lanes);
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
