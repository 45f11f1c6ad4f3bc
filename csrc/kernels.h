// The contracts between ops/ (compiled once) and kernels/ (compiled once per instruction set):
// plain structs and function pointers. Tile geometry travels with the kernels, so loops in ops/
// never ask which instruction set runs.
//
// A family of kernels is one header kernels/<family>.h (the code), one file kernels/<family>.cpp
// (exports the family's table) and one table struct here.
#pragma once

#include <cstddef>
#include <cstdint>

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
  // dst[i * step] = clamp(src[i] + (residual ? residual[i * step] : 0)) for i < count.
  void (*finish_row)(const T* src, const T* residual, ptrdiff_t count, ptrdiff_t step, T lo, T hi,
                     T* dst);
  // The sum of n values, in an order that depends on n alone.
  T (*sum)(const T* x, ptrdiff_t n);
  // out[c * out_row + r] = in[r * in_row + c] for r < rows, c < cols.
  void (*transpose)(const T* in, ptrdiff_t in_row, ptrdiff_t rows, ptrdiff_t cols, T* out,
                    ptrdiff_t out_row);
};

struct GemmTable {
  GemmKernels<float> f32;
  GemmKernels<double> f64;
};

// Rows of n elements; x and y may be the same.
template <class T>
struct PointwiseKernels {
  void (*leaky_relu)(const T* x, T* y, ptrdiff_t n, T slope);
  void (*hardswish)(const T* x, T* y, ptrdiff_t n);
  void (*silu)(const T* x, T* y, ptrdiff_t n);
  void (*gelu)(const T* x, T* y, ptrdiff_t n);
};

struct PointwiseTable {
  PointwiseKernels<float> f32;
  PointwiseKernels<double> f64;
};

// The windows of a pool over one plane (depth, height, width). Window o begins at
// o * stride - pad_lo and its taps are dil apart; with ceil_mode the last one may hang over the
// padding.
struct PoolWindows {
  int64_t in[3] = {1, 1, 1};
  int64_t ker[3] = {1, 1, 1};
  int64_t out[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1};
  int64_t dil[3] = {1, 1, 1};
  int64_t pad_lo[3] = {0, 0, 0};
  int64_t pad_hi[3] = {0, 0, 0};
};

}  // namespace fastconv
