// The shape of an inverted block, and its steps behind the widening convolution.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "conv.h"
#include "inverted.h"
#include "last_panels.h"
#include "parallel.h"

namespace fastconv {

// A block's layers: 1x1 convolutions around a depthwise one.
struct InvertedShape {
  int64_t c;  // channels of the input
  ConvProblem depth;
  int64_t k;  // of the result

  int64_t wide() const { return depth.c; }
  int64_t columns() const { return depth.in[2] + depth.pad_lo[2] + depth.pad_hi[2]; }
  int64_t reach() const { return (depth.ker[1] - 1) * depth.dil[1] + 1; }  // rows under a window
  int threads() const {
    const double elements = static_cast<double>(depth.c) * static_cast<double>(depth.in_plane());
    const double work = elements * static_cast<double>(c + 20) * 2 + depth.flops();
    return useful_threads(work, num_threads());
  }
  // Tap rows [first, second) of output row i: the others meet zeros above and below the picture.
  std::pair<int64_t, int64_t> taps_inside(int64_t i) const {
    const int64_t top = i * depth.stride[1] - depth.pad_lo[1], d = depth.dil[1];
    const int64_t first = top >= 0 ? 0 : std::min(depth.ker[1], ceil_div(-top, d));
    const int64_t left = std::max<int64_t>(0, depth.in[1] - top);
    return {first, std::max(first, std::min(depth.ker[1], ceil_div(left, d)))};
  }
};

// Offsets of the taps in a picture of so many columns.
std::vector<ptrdiff_t> tap_offsets(const InvertedShape& shape, int64_t pitch);

// What is beside `rows` rows of a widened picture is zero, and what is beside its channels.
void clear_beside(const InvertedShape& shape, int64_t rows, int64_t pitch, float* wide);

// Output rows [p, stop) of the depthwise convolution with its activation, channels last. The
// widened picture lies at `wide` from its row `lo` on.
void filter_rows(const InvertedShape& shape, Plan& plan, const float* wide, int64_t lo,
                 const ptrdiff_t* tap_off, int64_t p, int64_t stop, float* to);

// Pixels [first, first + pixels) of the result, from channels last to planes.
void finish_pixels(const InvertedShape& shape, Activation activation, int64_t first, int64_t pixels,
                   const float* from, const float* residual, float* y);

}  // namespace fastconv
