// The engine under the im2col and direct rows: a convolution as a matrix product through tables of
// offsets. The forward direction, the input gradient and transposed convolution all lower to it; no
// im2col matrix is ever in memory.
//
// The result is woven from phases, a forward convolution having one. Position x of phase f, along
// each axis, is position x * ways + f of the result, and
//
//   phase f[row, x] = clamp(bias[row] + residual[...] +
//       sum over (channel, term of f) of w[row, channel, term.weight] * src[channel, x * step +
//       at])
//
// where at = taps[term.tap] and src is zero outside its extent.
#pragma once

#include <cstddef>
#include <vector>

#include "../problem.h"

namespace fastconv {

struct Tap {
  int64_t at[3];  // source position for the position 0 of a phase; may lie outside
};

struct Term {
  int64_t tap;       // index into taps
  ptrdiff_t weight;  // offset of the weight
};

template <class T>
struct TapConv {
  int64_t images = 1, groups = 1;
  int64_t image = 0;  // pixels of the whole image, where this is a share of them
  // Source: [images][groups][channels][dims]
  const T* src = nullptr;
  ptrdiff_t src_image = 0, src_group = 0;
  int64_t channels = 0;
  Dims dims{1, 1, 1};
  Dims step{1, 1, 1};
  std::vector<Tap> taps;  // all phases read the source at these positions
  // Weights: w[group * w_group + row * w_row + channel * w_channel + term.weight]
  const T* w = nullptr;
  ptrdiff_t w_group = 0, w_row = 0, w_channel = 0;
  // Result: [images][groups][rows][out]
  int64_t rows = 0;
  Dims out{1, 1, 1};
  T* dst = nullptr;
  ptrdiff_t dst_image = 0, dst_group = 0, dst_row = 0;
  // Phase (f0, f1, f2) is number (f0 * ways[1] + f1) * ways[2] + f2; its terms, sorted by tap, are
  // terms[first[number] .. first[number + 1]). Without terms it is zero.
  Dims ways{1, 1, 1};
  std::vector<Term> terms;
  std::vector<int64_t> first;
  const T* bias = nullptr;      // [groups][rows] or null
  const T* residual = nullptr;  // addressed like dst, or null
  T lo, hi;                     // the result is clamped to [lo, hi]
  // Panels of pixels are packed once and used for all rows; without it the tile reads the padded
  // strip itself, which wins when there are few rows.
  bool packed = true;

  int64_t phases() const { return ways[0] * ways[1] * ways[2]; }
  bool empty(int64_t phase) const { return first[phase] == first[phase + 1]; }
  // Positions of the largest phase along an axis.
  int64_t grid(int axis) const { return (out[axis] + ways[axis] - 1) / ways[axis]; }
};

// Scratch that tap_conv needs on this many threads.
template <class T>
size_t tap_conv_bytes(const TapConv<T>& t, int threads);

// Never throws and never allocates.
template <class T>
void tap_conv(const TapConv<T>& t, char* scratch, int threads);

}  // namespace fastconv
