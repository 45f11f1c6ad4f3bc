// The register tile over tables of offsets, and moving data into the shape that it reads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastconv {

// A run of lanes of a panel that is contiguous in the source.
struct Segment {
  ptrdiff_t src;  // offset in the source, added to the offset of the depth index
  ptrdiff_t dst;  // first lane in the panel
  ptrdiff_t len;
};

// A block of C (rows x lanes) = A (rows x depth) times B (depth x lanes), where both operands are
// addressed through tables of offsets along the depth. That one indirection makes the same kernel
// an ordinary matrix product, a convolution over a padded image without im2col, a convolution with
// weights read backwards (input gradient) and a product over pixels (weight gradient).
//
//   A(i, k) = a[i * a_row + a_off[k]]                        broadcast over lanes
//   B(k, j) = b[(j / nr) * b_panel + b_off[k] + j % nr]      nr lanes at a time
//   C(i, j) = c[i * c_row + j]
template <class T>
struct GemmBlock {
  const T* a;
  ptrdiff_t a_row;
  const ptrdiff_t* a_off;
  bool a_contiguous;  // a_off[k] = a_off[0] + k: the quickest way through A
  const T* b;
  ptrdiff_t b_panel;
  const ptrdiff_t* b_off;
  // The depth may be runs of so many indices, in which A is contiguous and B follows itself:
  // a_off[k + 1] = a_off[k] + 1 and b_off[k + 1] = b_off[k] + nr. 0: it is not.
  ptrdiff_t run;
  // Or B is not packed yet: B(k, j) = source[source_off[k] + j], of which nothing is read beyond
  // the lanes. So many panels at a time are then packed on their way through the first rows, into
  // `panel`, and read there by the others through b_off.
  const T* source;  // or null
  const ptrdiff_t* source_off;
  T* panel;
  ptrdiff_t panels;
  // Or one panel's lanes are such runs of the source, read exactly; lanes <= nr.
  const Segment* segments;  // or null
  int segment_count;
  T* c;
  ptrdiff_t c_row;
  ptrdiff_t rows, lanes, depth;
  bool accumulate;     // C += A B instead of C = A B
  const T* bias_row;   // [rows], where the sums start, or null
  const T* bias_lane;  // [lanes], or null
  const T* residual;   // addressed like C with residual_row, added after the bias, or null
  ptrdiff_t residual_row;
  bool clamped;  // the result is clamped to [lo, hi]; NaN passes
  T lo, hi;
  // So many last lanes are almost alone in their vector: where A is contiguous, and they are few
  // enough, they are summed as dot products, instead of a vector of which few lanes count.
  int lone_lanes;
};

// Sums of products along rows of pixels, for few outputs: C(i, j) += sum over segments s and x <
// width of a[i * a_row + a_seg[s] + x] * b[b_off[j] + b_seg[s] + x]. The sums stay vectors, a lane
// each for every kLanes-th x, until they are folded.
template <class T>
struct DotBlock {
  const T* a;
  ptrdiff_t a_row;
  const ptrdiff_t* a_seg;
  const T* b;
  const ptrdiff_t* b_off;
  const ptrdiff_t* b_seg;
  ptrdiff_t rows, cols, segments, width;
  T* sums;  // [rows][cols][lanes of a vector]
};

// Rows of several planes split by column phase: for each wanted phase f < step,
// dst[p * dst_plane + (above + r) * dst_row + f * dst_phase + j] =
//     src[p * src_plane + r * src_row + first + f + j * step] for r < rows and j < count,
// zero where that lies outside a row's [0, len). Rows above and below are zero.
template <class T>
struct StripRows {
  const T* src;
  ptrdiff_t src_row, src_plane, len, first, step;
  uint64_t phases;  // bit f: phase f is wanted; phases beyond 63 are
  T* dst;
  ptrdiff_t dst_row, dst_phase, dst_plane;
  ptrdiff_t planes, rows, count;
  ptrdiff_t above, below;
};

// Weights of so many terms a channel, turned: out[r * out_row + c * terms + i] = w[r * w_row + c *
// w_channel + weight[i]] for r < rows, c < channels, i < terms.
template <class T>
struct Turn {
  const T* w;
  ptrdiff_t w_row, w_channel;
  const ptrdiff_t* weight;
  ptrdiff_t terms, rows, channels;
  T* out;
  ptrdiff_t out_row;
};

constexpr int kMostWoven = 4;

template <class T>
struct GemmKernels {
  int mr, nr;  // rows and lanes of the register tile; nr is the width of a packed panel of B
  void (*block)(const GemmBlock<T>& g);
  // panel[k][0..nr) = the segments of src at k_off[k]; lanes outside every segment are zero.
  // Reads exactly the segments, never beyond. panel has room for depth * nr elements.
  void (*pack)(const T* src, const ptrdiff_t* k_off, ptrdiff_t depth, const Segment* segments,
               int count, T* panel);
  // The same of runs twice as long in the source, of which every second element counts.
  void (*pack_halves)(const T* src, const ptrdiff_t* k_off, ptrdiff_t depth,
                      const Segment* segments, int count, T* panel);
  void (*fill_rows)(const StripRows<T>& s);
  // dst[i * step] = clamp(src[i] + residual[i * step]) for i < count; a null src is a row of zeros,
  // residual may be null.
  void (*spread)(const T* src, ptrdiff_t step, const T* residual, ptrdiff_t count, T lo, T hi,
                 T* dst);
  // dst[i] = clamp(from[i % ways][i / ways] + residual[i]) for i < count, 2 to kMostWoven ways;
  // null pointers as above.
  void (*weave)(const T* const* from, int ways, const T* residual, ptrdiff_t count, T lo, T hi,
                T* dst);
  // The sum of n values, in an order that depends on n alone.
  T (*sum)(const T* x, ptrdiff_t n);
  // out[c * out_row + r] = in[r * in_row + c] for r < rows, c < cols.
  void (*transpose)(const T* in, ptrdiff_t in_row, ptrdiff_t rows, ptrdiff_t cols, T* out,
                    ptrdiff_t out_row);
  // out[c * out_row + r] = in[row_off[r] + c] for r < rows, c < cols.
  void (*transpose_rows)(const T* in, const ptrdiff_t* row_off, ptrdiff_t rows, ptrdiff_t cols,
                         T* out, ptrdiff_t out_row);
  void (*turn)(const Turn<T>& t);
  void (*dot)(const DotBlock<T>& d);
  // out[i] += the sum of the lanes of vector i of sums, for i < count.
  void (*fold)(const T* sums, ptrdiff_t count, T* out);
};

struct GemmTable {
  GemmKernels<float> f32;
  GemmKernels<double> f64;
};

}  // namespace fastconv
