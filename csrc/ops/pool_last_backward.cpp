#include "pool_last.h"

#include "memory.h"
#include "parallel.h"
#include "pool_last_taps.h"
#include "pool_phases.h"
#include "pool_tiles.h"

namespace fastconv {
template <class T>
void average_pool_backward_last(const PoolProblem& p, const AverageRule& rule, const T* dy, T* dx,
                                int threads) {
  if (fits_average_tiles(p)) {
    return average_tiles_backward(p, rule, true, dy, dx, threads);
  }
  const auto& kernels = of_type<T>(*fastconv::kernels().pool);
  const ChannelDivisors<T> divisors(p, rule);
  const std::vector<PhaseRun> depths = phase_runs(p, 0), heights = phase_runs(p, 1),
                              widths = phase_runs(p, 2);
  const Scratch shares(static_cast<size_t>(p.n * p.out_plane() * p.c) * sizeof(T));
  T* share = reinterpret_cast<T*>(shares.data());
  // What each element of a window gets.
  const int64_t windows = p.out_plane(), all = p.n * windows;
  const int64_t some = std::max<int64_t>(8192 / std::max<int64_t>(p.c, 1), 1);  // of a task
  parallel_for((all + some - 1) / some, threads, [&](int64_t task, int) {
    const ptrdiff_t none = 0;
    PoolStack<T> g{};
    g.offsets = &none;
    g.taps = 1;
    g.out = g.step = g.dst_pitch = p.c;
    const int64_t end = std::min(all, (task + 1) * some);
    for (int64_t i = task * some; i < end; i += g.rows) {
      g.rows = 1;
      while (i + g.rows < end && divisors.same(i % windows, (i + g.rows) % windows)) ++g.rows;
      divisors.set(g, i % windows);
      g.src = dy + i * p.c;
      g.dst = share + i * p.c;
      kernels.average_stack(g);
    }
  });
  // Rows of the input by their place in the runs.
  struct Row {
    int64_t at, window;
    const PhaseRun* run;
  };
  std::vector<Row> of_depth, of_height;
  const auto list = [&](const std::vector<PhaseRun>& runs, int axis, std::vector<Row>* to) {
    for (const PhaseRun& run : runs) {
      for (int64_t i = 0; i < run.count; ++i) {
        to->push_back({run.at + i * p.stride[axis], run.window + i, &run});
      }
    }
  };
  list(depths, 0, &of_depth);
  list(heights, 1, &of_height);
  const size_t taps = most_taps(p);
  const Scratch scratch(Carver::bytes<ptrdiff_t>(taps) * static_cast<size_t>(threads));
  const int64_t plane = p.in[0] * p.in[1], image = p.in_plane() * p.c;
  const int64_t together = images_together(image), blocks = (p.n + together - 1) / together;
  parallel_for(blocks * plane, threads, [&](int64_t task, int thread) {
    auto* offsets = reinterpret_cast<ptrdiff_t*>(
        scratch.data() + static_cast<size_t>(thread) * Carver::bytes<ptrdiff_t>(taps));
    const int64_t begin = task / plane * together, end = std::min(p.n, begin + together);
    const Row &d = of_depth[static_cast<size_t>(task % plane / p.in[1])],
              &h = of_height[static_cast<size_t>(task % p.in[1])];
    PoolStack<T> g{};
    g.offsets = offsets;
    g.out = g.step = p.c;
    g.dst_pitch = p.stride[2] * p.c;
    for (const PhaseRun& w : widths) {
      g.taps = 0;
      for (int64_t t = 0; t < d.run->taps; ++t) {
        for (int64_t r = 0; r < h.run->taps; ++r) {
          for (int64_t s = 0; s < w.taps; ++s) {
            offsets[g.taps++] =
                (((d.window + t * d.run->dil) * p.out[1] + h.window + r * h.run->dil) * p.out[2] +
                 w.window + s * w.dil) *
                p.c;
          }
        }
      }
      g.rows = w.count;
      for (int64_t n = begin; n < end; ++n) {
        g.src = share + n * p.out_plane() * p.c;
        g.dst = dx + n * image + ((d.at * p.in[1] + h.at) * p.in[2] + w.at) * p.c;
        if (g.taps) {
          kernels.sum_stack(g);
        } else {
          for (int64_t j = 0; j < g.rows; ++j) std::fill_n(g.dst + j * g.dst_pitch, p.c, T(0));
        }
      }
    }
  });
}

template void average_pool_backward_last(const PoolProblem&, const AverageRule&, const float*,
                                         float*, int);
template void average_pool_backward_last(const PoolProblem&, const AverageRule&, const double*,
                                         double*, int);

}  // namespace fastconv
