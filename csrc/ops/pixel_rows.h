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

// Whether the gradients are such products, perhaps of every so many pixels: they take the weights
// as they are. Those of the weights are as quick as from copies only where weights_as_rows.
bool backs_as_rows(const ConvProblem& p);
bool weights_as_rows(const ConvProblem& p);

// Null where they are not wanted.
template <class T>
void rows_backward(const ConvProblem& p, const T* grad, const T* x, const T* weight, T* dx,
                   T* dweight, int threads);

// dbias[k] = sum of grad[pixel, k], in a fixed order.
template <class T>
void rows_bias(const ConvProblem& p, const T* grad, T* dbias);

}  // namespace fastconv
