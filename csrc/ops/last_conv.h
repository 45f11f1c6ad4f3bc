// Convolutions of channels-last pictures that are read and written where they lie: depthwise ones,
// and those with all channels that Winograd does not do.
#pragma once

#include "registry.h"

namespace fastconv {

constexpr int64_t kMostLastTaps = 256;  // of a depthwise kernel, or of all channels of a picture

inline bool is_depthwise(const ConvProblem& p) {
  return p.groups == p.c && p.k == p.c;
}

// Whether last_forward does a problem, and well.
bool runs_last(const ConvProblem& p, size_t item, int threads);

// y and x channels-last, weight in C order, bias may be null. False, and nothing is written, if a
// weight is infinite or NaN where there is padding: its product with that is not zero then.
bool last_forward(const ConvProblem& p, const float* x, const float* weight, const float* bias,
                  Activation activation, float* y, int threads);

// The gradient of the input alone, for those with all channels: whether last_input does it well.
bool inputs_last(const ConvProblem& p, size_t item, int threads);
void last_input(const ConvProblem& p, const float* grad, const float* weight, float* dx,
                int threads);

// Whether last_backward does a problem: depthwise ones; or but for dx, those of pictures of a few
// channels.
bool backs_last(const ConvProblem& p, size_t item);
bool weights_last(const ConvProblem& p, size_t item);

// grad, x and dx channels-last, weights in C order; what is null is not wanted.
void last_backward(const ConvProblem& p, const float* grad, const float* x, const float* weight,
                   float* dx, float* dweight, float* dbias, int threads);

}  // namespace fastconv
