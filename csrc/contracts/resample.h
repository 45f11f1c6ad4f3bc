// Resizing rows: weighted sums of rows, and of elements along a row.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pool.h"

namespace fastconv {

// How one vector of consecutive outputs along a row is made: from `taps` elements each, tap t of
// lane l being index[(first + t) * lanes + l] elements after `base`, times the weight that lies
// there.
struct RowGroup {
  ptrdiff_t base;
  ptrdiff_t first;
  int taps;
  bool near;    // every index is below two vectors
  bool ragged;  // a weight of zero means no tap at all, whatever the element is
};

// The elements of a row that each output is made of.
template <class T>
struct AlongRow {
  const T* src;  // readable up to two vectors past any base
  T* dst;
  ptrdiff_t out;  // elements of dst
  const RowGroup* groups;
  const Position<T>* index;
  const T* weights;
};

template <class T>
struct ResampleKernels {
  int lanes;  // of a vector
  // dst[j] = sum over k < taps of weights[k] * src[offsets[k] + j], for j < n. No taps: zeros.
  void (*combine)(const T* src, const ptrdiff_t* offsets, const T* weights, ptrdiff_t taps,
                  ptrdiff_t n, T* dst);
  void (*along)(const AlongRow<T>& g);
  // dst[i * n + j] = sum over start[i] <= k < start[i + 1] of weights[k] * src[offsets[k] + j], for
  // i < out and j < n, n being a vector or more.
  void (*cells)(const T* src, const int64_t* start, const int64_t* offsets, const T* weights,
                ptrdiff_t out, ptrdiff_t n, T* dst);
  // to[i * s + j] = rows[j][i], and back, for i < n and j < s, s being 2, 3 or 4.
  void (*weave)(int s, const T* const* rows, ptrdiff_t n, T* to);
  void (*unravel)(int s, const T* from, ptrdiff_t n, T* const* rows);
};

struct ResampleTable {
  ResampleKernels<float> f32;
  ResampleKernels<double> f64;
};

}  // namespace fastconv
