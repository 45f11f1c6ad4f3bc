// The windows of channels-last pools: where their taps are and what they are divided by.
#pragma once

#include "../isa.h"
#include "pool_blocks.h"
#include "pool_plain.h"
#include "pool_tiles.h"

namespace fastconv {

// Rows of c equal divisors, each followed by its reciprocals, for every count a window can have.
template <class T>
class ChannelDivisors {
 public:
  ChannelDivisors(const PoolProblem& p, const AverageRule& rule) : c_(p.c) {
    for (const T n : window_divisors<T>(p, rule)) {
      const size_t i =
          static_cast<size_t>(std::find(counts_.begin(), counts_.end(), n) - counts_.begin());
      if (i == counts_.size()) counts_.push_back(n);
      of_window_.push_back(i);
    }
    for (const T n : counts_) {
      table_.insert(table_.end(), static_cast<size_t>(c_), n);
      table_.insert(table_.end(), static_cast<size_t>(c_), T(1) / n);
    }
  }
  void set(PoolStack<T>& g, int64_t window) const {
    g.div = table_.data() + of_window_[static_cast<size_t>(window)] * static_cast<size_t>(2 * c_);
    g.inv = g.div + c_;
  }
  bool same(int64_t a, int64_t b) const {
    return of_window_[static_cast<size_t>(a)] == of_window_[static_cast<size_t>(b)];
  }

 private:
  int64_t c_;
  std::vector<T> counts_;
  std::vector<size_t> of_window_;
  std::vector<T> table_;
};

inline size_t most_taps(const PoolProblem& p) {
  int64_t taps = 1;
  for (int axis = 0; axis < 3; ++axis) taps *= std::min(p.ker[axis], p.in[axis]);
  return static_cast<size_t>(taps);
}

// The taps of every window along the width.
inline std::vector<Taps> columns(const PoolProblem& p) {
  std::vector<Taps> along;
  for (int64_t q = 0; q < p.out[2]; ++q) along.push_back(taps_within(p, 2, q, p.in[2]));
  return along;
}

// Windows from q on that meet as many elements as q does.
inline int64_t alike(const std::vector<Taps>& along, int64_t q) {
  const Taps& first = along[static_cast<size_t>(q)];
  const int64_t out = static_cast<int64_t>(along.size());
  int64_t end = q + 1;
  while (end < out && along[static_cast<size_t>(end)].first == first.first &&
         along[static_cast<size_t>(end)].last == first.last) {
    ++end;
  }
  return end - q;
}

// The taps of a window that are inside: their numbers, and offsets of their channels.
template <class P>
ptrdiff_t list_taps(const PoolProblem& p, const Taps& dt, const Taps& ht, const Taps& wt,
                    ptrdiff_t* offsets, P* at) {
  ptrdiff_t taps = 0;
  for (int64_t t = dt.first; t < dt.last; ++t) {
    for (int64_t r = ht.first; r < ht.last; ++r) {
      for (int64_t s = wt.first; s < wt.last; ++s) {
        const int64_t to = ((dt.at + t * p.dil[0]) * p.in[1] + ht.at + r * p.dil[1]) * p.in[2] +
                           wt.at + s * p.dil[2];
        at[taps] = static_cast<P>((t * p.ker[1] + r) * p.ker[2] + s);
        offsets[taps++] = to * p.c;
      }
    }
  }
  return taps;
}

}  // namespace fastconv
