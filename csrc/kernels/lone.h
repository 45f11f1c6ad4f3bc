// A last lane that is alone in its vector (7 x 7 pixels are three vectors of 16 and one lane):
// summed as dot products along the depth, instead of a vector of which one lane counts.
#pragma once

#include <utility>

#include "wide.h"

namespace fastconv {
namespace {

template <class T, int N, int... I>
FC_INLINE Vec<T> rotate(Vec<T> v, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(v, v, ((I + N) % kLanes<T>)...);
}

// The sum of v's lanes, by halves.
template <class T, int N = kLanes<T> / 2>
FC_INLINE T total(Vec<T> v) {
  v += rotate<T, N>(v, std::make_integer_sequence<int, kLanes<T>>{});
  if constexpr (N > 1) {
    return total<T, N / 2>(v);
  } else {
    return v[0];
  }
}

// The depth of a dot product that keeps its lane of B on the stack.
constexpr ptrdiff_t kLoneDepth = 512;

// C(row, j) from the partial sums of a dot product.
template <class T>
FC_INLINE void finish_lone(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t j, Vec<T> sums) {
  T v = total<T>(sums);
  if (g.bias_row) v += g.bias_row[row];
  T* c = g.c + row * g.c_row + j;
  if (g.accumulate) v += *c;
  if (g.bias_lane) v += g.bias_lane[j];
  if (g.residual) v += g.residual[row * g.residual_row + j];
  if (g.clamped) {
    v = v < g.lo ? g.lo : v;
    v = v > g.hi ? g.hi : v;
  }
  *c = v;
}

// Rows [row, row + R) of lane j: dot products of A's rows, contiguous, with `lane`.
template <class T, int R>
FC_INLINE void lone_rows(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t j, const T* lane) {
  constexpr int L = kLanes<T>;
  const T* a = g.a + row * g.a_row + g.a_off[0];
  Vec<T> acc[R];
  FC_UNROLL for (int i = 0; i < R; ++i) acc[i] = Vec<T>{};
  ptrdiff_t k = 0;
  for (; k + L <= g.depth; k += L) {
    const Vec<T> b = load(lane + k);
    FC_UNROLL for (int i = 0; i < R; ++i) acc[i] = fma(load(a + i * g.a_row + k), b, acc[i]);
  }
  if (k < g.depth) {
    const int part = static_cast<int>(g.depth - k);
    const Vec<T> b = load_part(lane + k, part);
    FC_UNROLL for (int i = 0; i < R; ++i) {
      acc[i] = fma(load_part(a + i * g.a_row + k, part), b, acc[i]);
    }
  }
  FC_UNROLL for (int i = 0; i < R; ++i) finish_lone(g, row + i, j, acc[i]);
}

// The last lane, alone in its vector, made contiguous along the depth: b(k) is where it lies.
template <class T>
class LoneLane {
 public:
  template <class Where>
  LoneLane(const GemmBlock<T>& g, const Where& b)
      : there_(g.lone_lane && g.a_contiguous && g.depth <= kLoneDepth && dense(g)),
        at_(g.lanes - 1) {
    for (ptrdiff_t k = 0; there_ && k < g.depth; ++k) lane_[k] = b(k)[at_];
  }
  ptrdiff_t count() const { return there_; }

  // On its own.
  void rows(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t rows) const {
    if (!there_) return;
    ptrdiff_t i = 0;
    for (; i + 4 <= rows; i += 4) lone_rows<T, 4>(g, row + i, at_, lane_);
    for (; i < rows; ++i) lone_rows<T, 1>(g, row + i, at_, lane_);
  }

  // Beside a wide tile, which sums whole vectors of the depth; and the rest, after it.
  Beside<T> beside() {
    if (!there_) return {};
    FC_UNROLL for (int i = 0; i < kWideRows; ++i) store(sums_ + i * kLanes<T>, Vec<T>{});
    return {lane_, sums_};
  }
  void after(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t rows) const {
    if (!there_) return;
    const int part = static_cast<int>(g.depth % kLanes<T>);
    const ptrdiff_t k = g.depth - part;
    for (ptrdiff_t i = 0; i < rows; ++i) {
      Vec<T> sums = load(sums_ + i * kLanes<T>);
      if (part) {
        const T* a = g.a + (row + i) * g.a_row + g.a_off[0] + k;
        sums = fma(load_part(a, part), load_part(lane_ + k, part), sums);
      }
      finish_lone(g, row + i, at_, sums);
    }
  }

 private:
  bool there_;
  ptrdiff_t at_;
  alignas(64) T lane_[kLoneDepth];
  alignas(64) T sums_[kWideRows * kLanes<T>];
};

}  // namespace
}  // namespace fastconv
