// Winograd's transforms along one axis alone, element by element of rows.
#pragma once

#include "../kernels.h"
#include "vec.h"
#include "winograd_points.h"

namespace fastconv {
namespace {

// Transforms vectors, and adds up results, which are finite if their sum is.
template <class T, class P, class Tf, bool kWeights>
FC_INLINE void line(const Vec<T>* d, Vec<T> plus, Vec<T>* r, Vec<T>* sum) {
  Tf::run(d, r);
  FC_UNROLL for (int i = 0; i < Tf::kTo; ++i) {
    if (kWeights) r[i] = weighted<P>(r[i], 1, i);
    if (Tf::kTo < Tf::kFrom) *sum += r[i] += plus;
  }
}

template <class T, class Tf>
FC_INLINE bool finite_line(Vec<T> sum) {
  bool finite = true;
  for (int l = 0; Tf::kTo < Tf::kFrom && l < kLanes<T>; ++l) finite &= sum[l] * 0 == T(0);
  return finite;
}

// Less than a vector of elements.
template <class T, class P, class Tf, bool kWeights>
__attribute__((noinline)) bool few_lines(const T* const* from, T* const* to, int n, T add) {
  Vec<T> d[Tf::kFrom], r[Tf::kTo], sum{};
  FC_UNROLL for (int i = 0; i < Tf::kFrom; ++i) d[i] = load_part(from[i], n);
  line<T, P, Tf, kWeights>(d, splat(add), r, &sum);
  FC_UNROLL for (int i = 0; i < Tf::kTo; ++i) store_part(to[i], r[i], n);
  return finite_line<T, Tf>(sum);
}

// Tf of elements [0, n) of the rows; at the points of filters (kWeights) weighted.
template <class T, class P, class Tf, bool kWeights>
bool lines(const T* const* from, T* const* to, ptrdiff_t n, T add) {
  constexpr ptrdiff_t L = kLanes<T>;
  if (n < L) return few_lines<T, P, Tf, kWeights>(from, to, static_cast<int>(n), add);
  const T* sources[Tf::kFrom];
  T* results[Tf::kTo];
  FC_UNROLL for (int i = 0; i < Tf::kFrom; ++i) sources[i] = from[i];
  FC_UNROLL for (int i = 0; i < Tf::kTo; ++i) results[i] = to[i];
  const Vec<T> plus = splat(add);
  Vec<T> sum{};
  for (ptrdiff_t j = 0; j < n; j += L) {
    if (n - j < L) j = n - L;  // the last vector begins before the one before it ends
    Vec<T> d[Tf::kFrom], r[Tf::kTo];
    FC_UNROLL for (int i = 0; i < Tf::kFrom; ++i) d[i] = load(sources[i] + j);
    line<T, P, Tf, kWeights>(d, plus, r, &sum);
    FC_UNROLL for (int i = 0; i < Tf::kTo; ++i) store(results[i] + j, r[i]);
  }
  return finite_line<T, Tf>(sum);
}

template <class T, class P>
constexpr WinogradLines<T> winograd_lines() {
  return {lines<T, P, typename P::Input, false>, lines<T, P, typename P::Grad, true>,
          lines<T, P, typename P::Filter, true>, lines<T, P, typename P::Output, false>,
          lines<T, P, typename P::FilterGrad, false>};
}

}  // namespace
}  // namespace fastconv
