// 1x1 convolutions where the channels lie last: the weights of a plan as panels of outputs.
#pragma once

#include "plan.h"

namespace fastconv {

inline bool is_pointwise(const ConvProblem& p) {
  return p.groups == 1 && p.taps() == 1 && p.unit_stride() && !p.padded();
}

// From pixel to pixel: whole cache lines, but no multiple of eight, by which neighbours would fall
// into few sets of the cache.
inline int64_t pitch_of(int64_t channels) {
  constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(float));
  const int64_t lines = ceil_div(channels, line);
  return (lines % 8 ? lines : lines + 1) * line;
}

// The weights of a 1x1 convolution as [panel][input channel][lane], and the bias behind them.
const float* panels_of(Plan& plan, int64_t c, int64_t k);

// Pixels times the plan's weights; where they lie and their number are still to be said.
LastProduct last_product(Plan& plan, int64_t depth, int64_t outputs);

}  // namespace fastconv
