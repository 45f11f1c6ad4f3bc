// Resizing by tables: along each of three axes an output is a weighted sum of inputs. This is
// interpolation in every mode, averaging over windows of any extents, and the gradients of both and
// of padding, which are the same with the tables turned round.
#pragma once

#include <cstdint>

namespace fastconv {

// Output i is the sum over start[i] <= k < start[i + 1] of weight[k] * input[source[k]]. Without a
// table (start is null) the axis stays as it is.
struct ResampleAxis {
  int64_t in = 1, out = 1;
  const int64_t* start = nullptr;
  const int64_t* source = nullptr;
  const double* weight = nullptr;
};

// Arrays (planes, axis 0, axis 1, axis 2, inner) in C order.
struct ResampleProblem {
  int64_t planes = 1, inner = 1;
  ResampleAxis axis[3];
};

template <class T>
void resample(ResampleProblem p, const T* x, T* y, int threads);

}  // namespace fastconv
