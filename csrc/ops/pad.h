// Padding, cropping and repeating: every output row is a row of the input or a constant.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fastconv {

// One axis: output i is input source[i], or the constant where that is -1. Without a table the axis
// stays as it is.
struct PadAxis {
  int64_t in = 1, out = 1;
  const int64_t* source = nullptr;
};

// y = x along all axes, for elements of `item` bytes (1, 2, 4, 8 or 16); value points to one.
void pad(const std::vector<PadAxis>& axes, size_t item, const void* value, const void* x, void* y,
         int threads);

}  // namespace fastconv
