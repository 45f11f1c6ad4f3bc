// What the rows on tap_conv and broadcast_conv cost, in cycles of one core at two vector FMAs a
// cycle: sums of what they do times what each of it took, measured on AVX-512.
#pragma once

#include "registry.h"

namespace fastconv {

double im2col_cost(const ConvProblem& p, Direction direction, size_t item);
double direct_cost(const ConvProblem& p, Direction direction, size_t item);
double broadcast_cost(const ConvProblem& p, Direction direction, size_t item, bool prepared);

}  // namespace fastconv
