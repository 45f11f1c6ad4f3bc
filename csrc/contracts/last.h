// Convolutions in float32 where the channels lie last: products with whole vectors of outputs, and
// depthwise sums, a vector of channels at a time. Channels up to a whole vector are read and
// written.
#pragma once

#include <cstddef>

namespace fastconv {

// Where the depth of a product lies in pieces: those of `a` from `a` on, those of B in rows. Of a
// dot product, where a tap is in the source and in the result.
struct LastPiece {
  ptrdiff_t a, b;
};

// c[c_off[i] + j] = clamp(bias[j] + sum over pieces t and k < depth of
//     a[i * a_row + pieces[t].a + k] * B(pieces[t].b + k, j)),
// where B lies in panels of `lanes` outputs: B(k, j) = b[j / lanes * b_panel + k * lanes + j %
// lanes]. With a_off, row i begins at a_off[i] instead.
struct LastProduct {
  const float* a;
  ptrdiff_t a_row;
  const ptrdiff_t* a_off;
  const LastPiece* pieces;
  ptrdiff_t count;
  const float* b;
  ptrdiff_t b_panel;
  const float* bias;
  float* c;
  const ptrdiff_t* c_off;
  ptrdiff_t rows, depth, outputs;
  float lo, hi;
};

// Rows i < rows of outputs j < width:
//
//   out[i * out_row + j * out_step + e] = clamp(bias[e] + sum over t < taps of
//       w[t * w_tap + e] * src[i * src_row + j * src_step + tap_off[t] + e])
struct LastSum {
  const float* src;
  ptrdiff_t src_row, src_step;
  const ptrdiff_t* tap_off;
  ptrdiff_t taps;
  const float* w;
  ptrdiff_t w_tap;
  const float* bias;
  float* out;
  ptrdiff_t out_row, out_step;
  ptrdiff_t rows, width, channels;
  float lo, hi;
};

// Gradients of the weights of such sums, for t < taps:
//
//   out[pieces[t].b + e] += sum over i < rows and j < width of
//       grad[i * grad_row + j * grad_step + e] * src[i * src_row + j * src_step + pieces[t].a + e]
struct LastDot {
  const float* grad;
  ptrdiff_t grad_row, grad_step;
  const float* src;
  ptrdiff_t src_row, src_step;
  const LastPiece* pieces;
  ptrdiff_t taps;
  float* out;
  ptrdiff_t rows, width, channels;
};

struct LastTable {
  int lanes;  // of a panel
  void (*product)(const LastProduct& g);
  void (*sum)(const LastSum& g);
  void (*dot)(const LastDot& g);
  void (*spread)(const LastDot& g);  // with one element of src for all channels: no + e there
};

}  // namespace fastconv
