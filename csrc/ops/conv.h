// One convolution, from validated problem to finished result: choice of algorithm, scratch, the
// activations that no kernel fuses, and the bias gradient.
#pragma once

#include <string>

#include "registry.h"

namespace fastconv {

// Throws std::invalid_argument for an unknown name, listing the names.
Activation parse_activation(const char* fn, const char* name);

// y = activation(y), where that is no clamp: those are fused into the kernels.
template <class T>
void activate(Activation activation, T* y, int64_t n, int threads);

// Fills call.result. call.scratch is provided here. May throw before anything is written.
template <class T>
void convolve(ConvCall<T> call, const Algorithm& algorithm);

// dx and dw, and bias_grad where it is. Where the rows do some groups by themselves and the arrays
// are too large for the caches, some groups at a time, so that grad comes from memory but once.
template <class T>
void convolve_back(ConvCall<T> call, const Algorithm& input, const Algorithm& weight, T* dx, T* dw);

// out[k] = sum of grad[n, k, ...] over images and pixels, in a fixed order.
template <class T>
void bias_gradient(const ConvProblem& p, const T* grad, T* out, int threads);

// How many of `threads` a convolution deserves (see parallel.h).
int useful_threads(const ConvProblem& p, int threads);

}  // namespace fastconv
