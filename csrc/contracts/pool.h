// Pooling: two passes over rows, forward and backward.
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

// Positions in a plane or numbers of a window's taps, one lane beside each value.
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
  Position<T>* at;  // the tap that the maximum is, laid out like dst
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
  // Which tap a maximum is: tap_at[k], to which src_at, laid out like src, is added where there is
  // one. Where no value is above -inf it is the window's first, tap_at[0] + first[q], or -1 where
  // first[q] is. `where` is laid out like dst, in integers of where_size bytes: 1, 4 or 8.
  const Position<T>* src_at;
  const Position<T>* tap_at;
  const Position<T>* first;
  void* where;
  int where_size;
};

// Backward, by taps. dst[r][q] = the sum over k of grad[r * step + offsets[k] + q] where `where`
// there is numbers[k], for q < out; dst has rows of dst_pitch.
template <class T>
struct PoolPick {
  const T* grad;
  const uint8_t* where;
  const ptrdiff_t* offsets;
  const uint8_t* numbers;
  ptrdiff_t taps;
  ptrdiff_t rows, step, out;
  T* dst;
  ptrdiff_t dst_pitch;
};

// The stride of windows along the width that PoolSelect is for; scattering is as quick for others.
constexpr int kSelectStride = 2;

// Where no element meets two windows (they start at multiples of their stride without padding and
// are not longer than it): rows [row, row + rows) of a plane, `len` wide, each element the gradient
// of the window that points at it. dst is the first of these rows and pos its position; grad and
// index are the plane's windows, `windows` rows of `out`. count[lane] grows by the number of
// windows that were met. False if a position is negative or does not fit the lanes.
template <class T>
struct PoolSelect {
  const T* grad;
  const int64_t* index;
  ptrdiff_t windows, out;
  ptrdiff_t stride, taps;  // of rows
  ptrdiff_t col_taps;      // along the width
  ptrdiff_t row, rows, len;
  ptrdiff_t planes;  // more than one only if these are all their rows
  Position<T> pos;
  T* dst;
  ptrdiff_t room;  // as in PoolStack
  Position<T>* count;
};

// dst[r * out + c] = phase[c % phases][r * pitch + c / phases]. Rows may be written up to a whole
// vector as long as that stays below dst + room.
template <class T>
struct PoolWeave {
  const T* const* phase;
  ptrdiff_t phases, pitch;
  ptrdiff_t rows, out;
  T* dst;
  ptrdiff_t room;
};

template <class T>
struct PoolKernels {
  int lanes;  // of a vector
  void (*max_rows)(const PoolRows<T>& g);
  void (*sum_rows)(const PoolRows<T>& g);
  void (*max_rows_at)(const PoolRows<T>& g);
  void (*max_stack)(const PoolStack<T>& g);
  void (*max_stack_at)(const PoolStack<T>& g);
  void (*max_stack_taps)(const PoolStack<T>& g);
  void (*sum_stack)(const PoolStack<T>& g);
  void (*average_stack)(const PoolStack<T>& g);
  // y[i] = the reduction of x[i * len .. (i + 1) * len), for i < runs.
  void (*max_runs)(const T* x, ptrdiff_t len, ptrdiff_t runs, T* y);
  void (*sum_runs)(const T* x, ptrdiff_t len, ptrdiff_t runs, T* y);
  bool (*select)(const PoolSelect<T>& g);
  void (*pick)(const PoolPick<T>& g);
  void (*weave)(const PoolWeave<T>& g);
};

struct PoolTable {
  PoolKernels<float> f32;
  PoolKernels<double> f64;
};

}  // namespace fastconv
