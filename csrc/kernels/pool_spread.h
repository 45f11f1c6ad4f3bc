// Gradients of maxima in channels-last arrays: each window hands them to the taps that its indices
// name.
#pragma once

#include "pool_backward.h"
#include "row.h"

namespace fastconv {
namespace {

template <class T>
int64_t spread(const PoolSpread<T>& g) {
  Mask<T> met{};
  Vec<int64_t> bits{};
  for (ptrdiff_t w = 0; w < g.windows; ++w) {
    const Position<T> moved = static_cast<Position<T>>(w) * g.at_step;
    each_vector<T>(g.channels, [&](ptrdiff_t c, int lanes) {
      const ptrdiff_t from = w * g.channels + c;
      const Mask<T> index = load_index<T>(g.index + from, lanes, bits);
      const Vec<T> grad = get(g.grad + from, lanes);
      const LaneMask<T> there = lanes_between<T>(0, lanes);
      T* dst = g.dst + w * g.step + c;
      for (ptrdiff_t k = 0; k < g.taps; ++k) {
        const LaneMask<T> here = equal<T>(index, Mask<T>{} + (g.at[k] + moved)) & there;
        met = count_where<T>(met, here);
        T* to = dst + g.offsets[k];
        put(to, add_where<T>(get(to, lanes), here, grad), lanes);
      }
    });
  }
  int64_t total = 0;
  for (int i = 0; i < kLanes<T>; ++i) total += met[i];
  return fit<T>(bits) ? total : -1;
}

}  // namespace
}  // namespace fastconv
