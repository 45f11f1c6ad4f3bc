// Batch norm of a training step, with the activation behind it: each channel is read while it is in
// the caches, for its statistics and its result, and for its sums and its gradient.
#pragma once

#include <cstddef>
#include <cstdint>

#include "registry.h"

namespace fastconv {

// Arrays (N, C, S) in C order.
struct BatchShape {
  int64_t n, c, s;
};

// y = activation((x - mean) / sqrt(var + eps) * weight + bias), activation none, relu or relu6;
// mean and var (biased) of the batch are results too. running_mean and running_var (null or both)
// move towards them by momentum, the variance as an unbiased one. weight, bias may be null.
template <class T>
struct BatchNormCall {
  BatchShape shape;
  const T* x;
  const T* weight;
  const T* bias;
  double eps, momentum;
  Activation activation;
  T *mean, *var;
  T *running_mean, *running_var;
  T* y;
};

template <class T>
void batch_norm(const BatchNormCall<T>& call, char* scratch, int threads);

// From the gradient of y; dx may be null. fixed: mean and var are numbers of their own, not the
// batch's, and there is no activation.
template <class T>
struct BatchNormBackwardCall {
  BatchShape shape;
  const T* grad;
  const T* x;
  const T* weight;
  const T* bias;
  const T *mean, *var;
  double eps;
  Activation activation;
  bool fixed;
  T *dx, *dweight, *dbias;
};

template <class T>
void batch_norm_backward(const BatchNormBackwardCall<T>& call, char* scratch, int threads);

// Bytes of scratch that either needs.
size_t batch_norm_bytes(const BatchShape& shape, size_t item, int threads);

}  // namespace fastconv
