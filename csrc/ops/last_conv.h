// Convolutions of channels-last pictures that are read and written where they lie: depthwise ones,
// and those with all channels that Winograd does not do.
#pragma once

#include "registry.h"

namespace fastconv {

// Whether last_forward does a problem, and well.
bool runs_last(const ConvProblem& p, size_t item, int threads);

// y and x channels-last, weight in C order, bias may be null. False, and nothing is written, if a
// weight is infinite or NaN where there is padding: its product with that is not zero then.
bool last_forward(const ConvProblem& p, const float* x, const float* weight, const float* bias,
                  Activation activation, float* y, int threads);

}  // namespace fastconv
