// Softmax and its logarithm along any axis.
#pragma once

#include <cstdint>

namespace fastconv {

// Arrays (outer, d, inner) in C order; the sums are over d.
struct SoftmaxShape {
  int64_t outer, d, inner;
};

template <class T>
void softmax(const SoftmaxShape& shape, bool logarithm, const T* x, T* y, int threads);

// From the gradient of the result y to that of x.
template <class T>
void softmax_backward(const SoftmaxShape& shape, bool logarithm, const T* g, const T* y, T* dx,
                      int threads);

}  // namespace fastconv
