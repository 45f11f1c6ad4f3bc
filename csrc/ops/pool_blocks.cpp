#include "pool_blocks.h"

#include "memory.h"

namespace fastconv {
namespace {

constexpr int64_t kLarge = 8192;  // elements of a plane

int64_t span(const PoolProblem& p, int axis) {
  return (p.ker[axis] - 1) * p.dil[axis] + 1;
}

// Inputs that `outputs` neighbouring windows along an axis need at most.
int64_t needed(const PoolProblem& p, int axis, int64_t outputs) {
  return std::min(p.in[axis], (outputs - 1) * p.stride[axis] + span(p, axis));
}

// Outputs along an axis whose windows need `inputs` at most, at least one.
int64_t served(const PoolProblem& p, int axis, int64_t inputs) {
  return std::clamp<int64_t>((inputs - span(p, axis)) / p.stride[axis] + 1, 1, p.out[axis]);
}

}  // namespace

PoolBlocks::PoolBlocks(const PoolProblem& p, size_t item, int64_t lanes, int threads) : p_(p) {
  const int64_t small = static_cast<int64_t>((size_t{24} << 10) / item);
  const int64_t large = static_cast<int64_t>(l2_bytes() / 4 / item);
  flat_ = p.pad_lo[2] == 0 && span(p, 2) <= p.stride[2] && p.in[2] == p.out[2] * p.stride[2];
  pitch_ = flat_ ? p.out[2] : ceil_div(p.out[2], lanes) * lanes;
  planes_ = 1;
  for (int axis = 0; axis < 3; ++axis) size_[axis] = p.out[axis];
  const int64_t plane_rows = p.in[0] * p.in[1];
  if (plane_rows * pitch_ <= small) {
    const int64_t share = ceil_div(p.planes(), 4 * threads);
    planes_ = std::clamp<int64_t>(small / (plane_rows * pitch_), 1, std::max<int64_t>(share, 1));
  } else {
    // Whole slices of the depth if one fits, else stretches of rows, long enough that little is
    // done twice at their borders, else stretches of the width.
    const int64_t slice = p.in[1] * pitch_;
    size_[0] = served(p, 0, small / slice);
    const int64_t depth = needed(p, 0, size_[0]);
    if (depth * slice > small) {
      const int64_t rows = std::max(small / (pitch_ * depth), 8 * span(p, 1));
      size_[1] = p.in[1] <= rows ? p.out[1] : served(p, 1, rows);
      const int64_t height = needed(p, 1, size_[1]);
      if (depth * height * pitch_ > large) {
        const int64_t width = std::max<int64_t>(small / (depth * height), 512);
        size_[2] = std::min(p.out[2], ceil_div(width, lanes) * lanes);
        pitch_ = ceil_div(size_[2], lanes) * lanes;
        flat_ = false;
      }
    }
  }
  // A picture's large planes are shared by rows, as convolutions beside the pool share them: what a
  // thread wrote stays in its own cache.
  by_rows_ = threads > 1 && p.n == 1 && p.out[0] == 1 && p.in_plane() >= kLarge;
  if (by_rows_) {
    const int64_t bands = ceil_div(ceil_div(p.out[1], size_[1]), threads) * threads;
    planes_ = 1;
    size_[1] = ceil_div(p.out[1], bands);
  }
  rows_ = planes_ > 1 ? planes_ * plane_rows : needed(p, 0, size_[0]) * needed(p, 1, size_[1]);
  groups_ = ceil_div(p.planes(), planes_);
  for (int axis = 0; axis < 3; ++axis) along_[axis] = ceil_div(p.out[axis], size_[axis]);
}

PoolBlock PoolBlocks::block(int64_t i) const {
  const int64_t q = i % along_[2], rest = i / along_[2], depths = along_[1] * along_[0];
  const int64_t p = by_rows_ ? rest / groups_ : rest % along_[1];
  const int64_t z = by_rows_ ? 0 : rest / along_[1] % along_[0];
  const int64_t group = by_rows_ ? rest % groups_ : rest / depths;
  PoolBlock b;
  b.plane = group * planes_;
  b.planes = std::min(planes_, p_.planes() - b.plane);
  const auto range = [&](int axis, int64_t at, int64_t* o0, int64_t* o1) {
    *o0 = at * size_[axis];
    *o1 = std::min(p_.out[axis], *o0 + size_[axis]);
  };
  const auto rows = [&](int axis, int64_t o0, int64_t o1, int64_t* i0, int64_t* i1) {
    const int64_t first = o0 * p_.stride[axis] - p_.pad_lo[axis];
    const int64_t last = (o1 - 1) * p_.stride[axis] - p_.pad_lo[axis] + span(p_, axis);
    *i0 = std::clamp<int64_t>(first, 0, p_.in[axis]);
    *i1 = std::clamp<int64_t>(last, *i0, p_.in[axis]);
  };
  range(0, z, &b.z0, &b.z1);
  range(1, p, &b.p0, &b.p1);
  range(2, q, &b.q0, &b.q1);
  rows(0, b.z0, b.z1, &b.d0, &b.d1);
  rows(1, b.p0, b.p1, &b.h0, &b.h1);
  if (planes_ > 1) {  // planes that follow each other without gaps
    b.d0 = b.h0 = 0;
    b.d1 = p_.in[0];
    b.h1 = p_.in[1];
  }
  return b;
}

template <class T>
Divisors<T>::Divisors(const PoolProblem& p, const AverageRule& rule, int64_t slack)
    : p_(p), rule_(rule), step_(p.out[2] + slack) {
  if (rule.divisor) {
    add(1);
    return;
  }
  for (int64_t z = 0; z < p.out[0]; ++z) {
    for (int64_t y = 0; y < p.out[1]; ++y) {
      const int64_t n = counted(0, z) * counted(1, y);
      if (std::find(counts_.begin(), counts_.end(), n) == counts_.end()) add(n);
    }
  }
}

template <class T>
int64_t Divisors<T>::counted(int axis, int64_t o) const {
  const int64_t size = p_.in[axis] + (rule_.count_padding ? p_.pad_hi[axis] : 0);
  const Taps t = taps_within(p_, axis, o, size);
  return std::max<int64_t>(t.last - (rule_.count_padding ? 0 : t.first), 0);
}

template <class T>
void Divisors<T>::add(int64_t count) {
  counts_.push_back(count);
  const size_t begin = table_.size(), step = static_cast<size_t>(step_);
  table_.resize(begin + 2 * step, T(1));
  T* div = table_.data() + begin;
  for (int64_t q = 0; q < p_.out[2]; ++q) {
    const int64_t n = rule_.divisor ? rule_.divisor : std::max<int64_t>(count * counted(2, q), 1);
    div[q] = static_cast<T>(n);
    div[step_ + q] = T(1) / div[q];
  }
}

template class Divisors<float>;
template class Divisors<double>;

}  // namespace fastconv
