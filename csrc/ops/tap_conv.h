// The engine under the im2col and direct rows: a convolution as a matrix product through tables of
// offsets. The forward direction, each phase of the input gradient and transposed convolution all
// lower to it; no im2col matrix is ever in memory.
//
//   dst[row, z, p, q] = clamp(bias[row] + residual[...] +
//       sum over (channel, tap) of w[row, channel, tap] * src[channel, (z, p, q) * step + tap.at])
//
// where src is zero outside its extent.
#pragma once

#include <cstddef>
#include <vector>

#include "../problem.h"

namespace fastconv {

struct Tap {
  int64_t at[3];     // source position for the output position 0; may lie outside
  ptrdiff_t weight;  // offset of the tap's weight
};

template <class T>
struct TapConv {
  int64_t images = 1, groups = 1;
  // Source: [images][groups][channels][dims]
  const T* src = nullptr;
  ptrdiff_t src_image = 0, src_group = 0;
  int64_t channels = 0;
  Dims dims{1, 1, 1};
  Dims step{1, 1, 1};
  std::vector<Tap> taps;
  // Weights: w[group * w_group + row * w_row + channel * w_channel + tap.weight]
  const T* w = nullptr;
  ptrdiff_t w_group = 0, w_row = 0, w_channel = 0;
  // Result: [images][groups][rows][out], pixels dst_pixel apart along each axis
  int64_t rows = 0;
  Dims out{1, 1, 1};
  T* dst = nullptr;
  ptrdiff_t dst_image = 0, dst_group = 0, dst_row = 0;
  ptrdiff_t dst_pixel[3] = {0, 0, 0};
  const T* bias = nullptr;      // [groups][rows] or null
  const T* residual = nullptr;  // addressed like dst, or null
  T lo, hi;                     // the result is clamped to [lo, hi]
  // Panels of pixels are packed once and used for all rows; without it the tile reads the padded
  // strip itself, which wins when there are few rows.
  bool packed = true;
};

// Scratch that tap_conv needs on this many threads.
template <class T>
size_t tap_conv_bytes(const TapConv<T>& t, int threads);

// Never throws and never allocates, except for std::bad_alloc before anything is written.
template <class T>
void tap_conv(const TapConv<T>& t, char* scratch, int threads);

}  // namespace fastconv
