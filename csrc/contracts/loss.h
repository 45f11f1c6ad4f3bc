// Losses that compare two rows element by element, and what cross entropy needs.
#pragma once

#include <cstddef>

namespace fastconv {

// A loss l(x, t) with one parameter a.
template <class T>
struct PairKernel {
  const char* name;
  void (*each)(const T* x, const T* t, T* y, ptrdiff_t n, T a);  // y[i] = l(x[i], t[i])
  T (*sum)(const T* x, const T* t, ptrdiff_t n, T a);            // the sum of them
  // dx[i] = g[i] dl/dx, g being one number for all unless `each`.
  void (*backward)(const T* g, bool each, const T* x, const T* t, T* dx, ptrdiff_t n, T a);
};

constexpr int kPairCount = 8;

template <class T>
struct LossKernels {
  PairKernel<T> pair[kPairCount];
  // y[i] = exp(x[i]) * s[i], s being one number for all unless `each`.
  void (*exp_times)(const T* x, const T* s, bool each, T* y, ptrdiff_t n);
};

struct LossTable {
  LossKernels<float> f32;
  LossKernels<double> f64;
};

}  // namespace fastconv
