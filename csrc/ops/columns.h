// Windows of an image as columns of a matrix, and columns added back into an image.
#pragma once

#include <cstdint>

namespace fastconv {

// Axis 0 is the height, axis 1 the width. Window i begins at i * stride - pad, its taps are dil
// apart; what lies outside the image is zero.
struct ColumnsProblem {
  int64_t planes = 1;
  int64_t in[2], ker[2], dil[2], pad[2], stride[2], blocks[2];
};

// columns (planes, ker, ker, blocks, blocks) of images (planes, in, in).
template <class T>
void unfold(const ColumnsProblem& p, const T* image, T* columns, int threads);

// The other way, adding where windows overlap.
template <class T>
void fold(const ColumnsProblem& p, const T* columns, T* image, int threads);

}  // namespace fastconv
