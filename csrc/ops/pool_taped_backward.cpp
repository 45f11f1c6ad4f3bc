// The gradient of a maximum from what its own forward pass said. With channels last, an element
// gathers from the windows that say the tap which it is to them, a vector of channels at a time.
#include "../isa.h"
#include "parallel.h"
#include "pool_phases.h"
#include "pool_scatter.h"
#include "pool_taps.h"

namespace fastconv {
namespace {

// Windows that overlap more scatter faster.
constexpr int64_t kMostPicked = 9;

// What meets an element is a stack of rows of channels.
template <class T>
void pick_last(const PoolProblem& p, const T* dy, const uint8_t* where, T* dx, int threads) {
  const auto& kernels = of_type<T>(*fastconv::kernels().pool);
  struct Element {
    int64_t at, window;
    const PhaseRun* run;
  };
  std::vector<PhaseRun> runs[3];
  std::vector<Element> elements[2];
  for (int axis = 0; axis < 3; ++axis) runs[axis] = phase_runs(p, axis);
  for (int axis = 0; axis < 2; ++axis) {
    for (const PhaseRun& run : runs[axis]) {
      for (int64_t i = 0; i < run.count; ++i) {
        elements[axis].push_back({run.at + i * p.stride[axis], run.window + i, &run});
      }
    }
  }
  const auto tap_of = [&](int axis, int64_t at, int64_t window) {
    return (at + p.pad_lo[axis] - window * p.stride[axis]) / p.dil[axis];
  };
  const int64_t rows = p.in[0] * p.in[1];
  parallel_for(p.n * rows, threads, [&](int64_t task, int) {
    ptrdiff_t offsets[kMostPicked];
    uint8_t numbers[kMostPicked];
    const int64_t n = task / rows;
    const Element &d = elements[0][static_cast<size_t>(task % rows / p.in[1])],
                  &h = elements[1][static_cast<size_t>(task % p.in[1])];
    PoolPick<T> g{};
    g.grad = dy + n * p.out_plane() * p.c;
    g.where = where + n * p.out_plane() * p.c;
    g.offsets = offsets;
    g.numbers = numbers;
    g.out = g.step = p.c;
    g.dst_pitch = p.stride[2] * p.c;
    for (const PhaseRun& w : runs[2]) {
      g.taps = 0;
      for (int64_t t = 0; t < d.run->taps; ++t) {
        const int64_t z = d.window + t * d.run->dil, slice = tap_of(0, d.at, z);
        for (int64_t r = 0; r < h.run->taps; ++r) {
          const int64_t y = h.window + r * h.run->dil, row = tap_of(1, h.at, y);
          for (int64_t s = 0; s < w.taps; ++s) {
            const int64_t q = w.window + s * w.dil;
            numbers[g.taps] =
                static_cast<uint8_t>((slice * p.ker[1] + row) * p.ker[2] + tap_of(2, w.at, q));
            offsets[g.taps++] = ((z * p.out[1] + y) * p.out[2] + q) * p.c;
          }
        }
      }
      g.dst = dx + (((n * p.in[0] + d.at) * p.in[1] + h.at) * p.in[2] + w.at) * p.c;
      g.rows = w.count;
      kernels.pick(g);
    }
  });
}

}  // namespace

template <class T>
void max_pool_taped_backward(const PoolProblem& p, bool last, const T* dy, Where where, T* dx,
                             int threads) {
  if (p.planes() == 0) return;
  const int64_t taps = p.ker[0] * p.ker[1] * p.ker[2], lanes = of_type<T>(*kernels().pool).lanes;
  // Parts of vectors cost more than whole ones: scattering is faster where they are many.
  const bool vectors = p.c % lanes == 0 || p.c > 2 * lanes;
  if (last && where.size == 1 && taps <= kMostPicked && vectors) {
    return pick_last(p, dy, static_cast<const uint8_t*>(where.at), dx, threads);
  }
  scatter_windows(p, last, dy, where, dx, threads);
}

template void max_pool_taped_backward(const PoolProblem&, bool, const float*, Where, float*, int);
template void max_pool_taped_backward(const PoolProblem&, bool, const double*, Where, double*, int);

}  // namespace fastconv
