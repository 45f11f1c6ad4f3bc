// What the normalisations of channels-last arrays share: rows in blocks, and their order.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>

#include "../isa.h"
#include "norm.h"

namespace fastconv {

// Rows of a partial sum: with some hundred channels they stay in cache. A few channels are read as
// one row in many lanes, so that of more rows no lane sums more.
constexpr int64_t kRows = 128, kRowsOfFew = 2048, kFew = 16;

template <class T>
const auto& kernels_of() {
  if constexpr (sizeof(T) == 4) {
    return kernels().norm->last32;
  } else {
    return kernels().norm->last64;
  }
}

// Rows that are normalised with the same numbers: all of them in batch norm, else those of an
// image. They are cut into blocks.
struct Domains {
  int64_t count, rows, most, blocks, c;
  int64_t sets, channels;  // of a domain; channels of a set

  explicit Domains(const NormShape& s)
      : count(s.groups ? s.n : 1),
        rows(s.groups ? s.s : s.n * s.s),
        most(s.c < kFew ? kRowsOfFew : kRows),
        blocks((rows + most - 1) / most),
        c(s.c),
        sets(s.groups ? s.groups : s.c),
        channels(s.c / sets) {}
  int64_t tasks() const { return count * blocks; }
  int64_t rows_of(int64_t task) const { return std::min(most, rows - task % blocks * most); }
  int64_t at(int64_t task) const { return (task / blocks * rows + task % blocks * most) * c; }
};

// first(block), then for what all blocks of a domain gave join(domain), then last(block): a domain
// after the other while it is in cache, where every thread has one.
using DomainStep = std::function<void(int64_t)>;
void by_domains(const Domains& d, int threads, const DomainStep& first, const DomainStep& join,
                const DomainStep& last);
inline void nothing(int64_t) {}

// The sum of value(i) for i < n, in eight sums that do not wait for each other.
template <class Value>
double sum_of(int64_t n, const Value& value) {
  constexpr int64_t kSums = 8;
  double sums[kSums] = {}, total = 0;
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (int64_t j = 0; j < kSums; ++j) sums[j] += value(i + j);
  }
  for (; i < n; ++i) total += value(i);
  for (const double sum : sums) total += sum;
  return total;
}

template <class T>
double inverse_root(T var, double eps) {
  return 1.0 / std::sqrt(static_cast<double>(var) + eps);
}

}  // namespace fastconv
