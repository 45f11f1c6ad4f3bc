// The contracts of the pool kernels; as kernels.h for the other families.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastconv {

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

// A pool is two passes. Rows: windows along the width, for every row of the input that is needed,
// into scratch. Stacks: the rows that a row of outputs is made of, combined, into the output.

// Positions in a plane, one lane beside each value.
template <class T>
struct PositionOf {
  using Type = int32_t;
};
template <>
struct PositionOf<double> {
  using Type = int64_t;
};
template <class T>
using Position = typename PositionOf<T>::Type;

// dst[r][q] = the reduction of the taps of window q of row r, where tap k of window q is at index
// first + q * stride + k * dil and taps outside [0, len) do not count.
template <class T>
struct PoolRows {
  const T* src;
  ptrdiff_t src_pitch;
  ptrdiff_t rows, len;
  ptrdiff_t first, taps, stride, dil, out;
  T* dst;  // each row is written up to a whole vector
  ptrdiff_t dst_pitch;
  // Where the maximum was: origin + r * src_pitch + its index. Laid out like dst.
  Position<T>* at;
  Position<T> origin;
};

// dst[r][q] = the reduction over k of src[r * step + offsets[k] + q], for q < out. An average is
// divided by div[q], whose reciprocal is inv[q].
template <class T>
struct PoolStack {
  const T* src;
  const ptrdiff_t* offsets;
  ptrdiff_t taps;
  ptrdiff_t rows, step, out;
  T* dst;
  ptrdiff_t dst_pitch;
  // With spill, rows may be written up to a whole vector, as long as that stays below dst + room;
  // src, div and first may then be read as far.
  bool spill;
  ptrdiff_t room;
  const T* div;
  const T* inv;
  // Positions of maxima: src_at is laid out like src, index like dst. base is added. Where no value
  // is above -inf the position is that of the window's first element: first_row + r *
  // first_row_step + first[q], or -1 where first[q] is.
  const Position<T>* src_at;
  int64_t* index;
  Position<T> base;
  const Position<T>* first;
  Position<T> first_row, first_row_step;
};

template <class T>
struct PoolKernels {
  int lanes;  // of a vector
  void (*max_rows)(const PoolRows<T>& g);
  void (*sum_rows)(const PoolRows<T>& g);
  void (*max_rows_at)(const PoolRows<T>& g);
  void (*max_stack)(const PoolStack<T>& g);
  void (*max_stack_at)(const PoolStack<T>& g);
  void (*average_stack)(const PoolStack<T>& g);
};

struct PoolTable {
  PoolKernels<float> f32;
  PoolKernels<double> f64;
};

}  // namespace fastconv
