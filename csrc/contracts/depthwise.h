// Depthwise and grouped convolution: sums of shifted rows.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastconv {

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
