// 1x1 convolutions of channels-last pictures without a copy to channels-first: the memory is one
// matrix, a row of channels for each pixel of the batch, and the convolution is its product with
// the weights. That product is run as the convolution of one "picture" in which the pixels stand
// for output channels, so it uses the same kernels and the same choice among them.
#pragma once

#include "registry.h"

namespace fastconv {

// Whether p is such a product: one tap, unit stride, no padding, no groups; and large enough for
// what is saved, copies of the pictures, to be more than the weights' transposition.
bool runs_as_rows(const ConvProblem& p);

// All arrays are channels-last but for weight (K, C) and bias (K,); bias and residual may be null.
template <class T>
void rows_forward(const ConvProblem& p, const T* x, const T* weight, const T* bias,
                  const T* residual, Activation activation, T* y, int threads);

template <class T>
void rows_input(const ConvProblem& p, const T* grad, const T* weight, T* dx, int threads);

template <class T>
void rows_weight(const ConvProblem& p, const T* grad, const T* x, T* dweight, int threads);

// Whether p is such a product of every so many pixels.
bool strides_over_rows(const ConvProblem& p);

// Its gradients, null where they are not wanted.
template <class T>
void strided_rows_backward(const ConvProblem& p, const T* grad, const T* x, const T* weight, T* dx,
                           T* dweight, int threads);

// dbias[k] = sum of grad[pixel, k], in a fixed order.
template <class T>
void rows_bias(const ConvProblem& p, const T* grad, T* dbias);

}  // namespace fastconv
