// The contracts between ops/ (compiled once) and kernels/ (compiled once per instruction set):
// plain structs and function pointers. Tile geometry travels with the kernels, so loops in ops/
// never ask which instruction set runs.
//
// A family of kernels is one header kernels/<family>.h (the code), one file kernels/<family>.cpp
// (exports the family's table) and one table struct here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "contracts/rows.h"

// The name under which kernels/<family>.cpp exports its table for the instruction set it is
// compiled for, e.g. fastconv_gemm_avx2.
#define FASTCONV_JOIN2(family, isa) fastconv_##family##_##isa
#define FASTCONV_JOIN(family, isa) FASTCONV_JOIN2(family, isa)
#define FASTCONV_TABLE(family) FASTCONV_JOIN(family, FASTCONV_ISA_NAME)

namespace fastconv {

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
  const T* b;
  ptrdiff_t b_panel;
  const ptrdiff_t* b_off;
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
  // The last lane is alone in its vector: where A's rows are contiguous along the depth it is
  // summed as a dot product, instead of a vector of which one lane counts.
  bool lone_lane;
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

// A run of lanes of a panel that is contiguous in the source.
struct Segment {
  ptrdiff_t src;  // offset in the source, added to the offset of the depth index
  ptrdiff_t dst;  // first lane in the panel
  ptrdiff_t len;
};

template <class T>
struct GemmKernels {
  int mr, nr;  // rows and lanes of the register tile; nr is the width of a packed panel of B
  void (*block)(const GemmBlock<T>& g);
  // panel[k][0..nr) = the segments of src at k_off[k]; lanes outside every segment are zero.
  // Reads exactly the segments, never beyond. panel has room for depth * nr elements.
  void (*pack)(const T* src, const ptrdiff_t* k_off, ptrdiff_t depth, const Segment* segments,
               int count, T* panel);
  // dst[j] = src[first + j * step] for j < count, zero where that lies outside [0, len). A null src
  // is a row of zeros.
  void (*gather_row)(const T* src, ptrdiff_t len, ptrdiff_t first, ptrdiff_t step, ptrdiff_t count,
                     T* dst);
  // dst[i * step] = clamp(src[i] + residual[i * step]) for i < count; a null src is a row of zeros,
  // residual may be null.
  void (*spread)(const T* src, ptrdiff_t step, const T* residual, ptrdiff_t count, T lo, T hi,
                 T* dst);
  // dst[i] = clamp(even[0], odd[0], even[1], odd[1], ... + residual[i]) for i < count; as above.
  void (*zip)(const T* even, const T* odd, const T* residual, ptrdiff_t count, T lo, T hi, T* dst);
  // The sum of n values, in an order that depends on n alone.
  T (*sum)(const T* x, ptrdiff_t n);
  // out[c * out_row + r] = in[r * in_row + c] for r < rows, c < cols.
  void (*transpose)(const T* in, ptrdiff_t in_row, ptrdiff_t rows, ptrdiff_t cols, T* out,
                    ptrdiff_t out_row);
  // out[c * out_row + r] = in[row_off[r] + c] for r < rows, c < cols.
  void (*transpose_rows)(const T* in, const ptrdiff_t* row_off, ptrdiff_t rows, ptrdiff_t cols,
                         T* out, ptrdiff_t out_row);
  void (*dot)(const DotBlock<T>& d);
  // out[i] += the sum of the lanes of vector i of sums, for i < count.
  void (*fold)(const T* sums, ptrdiff_t count, T* out);
};

struct GemmTable {
  GemmKernels<float> f32;
  GemmKernels<double> f64;
};

// Winograd's convolution F(m x m, 3 x 3), n = m + 2. A tile of n x n inputs becomes n * n points,
// the channels are summed at each point by a matrix product, and m x m outputs come back. Channels
// are lanes everywhere. An array of points is addressed as x[i * point + t * tile + channel], where
// i is one of the n * n points and t a tile.

// A row of tiles, `lanes` channels: n x n windows m apart of the input, or m x m windows of the
// output's gradient, brought to points.
template <class T>
struct WinogradIn {
  const T* src;             // the plane of the first channel
  ptrdiff_t plane;          // from channel to channel
  int channels;             // 1 to lanes; the lanes beyond become zero
  ptrdiff_t height, width;  // of a plane, which is surrounded by zeros
  ptrdiff_t y, x;           // corner of the first tile; may lie outside
  int tiles;                // the last tile ends at most `run` pixels behind x
  T* dst;                   // whole vectors are written
  ptrdiff_t tile, point;
};

// Points back to a row of m x m tiles of the output.
template <class T>
struct WinogradOut {
  const T* src;
  ptrdiff_t tile, point;
  int tiles;
  T* dst;  // the plane of the first channel
  ptrdiff_t plane;
  int channels;
  ptrdiff_t height, width;  // of a plane; what tiles have beyond is dropped
  ptrdiff_t y, x;           // corner of the first tile, inside
  const T* bias;            // [channels] or null
  const T* residual;        // addressed like dst, or null; added before the clamp
  T lo, hi;
};

// 3 x 3 filters to points. Lanes are the channels that the product gives, depth those it sums.
//   filter(l, k) = w[l * lane + k * depth + 0..9)     one of the strides is 9
//   u[i * point + k * row + l]
template <class T>
struct WinogradFilter {
  const T* w;
  ptrdiff_t lane, depth;
  int lanes;        // 1 to the table's; the lanes beyond become zero
  ptrdiff_t count;  // filters along the depth
  bool rotate;      // read every filter backwards
  T* u;
  ptrdiff_t row, point;
};

// Points back to 3 x 3 filters, w[l * lane + k * 9 + 0..9).
template <class T>
struct WinogradFilterGrad {
  const T* u;
  ptrdiff_t row, point;
  T* w;
  ptrdiff_t lane;
  int lanes;
  ptrdiff_t count;
};

// C (rows x vectors) = A (rows x depth) times B (depth x vectors), the product at one point.
//   A(i, k) = a[i * a_row + k * a_k]     B(k, j) = b[k * b_k + j]     C(i, j) = c[i * c_row + j]
template <class T>
struct WinogradProduct {
  const T* a;
  ptrdiff_t a_row, a_k;
  const T* b;
  ptrdiff_t b_k;
  T* c;
  ptrdiff_t c_row;
  ptrdiff_t rows, depth;
  bool narrow;               // one vector of lanes instead of nr
  bool resume;               // sums start from C: splitting the depth changes no bit
  bool add;                  // sums are added to C: short sums err less
  const T *next_a, *next_b;  // what the products after this one read: fetched meanwhile
  ptrdiff_t next_a_bytes, next_b_bytes;
};

template <class T>
struct WinogradTile {
  int m;
  void (*input)(const WinogradIn<T>& g);
  bool (*output)(const WinogradOut<T>& g);  // whether all sums were finite
  void (*filter)(const WinogradFilter<T>& g);
  void (*grad)(const WinogradIn<T>& g);
  bool (*filter_grad)(const WinogradFilterGrad<T>& g);  // whether all sums were finite
};

template <class T>
struct WinogradKernels {
  int lanes;   // of a vector
  int mr, nr;  // rows and lanes of the product's register tile
  int run;     // pixels of a row that the transforms take at once
  void (*product)(const WinogradProduct<T>& g);
  WinogradTile<T> f2, f4;
};

struct WinogradTable {
  WinogradKernels<float> f32;
  WinogradKernels<double> f64;
};

// Vertically adjacent taps of one source plane, a fixed distance apart in the source and in the
// weights, for every tap column.
struct TapBand {
  ptrdiff_t src;  // offset of the first tap's row in the strip, for output row 0
  ptrdiff_t row;  // the same as a row number within the plane, to tell rows of padding
  ptrdiff_t w;    // offset of the first tap's weight
};

// Output rows as sums of shifted source rows:
//
//   out[i, j] = clamp(bias + residual[i, j] + sum over bands, taps t and columns s of
//       w[band.w + t * w_row + w_col[s]] * src[band.src + (i + t) * src_row + col[s] + j])
//
// for several planes, each with its own weights. Output rows and taps advance by the same source
// distance, so a row that is loaded once serves all the taps of a band. Reads up to a vector past
// the last column.
template <class T>
struct BandSum {
  const T* src;
  ptrdiff_t src_row;
  const T* w;
  ptrdiff_t w_row;
  const TapBand* bands;
  ptrdiff_t bands_count;
  int taps;  // of every band: one of 1 .. 5 and max_taps
  const ptrdiff_t* col;
  const ptrdiff_t* w_col;
  ptrdiff_t cols;
  // Rows i + t of a band are row numbers band.row + (i + t) * row_step; those outside [row_lo,
  // row_hi) are zero and may be skipped.
  ptrdiff_t row_step, row_lo, row_hi;
  T* out;
  ptrdiff_t out_row;
  ptrdiff_t rows, width;
  bool accumulate;    // add to out as it is, instead of bias
  const T* bias;      // of the first plane, or null
  const T* residual;  // or null
  ptrdiff_t residual_row;
  bool clamped;
  T lo, hi;
  ptrdiff_t planes;
  ptrdiff_t next_src, next_w, next_out, next_bias;  // from plane to plane; residual like out
};

// One tile of taps of the weight gradient, for several planes:
//   sums[(t * cols + s) * lanes + l] += sum over i, j (j = l mod lanes) of
//       grad[i * grad_row + j] * src[(i + t) * src_row + col[s] + j]
template <class T>
struct BandDots {
  const T* src;
  ptrdiff_t src_row;
  const T* grad;
  ptrdiff_t grad_row;
  ptrdiff_t rows, width;
  const ptrdiff_t* col;
  int taps, cols;  // cols at most dot_cols(taps)
  T* sums;
  ptrdiff_t planes, next_src, next_grad, next_sums;
};

// Rows of planes, moved into a strip and out again. There a row is split by column phase: column c
// of a row that begins at column `first` is at (first + c) % step * pitch + (first + c) / step.
template <class T>
struct RowMove {
  const T* src;
  ptrdiff_t src_row, src_plane;
  T* dst;
  ptrdiff_t dst_row, dst_plane;
  ptrdiff_t planes, rows, cols;
  ptrdiff_t step, first, pitch;
};

template <class T>
struct DepthwiseKernels {
  int lanes, max_taps;
  void (*sum)(const BandSum<T>& g);
  int (*dot_cols)(int taps);
  void (*dot)(const BandDots<T>& g);
  // Sums of lanes: out[i * out_row + j] = the sum of the lanes of the vector i * cols + j of in.
  void (*lane_sums)(const T* in, ptrdiff_t rows, ptrdiff_t cols, T* out, ptrdiff_t out_row);
  // Into the strip. May write zeros up to a vector past the end of a row or phase.
  void (*fill)(const RowMove<T>& m);
  // Out of a strip whose rows begin at column 0.
  void (*interleave)(const RowMove<T>& m);
};

struct DepthwiseTable {
  DepthwiseKernels<float> f32;
  DepthwiseKernels<double> f64;
};

}  // namespace fastconv
