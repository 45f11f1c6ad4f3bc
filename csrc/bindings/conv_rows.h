// Convolutions of channels-last arrays where they lie; see ops/pixel_rows.h and ops/last_conv.h.
#pragma once

#include "../ops/pixel_rows.h"
#include "arrays.h"

namespace fastconv {

// The result, channels-last too; bias and residual may be null. runs_as_rows(p) must hold.
Ref forward_rows(const ConvProblem& p, PyArrayObject* input, PyArrayObject* weight,
                 PyArrayObject* bias, PyArrayObject* residual, Activation activation);

// The same of other convolutions; null where they are better done another way.
Ref forward_last(const ConvProblem& p, PyArrayObject* input, PyArrayObject* weight,
                 PyArrayObject* bias, Activation activation);

}  // namespace fastconv
