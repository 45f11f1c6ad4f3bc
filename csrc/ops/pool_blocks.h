// How a pool is cut into pieces whose scratch stays in the first-level cache, and the facts about
// its windows that every piece shares.
#pragma once

#include <algorithm>
#include <vector>

#include "../isa.h"
#include "pool_plain.h"

namespace fastconv {

// Outputs [z0, z1) x [p0, p1) x [q0, q1) of planes [plane, plane + planes), and the rows of input,
// depth [d0, d1) x height [h0, h1), that they need.
struct PoolBlock {
  int64_t plane, planes;
  int64_t z0, z1, p0, p1, q0, q1;
  int64_t d0, d1, h0, h1;
  int64_t rows_per_plane() const { return (d1 - d0) * (h1 - h0); }
};

class PoolBlocks {
 public:
  // Scratch rows are `pitch(width)` elements; `item` bytes are needed for each.
  PoolBlocks(const PoolProblem& p, size_t item, int64_t lanes, int threads);
  int64_t count() const { return groups_ * along_[0] * along_[1] * along_[2]; }
  PoolBlock block(int64_t i) const;
  int64_t pitch() const { return pitch_; }
  int64_t scratch_rows() const { return rows_; }
  // Windows along the width tile the rows: a block's rows are one long row.
  bool flat() const { return flat_; }

 private:
  const PoolProblem& p_;
  bool flat_, by_rows_;
  int64_t pitch_, rows_;
  int64_t planes_, size_[3];  // of a block
  int64_t groups_, along_[3];
};

// Divisors of an average: one row of them for each number of rows that a window can count.
template <class T>
class Divisors {
 public:
  Divisors(const PoolProblem& p, const AverageRule& rule, int64_t slack);
  // div[0, out width), then as many reciprocals `step()` further on.
  const T* row(int64_t z, int64_t p) const {
    const int64_t n = rule_.divisor ? 1 : counted(0, z) * counted(1, p);
    size_t i = 0;
    while (counts_[i] != n) ++i;
    return table_.data() + static_cast<size_t>(i) * static_cast<size_t>(2 * step_);
  }
  int64_t step() const { return step_; }

 private:
  int64_t counted(int axis, int64_t o) const;
  void add(int64_t count);
  const PoolProblem& p_;
  AverageRule rule_;
  int64_t step_;
  std::vector<int64_t> counts_;
  std::vector<T> table_;
};

// One window over each plane, with nothing beside it.
inline bool whole_planes(const PoolProblem& p) {
  for (int axis = 0; axis < 3; ++axis) {
    if (p.out[axis] != 1 || p.pad_lo[axis] || p.ker[axis] < p.in[axis]) return false;
    if (p.dil[axis] > 1 && p.in[axis] > 1) return false;
  }
  return true;
}

// Whether the passes along rows and across rows do this pool; plain windows do the others.
inline bool has_passes(const PoolProblem& p) {
  constexpr int64_t kMost = int64_t{1} << 30;
  if (p.in_plane() >= kMost || p.out_plane() >= kMost) return false;
  for (int axis = 0; axis < 3; ++axis) {
    // Windows that are mostly padding: taps outside are visited too.
    if ((p.ker[axis] - 1) * p.dil[axis] > 4 * p.in[axis] + 64) return false;
    if (p.stride[axis] >= kMost) return false;
  }
  return true;
}

}  // namespace fastconv
