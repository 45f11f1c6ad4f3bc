// The gradient of a maximum from positions that may be anybody's. Where windows point into
// themselves, an element gathers from the windows that point at it; where one points elsewhere all
// is done again by scattering.
#include <atomic>

#include "../isa.h"
#include "parallel.h"
#include "pool_blocks.h"
#include "pool_scatter.h"

namespace fastconv {
namespace {

// Added to a count of windows that were met where a position does not even fit the lanes.
constexpr int64_t kMisfit = INT64_MIN / 2;

template <class P>
int64_t sum_of(const P* count, int64_t lanes) {
  int64_t sum = 0;
  for (int64_t i = 0; i < lanes; ++i) sum += count[i];
  return sum;
}

// Windows side by side.
template <class T>
class SelectBackward {
 public:
  static bool fits(const PoolProblem& p) {
    for (int axis = 0; axis < 3; ++axis) {
      if (p.pad_lo[axis] || (p.ker[axis] - 1) * p.dil[axis] >= p.stride[axis]) return false;
      if (p.dil[axis] > 1 && p.ker[axis] > 1) return false;
    }
    // Very narrow rows would leave most lanes idle.
    return p.stride[2] == kSelectStride && 2 * p.out[2] > of_type<T>(*kernels().pool).lanes &&
           (p.out[2] - 1) * p.stride[2] + p.ker[2] <= p.in[2];
  }

  SelectBackward(const PoolProblem& p, const T* dy, const int64_t* index, T* dx,
                 std::atomic<int64_t>* found)
      : p_(p),
        kernels_(of_type<T>(*kernels().pool)),
        dy_(dy),
        index_(index),
        dx_(dx),
        found_(found) {
    constexpr int64_t kElements = 16384;
    rows_ = std::clamp<int64_t>(kElements / p.in[2], 1, p.in[1]);
    pieces_ = (p.in[1] + rows_ - 1) / rows_;
    batch_ = std::max<int64_t>(kElements / (rows_ * p.in[2]), 1);
  }

  void run(int threads) const {
    const int64_t units = p_.planes() * p_.in[0] * pieces_;
    // Planes without depth that are done in one piece may share a call.
    const bool together = p_.in[0] * pieces_ == 1;
    parallel_for((units + batch_ - 1) / batch_, threads, [&](int64_t i, int) {
      const int64_t first = i * batch_, end = std::min(units, first + batch_);
      for (int64_t unit = first; unit < end; unit += together ? end - first : 1) {
        some_rows(unit, together ? end - first : 1);
      }
    });
  }

 private:
  // Some rows of one depth of a plane, or all of several planes.
  void some_rows(int64_t unit, int64_t planes) const {
    const int64_t piece = unit % pieces_, slice = unit / pieces_;
    const int64_t d = slice % p_.in[0], plane = slice / p_.in[0];
    const int64_t z = d / p_.stride[0];
    alignas(64) Position<T> count[16] = {};
    PoolSelect<T> g;
    g.row = piece * rows_;
    g.rows = std::min(rows_, p_.in[1] - g.row);
    g.len = p_.in[2];
    g.planes = planes;
    g.pos = static_cast<Position<T>>((d * p_.in[1] + g.row) * g.len);
    g.dst = dx_ + plane * p_.in_plane() + g.pos;
    g.room = planes * g.rows * g.len;
    if (z >= p_.out[0] || d % p_.stride[0] >= p_.ker[0]) {
      std::fill_n(g.dst, g.room, T(0));
      return;
    }
    const int64_t from = plane * p_.out_plane() + z * p_.out[1] * p_.out[2];
    g.grad = dy_ + from;
    g.index = index_ + from;
    g.windows = p_.out[1];
    g.out = p_.out[2];
    g.stride = p_.stride[1];
    g.taps = p_.ker[1];
    g.col_taps = p_.ker[2];
    g.count = count;
    const bool fit = kernels_.select(g);
    found_->fetch_add(fit ? sum_of(count, kernels_.lanes) : kMisfit, std::memory_order_relaxed);
  }

  const PoolProblem& p_;
  const PoolKernels<T>& kernels_;
  const T* dy_;
  const int64_t* index_;
  T* dx_;
  std::atomic<int64_t>* found_;
  int64_t rows_, pieces_, batch_;
};

}  // namespace

template <class T>
bool max_pool_backward(const PoolProblem& p, bool last, const T* dy, const int64_t* index, T* dx,
                       int threads) {
  if (!last && has_passes(p) && SelectBackward<T>::fits(p)) {
    // Windows that were met by the element they point at: all, or do it again.
    std::atomic<int64_t> found{0};
    SelectBackward<T>(p, dy, index, dx, &found).run(threads);
    if (found.load() == p.planes() * p.out_plane()) return true;
  }
  const Where where{const_cast<int64_t*>(index), sizeof(int64_t)};
  return scatter_windows(p, last, dy, where, dx, threads);
}

template bool max_pool_backward(const PoolProblem&, bool, const float*, const int64_t*, float*,
                                int);
template bool max_pool_backward(const PoolProblem&, bool, const double*, const int64_t*, double*,
                                int);

}  // namespace fastconv
