// Winograd's convolution F(m x m, 3 x 3), n = m + 2. A tile of n x n inputs becomes n * n points,
// the channels are summed at each point by a matrix product, and m x m outputs come back. Channels
// are lanes everywhere. An array of points is addressed as x[i * point + t * tile + channel], where
// i is one of the n * n points and t a tile.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastconv {

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
  bool narrow;      // one vector of lanes instead of nr
  bool resume;      // sums start from C: splitting the depth changes no bit
  bool add;         // sums are added to C: short sums err less
  const T* next_a;  // A of the next product, whose first rows are fetched meanwhile
  // What later products read: this many elements are brought nearer, to the second-level cache if
  // a_k is 1 (large products), else to the first.
  const T *far_a, *far_b;
  ptrdiff_t far_a_count, far_b_count;
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

// F(4, 3) along one axis alone: n elements of some rows to those of others, element by element.
// Returns whether all results are finite; of transforms to points that is not said.
template <class T>
struct WinogradLines {
  using Transform = bool(const T* const* from, T* const* to, ptrdiff_t n, T add);
  Transform *input, *grad, *filter;  // 6 inputs, 4 gradients or 3 taps to 6 points
  Transform *output, *filter_grad;   // 6 points to 4 outputs, plus `add`, or to 3 taps
};

template <class T>
struct WinogradKernels {
  int lanes;   // of a vector
  int mr, nr;  // rows and lanes of the product's register tile
  int run;     // pixels of a row that the transforms take at once
  void (*product)(const WinogradProduct<T>& g);
  WinogradTile<T> f2, f4;  // f4 and lines: of floats alone
  WinogradLines<T> lines;
};

struct WinogradTable {
  WinogradKernels<float> f32;
  WinogradKernels<double> f64;
};

}  // namespace fastconv
