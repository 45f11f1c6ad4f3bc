// What the convolutions of channels-last pictures share: the taps of outputs, and where they are.
#pragma once

#include <algorithm>
#include <vector>

#include "registry.h"

namespace fastconv {

inline bool is_depthwise(const ConvProblem& p) {
  return p.groups == p.c && p.k == p.c;
}

inline int64_t vector_lanes() {
  return kernels().vector_bytes / static_cast<int64_t>(sizeof(float));
}

// Outputs [begin, end) of an axis, for which taps [first, last) are inside the picture.
struct TapRun {
  int64_t begin, end, first, last;
};

inline std::vector<TapRun> runs_along(const ConvProblem& p, int axis) {
  const int64_t d = p.dil[axis], in = p.in[axis], ker = p.ker[axis];
  std::vector<TapRun> runs;
  for (int64_t o = 0; o < p.out[axis]; ++o) {
    const int64_t at = o * p.stride[axis] - p.pad_lo[axis];
    const int64_t first = at >= 0 ? 0 : std::min(ker, ceil_div(-at, d));
    const int64_t last = at >= in ? first : std::max(first, std::min(ker, ceil_div(in - at, d)));
    if (!runs.empty() && runs.back().first == first && runs.back().last == last) {
      ++runs.back().end;
    } else {
      runs.push_back({o, o + 1, first, last});
    }
  }
  return runs;
}

// The element of the picture that tap (r, s) of output (i, j) is.
inline int64_t element(const ConvProblem& p, int64_t i, int64_t j, int64_t r, int64_t s) {
  const int64_t row = i * p.stride[1] - p.pad_lo[1] + r * p.dil[1];
  return (row * p.in[2] + j * p.stride[2] - p.pad_lo[2] + s * p.dil[2]) * p.c;
}

}  // namespace fastconv
