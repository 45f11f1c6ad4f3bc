// 1x1 convolutions of channels-last arrays; see ops/pixel_rows.h.
#pragma once

#include "../ops/pixel_rows.h"
#include "arrays.h"

namespace fastconv {

// The result, channels-last too; bias and residual may be null. runs_as_rows(p) must hold.
Ref forward_rows(const ConvProblem& p, PyArrayObject* input, PyArrayObject* weight,
                 PyArrayObject* bias, PyArrayObject* residual, Activation activation);

}  // namespace fastconv
