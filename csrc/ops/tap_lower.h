// From a convolution to its description for tap_conv: geometry and tables, without the arrays.
#pragma once

#include "tap_conv.h"

namespace fastconv {

template <class T>
TapConv<T> lower_forward(const ConvProblem& p);

// The input gradient: a stride-1 convolution for each phase of the stride.
template <class T>
TapConv<T> lower_input(const ConvProblem& p);

}  // namespace fastconv
