// What the rows of the weight gradient share.
//
//   dw[k, c, tap] = sum over images and pixels of grad[k, pixel] * x[c, pixel * stride + tap]
//
// The sum runs over blocks of pixels in a fixed order. Where outputs are few, a fixed number of
// parts of it are summed apart and added in order: threads share them, and the result does not
// depend on how many there are.
#pragma once

#include "memory.h"
#include "registry.h"
#include "strip.h"

namespace fastconv {

// The pixels of the sum, cut into blocks, and how x is read for one.
struct PixelCut {
  std::vector<Tap> taps;
  Dims step;
  Dims block;         // extents of a block
  int64_t images;     // of a block; more than one only if the block is a whole image
  int64_t blocks[4];  // along images and each axis
  bool strip;         // x is read through a padded copy
  StripShape shape;
  int64_t count() const { return blocks[0] * blocks[1] * blocks[2] * blocks[3]; }
  int64_t pixels() const { return images * block[0] * block[1] * block[2]; }  // the most of a block
};

PixelCut cut_pixels(const ConvProblem& p, int64_t most);

Block pixel_block(const ConvProblem& p, const PixelCut& c, int64_t index);

// How far apart things are where x is read: the strip of `channels` channels, or x itself.
struct PixelView {
  ptrdiff_t row, slab, plane, image;  // to the next row of pixels, slab of pixels, channel, image
  PixelView(const ConvProblem& p, const PixelCut& c, int64_t channels);
};

inline ptrdiff_t tap_offset(const ConvProblem& p, const PixelCut& c, int64_t tap) {
  const auto& at = c.taps[tap].at;
  return c.strip ? strip_offset(c.shape, at) : (at[0] * p.in[1] + at[1]) * p.in[2] + at[2];
}

// Where a block is read for channels c0 .. c0 + channels of a group: fills the strip if there is
// one. x is the group's first channel of image 0.
template <class T>
const T* view_block(const ConvProblem& p, const PixelCut& c, const PixelView& v, const T* x,
                    int64_t c0, int64_t channels, const Block& b, T* strip) {
  const T* src = x + (b.image * p.c + c0) * p.in_plane();
  if (!c.strip) return src + b.lo[0] * v.slab + b.lo[1] * v.row + b.lo[2];
  for (int64_t n = 0; n < b.images; ++n) {
    fill_strip(src + n * p.c * p.in_plane(), p.in, channels, c.shape, b, strip + n * v.image);
  }
  return strip;
}

// sums[k] = or += the sum of output channel k's gradient over a block's pixels, for k < rows; grad
// is the first channel's at the block's first pixel.
template <class T>
void sum_rows(const ConvProblem& p, const T* grad, const Block& b, int64_t rows, bool add, T* sums);

// to[i] = the sum of parts[part * step + i] over the parts, in order, for i < count. `to` may be
// the first part.
template <class T>
void add_parts(const T* parts, int64_t number, ptrdiff_t step, int64_t count, T* to);

// Kernel positions in lanes: x is transposed, the gradient broadcast as it lies in memory, and the
// tile writes rows of dw. Wins where dw is large beside the pixels, and for few kernel positions.
template <class T>
size_t weight_by_positions_bytes(const ConvProblem& p, int threads);
template <class T>
void weight_by_positions(const ConvCall<T>& call);

// Output channels in lanes: the gradient is transposed, the strip of x broadcast, dw transposed at
// the end. Wins where there are fewer output channels than kernel positions.
template <class T>
size_t weight_by_outputs_bytes(const ConvProblem& p, int threads);
template <class T>
void weight_by_outputs(const ConvCall<T>& call);

}  // namespace fastconv
