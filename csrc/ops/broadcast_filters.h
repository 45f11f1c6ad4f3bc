// The weights of a convolution as broadcast_conv reads them: filters next to each other.
#pragma once

#include <algorithm>
#include <cstring>

#include "../isa.h"
#include "parallel.h"
#include "tap_conv.h"

namespace fastconv {

// Filters of two vectors, or of the last one alone, for every phase:
// [group][pair of vectors][phase][channel][term][filter of the pair]
template <class T>
class Filters {
 public:
  Filters(const TapConv<T>& t, T* to)
      : t_(t), to_(to), lanes_(of_type<T>(*kernels().broadcast).lanes) {}

  int64_t vectors() const { return ceil_div(t_.rows, lanes_); }
  int64_t pairs() const { return ceil_div(vectors(), 2); }
  int64_t products() const { return t_.channels * static_cast<int64_t>(t_.terms.size()); }
  int64_t width(int64_t pair) const { return std::min<int64_t>(2, vectors() - 2 * pair) * lanes_; }

  T* at(int64_t group, int64_t pair) const {
    return to_ + (group * vectors() + 2 * pair) * lanes_ * products();
  }

  void prepare(int threads) const {
    parallel_for(t_.groups * pairs(), threads,
                 [&](int64_t task, int) { fill(task / pairs(), task % pairs()); });
  }

 private:
  // Whether the weights of a filter lie in the order of the products.
  bool in_order() const {
    const int64_t terms = static_cast<int64_t>(t_.terms.size());
    if (t_.phases() > 1 || t_.w_channel != terms) return false;
    for (int64_t i = 0; i < terms; ++i) {
      if (t_.terms[i].weight != i) return false;
    }
    return true;
  }

  void fill(int64_t group, int64_t pair) const {
    const auto& gemm = of_type<T>(*kernels().gemm);
    const int64_t r0 = 2 * pair * lanes_, width = this->width(pair);
    const int64_t rows = std::min(width, t_.rows - r0);
    const T* w = t_.w + group * t_.w_group + r0 * t_.w_row;
    T* to = at(group, pair);
    if (rows < width) std::memset(to, 0, static_cast<size_t>(width * products()) * sizeof(T));
    if (in_order()) return gemm.transpose(w, t_.w_row, rows, products(), to, width);
    for (int64_t f = 0; f < t_.phases(); ++f) {
      for (int64_t c = 0; c < t_.channels; ++c) {
        for (int64_t i = t_.first[f]; i < t_.first[f + 1]; ++i, to += width) {
          const T* from = w + c * t_.w_channel + t_.terms[i].weight;
          for (int64_t r = 0; r < rows; ++r) to[r] = from[r * t_.w_row];
        }
      }
    }
  }

  const TapConv<T>& t_;
  T* const to_;
  const int64_t lanes_;
};

}  // namespace fastconv
