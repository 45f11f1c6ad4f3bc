// Convolution with filters in the lanes of vectors: weights are loaded, pixels are broadcast.
#pragma once

#include <cstddef>

namespace fastconv {

// Sums for rows of pixels and one or two vectors of filters:
//
//   sums[(i * width + j) * V + v] (+)= sum over k < depth of
//       w[k * V + v] * x[x_off[k] + i * x_row + j]          V = vectors * lanes
template <class T>
struct BroadcastTiles {
  const T* x;
  ptrdiff_t x_row;
  const ptrdiff_t* x_off;
  const T* w;
  ptrdiff_t depth;
  int vectors;
  ptrdiff_t rows, width;
  const T* start;  // [V] what the sums start from, or null: they are added to what is there
  T* sums;
};

// Sums of filters as rows of pixels: dst[f * dst_row + p] = clamp(sums[p * sums_row + f] +
// residual[f * dst_row + p]).
template <class T>
struct BroadcastStore {
  const T* sums;
  ptrdiff_t sums_row;
  ptrdiff_t pixels, filters;
  T* dst;
  ptrdiff_t dst_row;
  const T* residual;  // addressed like dst, or null
  T lo, hi;
};

template <class T>
struct BroadcastKernels {
  int lanes;
  int pixels;  // of a tile of two vectors
  void (*tiles)(const BroadcastTiles<T>& g);
  void (*store)(const BroadcastStore<T>& s);
};

struct BroadcastTable {
  BroadcastKernels<float> f32;
  BroadcastKernels<double> f64;
};

}  // namespace fastconv
