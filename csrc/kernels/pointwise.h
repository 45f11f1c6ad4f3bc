// Elementwise rows.
#pragma once

#include "../kernels.h"
#include "vec.h"

namespace fastconv {
namespace {

template <class T>
void leaky_relu(const T* x, T* y, ptrdiff_t n, T slope) {
  for (ptrdiff_t i = 0; i < n; ++i) y[i] = x[i] < 0 ? x[i] * slope : x[i];
}

template <class T>
void hardswish(const T* x, T* y, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; ++i) {
    T gate = x[i] + T(3);
    gate = gate < 0 ? T(0) : gate;
    gate = gate > 6 ? T(6) : gate;
    y[i] = x[i] * gate * T(1.0 / 6.0);
  }
}

template <class T>
void silu(const T* x, T* y, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; ++i) {
    if constexpr (sizeof(T) == 4) {
      y[i] = x[i] / (1.0f + __builtin_expf(-x[i]));
    } else {
      y[i] = x[i] / (1.0 + __builtin_exp(-x[i]));
    }
  }
}

template <class T>
void gelu(const T* x, T* y, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; ++i) {
    if constexpr (sizeof(T) == 4) {
      y[i] = 0.5f * x[i] * (1.0f + __builtin_erff(x[i] * 0.70710678f));
    } else {
      y[i] = 0.5 * x[i] * (1.0 + __builtin_erf(x[i] * 0.70710678118654752440));
    }
  }
}

template <class T>
constexpr PointwiseKernels<T> pointwise_table() {
  return {leaky_relu<T>, hardswish<T>, silu<T>, gelu<T>};
}

}  // namespace
}  // namespace fastconv
