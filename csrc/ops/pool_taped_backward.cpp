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

// Which tap of the window an element is.
int64_t tap_of(const PoolProblem& p, int axis, int64_t at, int64_t window) {
  return (at + p.pad_lo[axis] - window * p.stride[axis]) / p.dil[axis];
}

// The windows that the first elements of three runs meet: their taps' numbers, and where they are,
// `inner` values each.
template <class T>
void list_windows(const PoolProblem& p, const PhaseRun (&runs)[3], int64_t inner,
                  ptrdiff_t* offsets, uint8_t* numbers, PoolPick<T>* g) {
  const auto &d = runs[0], &h = runs[1], &w = runs[2];
  g->offsets = offsets;
  g->numbers = numbers;
  g->taps = 0;
  for (int64_t t = 0; t < d.taps; ++t) {
    const int64_t z = d.window + t * d.dil, slice = tap_of(p, 0, d.at, z);
    for (int64_t r = 0; r < h.taps; ++r) {
      const int64_t y = h.window + r * h.dil, row = tap_of(p, 1, h.at, y);
      for (int64_t s = 0; s < w.taps; ++s) {
        const int64_t q = w.window + s * w.dil, column = tap_of(p, 2, w.at, q);
        numbers[g->taps] = static_cast<uint8_t>((slice * p.ker[1] + row) * p.ker[2] + column);
        offsets[g->taps++] = ((z * p.out[1] + y) * p.out[2] + q) * inner;
      }
    }
  }
}

// Wide rows of planes whose windows are one apart: neighbours meet neighbouring windows.
template <class T>
void pick_rows(const PoolProblem& p, const T* dy, const uint8_t* where, T* dx, int threads) {
  const auto& kernels = of_type<T>(*fastconv::kernels().pool);
  std::vector<PhaseRun> runs[3];
  for (int axis = 0; axis < 3; ++axis) runs[axis] = phase_runs(p, axis);
  const int64_t rows = std::max<int64_t>(4096 / p.in[2], 1);  // of a task
  std::vector<PhaseRun> bands;
  for (PhaseRun h : runs[1]) {
    for (int64_t left = h.count; left > 0; left -= rows, h.at += rows, h.window += rows) {
      h.count = std::min(rows, left);
      bands.push_back(h);
    }
  }
  const auto count = static_cast<int64_t>(bands.size());
  parallel_for(p.planes() * count, threads, [&](int64_t task, int) {
    ptrdiff_t offsets[kMostPicked];
    uint8_t numbers[kMostPicked];
    const int64_t plane = task / count;
    const PhaseRun& h = bands[static_cast<size_t>(task % count)];
    PoolPick<T> g{};
    g.grad = dy + plane * p.out_plane();
    g.where = where + plane * p.out_plane();
    g.rows = h.count;
    g.step = p.out[2];
    g.dst_pitch = p.in[2];
    for (const PhaseRun& d : runs[0]) {
      for (const PhaseRun& w : runs[2]) {
        list_windows(p, {d, h, w}, 1, offsets, numbers, &g);
        for (int64_t i = 0; i < d.count; ++i) {
          const int64_t slice = i * p.out[1] * p.out[2];
          PoolPick<T> own = g;
          own.grad += slice;
          own.where += slice;
          own.out = w.count;
          own.dst = dx + ((plane * p.in[0] + d.at + i) * p.in[1] + h.at) * p.in[2] + w.at;
          kernels.pick(own);
        }
      }
    }
  });
}

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
  const auto at_of = [](const Element& e) {
    PhaseRun run = *e.run;
    run.at = e.at;
    run.window = e.window;
    return run;
  };
  const int64_t rows = p.in[0] * p.in[1], image = p.in_plane() * p.c;
  const int64_t together = images_together(image), blocks = (p.n + together - 1) / together;
  parallel_for(blocks * rows, threads, [&](int64_t task, int) {
    ptrdiff_t offsets[kMostPicked];
    uint8_t numbers[kMostPicked];
    const int64_t begin = task / rows * together, end = std::min(p.n, begin + together);
    const Element &d = elements[0][static_cast<size_t>(task % rows / p.in[1])],
                  &h = elements[1][static_cast<size_t>(task % p.in[1])];
    PoolPick<T> g{};
    g.out = g.step = p.c;
    g.dst_pitch = p.stride[2] * p.c;
    for (const PhaseRun& w : runs[2]) {
      list_windows(p, {at_of(d), at_of(h), w}, p.c, offsets, numbers, &g);
      g.rows = w.count;
      for (int64_t n = begin; n < end; ++n) {
        g.grad = dy + n * p.out_plane() * p.c;
        g.where = where + n * p.out_plane() * p.c;
        g.dst = dx + n * image + ((d.at * p.in[1] + h.at) * p.in[2] + w.at) * p.c;
        kernels.pick(g);
      }
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
  constexpr int64_t kWide = 64;
  if (!last && where.size == 1 && taps > 4 && taps <= kMostPicked && p.in[2] >= kWide &&
      p.stride[0] * p.stride[1] * p.stride[2] == 1) {
    return pick_rows(p, dy, static_cast<const uint8_t*>(where.at), dx, threads);
  }
  scatter_windows(p, last, dy, where, dx, threads);
}

template void max_pool_taped_backward(const PoolProblem&, bool, const float*, Where, float*, int);
template void max_pool_taped_backward(const PoolProblem&, bool, const double*, Where, double*, int);

}  // namespace fastconv
