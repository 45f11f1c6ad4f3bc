// Last lanes that are almost alone in their vector (7 x 7 pixels are three vectors of 16 and one
// lane, 14 x 14 are twelve and four): summed as dot products along the depth, instead of a vector
// of which few lanes count.
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

// So many lanes are worth dot products, a quarter of a vector.
template <class T>
constexpr int kLoneLanes = sizeof(T) == 4 && kLanes<T> == 16 ? 4 : 1;

// Rows [row, row + R) of several lanes from j on; those before `from` are done.
template <class T, int R>
__attribute__((noinline)) void some_lone_rows(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t from,
                                              ptrdiff_t j, ptrdiff_t lanes, const T* lane) {
  constexpr int L = kLanes<T>, N = kLoneLanes<T>;
  constexpr auto all = typename Count<L>::Type{};
  const T* a = g.a + row * g.a_row + g.a_off[0];
  Vec<T> acc[R][N];
  FC_UNROLL for (int i = 0; i < R; ++i) {
    FC_UNROLL for (int n = 0; n < N; ++n) acc[i][n] = Vec<T>{};
  }
  const auto step = [&](auto get, ptrdiff_t k) FC_LAMBDA {
    Vec<T> b[N];
    FC_UNROLL for (int n = 0; n < N; ++n) b[n] = get(lane + n * kLoneDepth + k);
    FC_UNROLL for (int i = 0; i < R; ++i) {
      const Vec<T> x = get(a + i * g.a_row + k);
      FC_UNROLL for (int n = 0; n < N; ++n) acc[i][n] = fma(x, b[n], acc[i][n]);
    }
  };
  ptrdiff_t k = 0;
  for (; k + L <= g.depth; k += L) step([](const T* p) FC_LAMBDA { return load(p); }, k);
  if (k < g.depth) {
    const int part = static_cast<int>(g.depth - k);
    step([part](const T* p) FC_LAMBDA { return load_part(p, part); }, k);
  }
  alignas(64) T sums[R * L];
  FC_UNROLL for (int i = 0; i < R; ++i) {
    // Halves, then quarters of four lanes come together in each 16 bytes.
    const Vec<T> s =
        paired<0, 1>(acc[i][0], acc[i][1], all) + paired<1, 1>(acc[i][0], acc[i][1], all);
    const Vec<T> t =
        paired<0, 1>(acc[i][2], acc[i][3], all) + paired<1, 1>(acc[i][2], acc[i][3], all);
    Vec<T> v = paired<0, 2>(s, t, all) + paired<1, 2>(s, t, all);
    v += rotate<T, L / 2>(v, std::make_integer_sequence<int, L>{});
    v += rotate<T, L / 4>(v, std::make_integer_sequence<int, L>{});
    if (g.bias_row) v += splat(g.bias_row[row + i]);
    store(sums + i * L, v);
  }
  join(g, from, row + R - from, j, lanes, sums + (from - row) * L, L);
}

// The last lanes, alone in their vector, made contiguous along the depth: b(k) is where they lie.
template <class T>
class LoneLanes {
 public:
  template <class Where>
  LoneLanes(const GemmBlock<T>& g, const Where& b) : at_(g.lanes - g.lone_lanes) {
    const bool there = g.lone_lanes <= kLoneLanes<T> && g.a_contiguous && g.depth <= kLoneDepth;
    if (!there || g.lone_lanes == 0 || !dense(g)) return;
    count_ = g.lone_lanes;
    for (ptrdiff_t k = 0; k < g.depth; ++k) {
      const T* from = b(k) + at_;
      for (int n = 0; n < count_; ++n) lane_[n * kLoneDepth + k] = from[n];
    }
    if (count_ == 1) return;
    for (int n = count_; n < kLoneLanes<T>; ++n) {
      for (ptrdiff_t k = 0; k < g.depth; ++k) lane_[n * kLoneDepth + k] = T(0);
    }
  }
  ptrdiff_t count() const { return count_; }

  // On their own: rows of C from g.c on, where they are `before` lanes further left than at first.
  void rows(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t before = 0) const {
    constexpr ptrdiff_t R = 4;
    const ptrdiff_t at = at_ - before, end = row + rows;
    if (count_ == 0) return;
    ptrdiff_t i = row;
    if constexpr (kLoneLanes<T> > 1) {
      if (count_ > 1) {
        for (; i < end && rows >= R; i += R) {
          const ptrdiff_t first = i + R <= end ? i : end - R;
          some_lone_rows<T, R>(g, first, i, at, count_, lane_);
        }
        for (; i < end; ++i) some_lone_rows<T, 1>(g, i, i, at, count_, lane_);
        return;
      }
    }
    for (; i + R <= end; i += R) lone_rows<T, R>(g, i, at, lane_);
    for (; i < end; ++i) lone_rows<T, 1>(g, i, at, lane_);
  }

  // Beside a wide tile, which sums whole vectors of the depth of one lane; and the rest, after it.
  Beside<T> beside() {
    if (count_ != 1) return {};
    FC_UNROLL for (int i = 0; i < kWideRows; ++i) store(sums_ + i * kLanes<T>, Vec<T>{});
    return {lane_, sums_};
  }
  void after(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t rows) const {
    if (count_ != 1) return this->rows(g, row, rows);
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
  int count_ = 0;
  ptrdiff_t at_;
  alignas(64) T lane_[kLoneLanes<T> * kLoneDepth];
  alignas(64) T sums_[kWideRows * kLanes<T>];
};

}  // namespace
}  // namespace fastconv
