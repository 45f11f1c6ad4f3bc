// Convolutions of channels-last arrays where they lie; see ops/pixel_rows.h and ops/last_conv.h.
#pragma once

#include "../ops/registry.h"
#include "arrays.h"

namespace fastconv {

// The result, channels-last too; null where another way is better. bias and residual may be null.
Ref forward_last(const ConvProblem& p, PyArrayObject* input, PyArrayObject* weight,
                 PyArrayObject* bias, PyArrayObject* residual, Activation activation);

// Gradients of input, weight and bias: of those that are needed the ones that are best computed
// so. They are filled in and needed no longer.
void backward_last(const ConvProblem& p, PyArrayObject* grad, PyArrayObject* input,
                   PyArrayObject* weight, bool (&need)[3], Ref (&grads)[3]);

}  // namespace fastconv
