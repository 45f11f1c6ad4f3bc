// Compiled once per instruction set; exports one table.
#include "depthwise.h"

#include "depthwise_dot.h"

namespace fastconv {
namespace {

template <class T>
constexpr DepthwiseKernels<T> depthwise_table() {
  return {kLanes<T>,   kMaxTaps,     band_sum<T>,  dot_cols<T>,
          band_dot<T>, lane_sums<T>, fill_rows<T>, interleave_rows<T>};
}

}  // namespace

extern const DepthwiseTable FASTCONV_TABLE(depthwise);
const DepthwiseTable FASTCONV_TABLE(depthwise) = {depthwise_table<float>(),
                                                  depthwise_table<double>()};
}  // namespace fastconv
