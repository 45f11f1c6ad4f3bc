// Convolution of whole small planes, read where they lie: depthwise and grouped layers without a
// copy.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastconv {

// Where the taps of a plane lie: output (i, j) reads input (i * step + r - top, j * step + s -
// left) for r < rows, s < cols. What is said of rows and cols holds for all but PlaneLanes.
struct PlaneTaps {
  int rows, cols;  // rows: 3, 5 or with step 1 also 7; cols: at most most_cols
  ptrdiff_t top, left;
  int step;  // 1 or 2
};

// Some output planes of a group, for several units (a unit is a group of an image):
//
//   out[o, i, j] = clamp(bias[o] + residual[o, i, j] + sum over sources c and taps (r, s) of
//       w[o * w_result + c * w_source + r * w_row + s * w_col] *
//       src[c, i * step + r - top, j * step + s - left])
//
// Taps outside the plane count as zero and are skipped, so weights must be finite. May read
// reach(g) elements before the planes of a unit and after them, but does not use what is there.
// Padding is less than the taps on every side.
template <class T>
struct PlaneSum {
  PlaneTaps taps;
  const T* src;
  ptrdiff_t in_rows, in_cols;  // planes lie one after the other
  ptrdiff_t sources;
  const T* w;
  ptrdiff_t w_result, w_source, w_row, w_col;
  T* out;
  ptrdiff_t out_rows, out_cols;
  ptrdiff_t row_lo, row_hi;  // output rows to compute; all of them where whole_planes(g)
  ptrdiff_t results;
  const T* bias;      // of the first result, or null
  const T* residual;  // like out, or null
  bool clamped;
  T lo, hi;
  ptrdiff_t units;
  ptrdiff_t next_src, next_w, next_out, next_bias;  // from unit to unit; residual like out
};

// Weight gradients of several units:
//
//   dw[o * w_result + (c * rows + r) * cols + s] =
//       sum over (i, j) of grad[o, i, j] * src[c, i * step + r - top, j * step + s - left]
//
// or that added to it. Taps outside the plane are skipped, whatever the gradient is there. Reads
// like PlaneSum, up to dot_reach(g) beside the planes of either array.
template <class T>
struct PlaneDots {
  PlaneTaps taps;
  const T* src;
  ptrdiff_t in_rows, in_cols;
  ptrdiff_t sources;
  const T* grad;
  ptrdiff_t out_rows, out_cols;
  ptrdiff_t results;
  T* dw;
  ptrdiff_t w_result;
  bool add;
  ptrdiff_t units;
  ptrdiff_t next_src, next_grad, next_w;
};

// Depthwise convolution of several planes, channels in the lanes: for every channel c
//
//   out[c, i, j] = clamp(bias[c] + residual[c, i, j] + sum over taps (r, s) inside the plane of
//       w[c, r, s] * src[c, i * step + r - top, j * step + s - left])
//
// with the taps in reverse where `reversed`. Weights must be finite. Touches nothing outside the
// arrays. Kernels of any size; step is 1 or 2.
template <class T>
struct PlaneLanes {
  PlaneTaps taps;
  bool reversed;
  ptrdiff_t channels;
  const T* src;
  ptrdiff_t in_rows, in_cols;
  const T* w;
  T* out;
  ptrdiff_t out_rows, out_cols;
  const T* bias;      // or null
  const T* residual;  // like out, or null
  T lo, hi;
  T* scratch;  // a vector for every tap and for every element of a plane of src and of out
};

template <class T>
struct PlaneKernels {
  int most_cols;         // 0: there are no kernels for this type
  ptrdiff_t most_width;  // of an output plane
  void (*sum)(const PlaneSum<T>& g);
  // The input gradient of step 2: src is the gradient, out the result, w as in the forward
  // direction. Square kernels of odd extent R with top = left = R / 2; no bias, residual or clamp.
  // row_lo is even.
  void (*spread)(const PlaneSum<T>& g);
  void (*lanes)(const PlaneLanes<T>& g);
  bool (*whole_planes)(const PlaneSum<T>& g);
  ptrdiff_t (*reach)(const PlaneSum<T>& g);
  void (*dot)(const PlaneDots<T>& g);
  ptrdiff_t (*dot_reach)(const PlaneDots<T>& g);
  bool (*all_finite)(const T* x, ptrdiff_t n);
};

struct PlaneTable {
  PlaneKernels<float> f32;
  PlaneKernels<double> f64;
};

}  // namespace fastconv
