// From a convolution to its description for tap_conv: geometry and tables, without the arrays.
#pragma once

#include "tap_conv.h"

namespace fastconv {

template <class T>
TapConv<T> lower_forward(const ConvProblem& p);

// The input gradient: a stride-1 convolution for each phase of the stride.
template <class T>
TapConv<T> lower_input(const ConvProblem& p);

// With one input channel, phases whose weights are neighbours are rows of one product. Zeros before
// and after the filters of a 1-D convolution make them so: its input gradient is then that of
// filled_up(p), whose kernel and padding are multiples of the stride.
bool fills_up(const ConvProblem& p);
ConvProblem filled_up(const ConvProblem& p);

}  // namespace fastconv
