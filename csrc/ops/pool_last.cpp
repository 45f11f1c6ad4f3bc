#include "pool_last.h"

#include <atomic>

#include "memory.h"
#include "parallel.h"
#include "pool_blocks.h"
#include "pool_phases.h"

namespace fastconv {
namespace {

// Rows of c equal divisors, each followed by its reciprocals, for every count a window can have.
template <class T>
class ChannelDivisors {
 public:
  ChannelDivisors(const PoolProblem& p, const AverageRule& rule) : c_(p.c) {
    of_window_.reserve(static_cast<size_t>(p.out_plane()));
    for_each_window(p, [&](int64_t, int64_t z, int64_t y, int64_t q) {
      const int64_t n = divisor(p, rule, z, y, q);
      const size_t i =
          static_cast<size_t>(std::find(counts_.begin(), counts_.end(), n) - counts_.begin());
      if (i == counts_.size()) counts_.push_back(n);
      of_window_.push_back(i);
    });
    for (int64_t n : counts_) {
      table_.insert(table_.end(), static_cast<size_t>(c_), static_cast<T>(n));
      table_.insert(table_.end(), static_cast<size_t>(c_), T(1) / static_cast<T>(n));
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
  std::vector<int64_t> counts_;
  std::vector<size_t> of_window_;
  std::vector<T> table_;
};

// How many rows of outputs make a task.
int64_t rows_of_task(const PoolProblem& p, int64_t width) {
  return std::max<int64_t>(16384 / (width * p.c), 1);
}

size_t most_taps(const PoolProblem& p) {
  int64_t taps = 1;
  for (int axis = 0; axis < 3; ++axis) taps *= std::min(p.ker[axis], p.in[axis]);
  return static_cast<size_t>(taps);
}

// Forward; the maximum where there are no divisors.
template <class T>
void forward(const PoolProblem& p, const T* x, T* y, int64_t* index,
             const ChannelDivisors<T>* divisors, int threads) {
  const auto& kernels = of_type<T>(*fastconv::kernels().pool);
  const size_t taps = most_taps(p);
  const size_t per_thread = Carver::bytes<ptrdiff_t>(taps) + Carver::bytes<Position<T>>(taps);
  const Scratch scratch(per_thread * static_cast<size_t>(threads));
  std::vector<Taps> along;
  for (int64_t q = 0; q < p.out[2]; ++q) along.push_back(taps_within(p, 2, q, p.in[2]));
  // Windows from q on that meet as many elements as q does.
  const auto alike = [&](int64_t q) {
    const auto& first = along[static_cast<size_t>(q)];
    int64_t end = q + 1;
    while (end < p.out[2] && along[static_cast<size_t>(end)].first == first.first &&
           along[static_cast<size_t>(end)].last == first.last) {
      ++end;
    }
    return end - q;
  };
  const int64_t rows = p.n * p.out[0] * p.out[1], batch = rows_of_task(p, p.out[2]);

  const auto one_row = [&](int64_t row, ptrdiff_t* offsets, Position<T>* at) {
    const int64_t h = row % p.out[1], z = row / p.out[1] % p.out[0],
                  n = row / (p.out[1] * p.out[0]);
    const Taps dt = taps_within(p, 0, z, p.in[0]), ht = taps_within(p, 1, h, p.in[1]);
    PoolStack<T> g{};
    g.offsets = offsets;
    g.tap_at = at;
    g.out = g.dst_pitch = p.c;
    g.step = p.stride[2] * p.c;
    g.first_row_step = static_cast<Position<T>>(p.stride[2]);
    for (int64_t q = 0; q < p.out[2]; q += g.rows) {
      const Taps& wt = along[static_cast<size_t>(q)];
      g.rows = alike(q);
      g.taps = 0;
      for (int64_t t = dt.first; t < dt.last; ++t) {
        for (int64_t r = ht.first; r < ht.last; ++r) {
          for (int64_t s = wt.first; s < wt.last; ++s) {
            const int64_t to = ((dt.at + t * p.dil[0]) * p.in[1] + ht.at + r * p.dil[1]) * p.in[2] +
                               wt.at + s * p.dil[2];
            at[g.taps] = static_cast<Position<T>>(to);
            offsets[g.taps++] = to * p.c;
          }
        }
      }
      const int64_t o = row * p.out[2] + q, window = (z * p.out[1] + h) * p.out[2] + q;
      g.src = x + n * p.in_plane() * p.c;
      g.dst = y + o * p.c;
      g.index = index ? index + o * p.c : nullptr;
      if (g.taps == 0) {
        const T nothing = divisors ? T(0) : -std::numeric_limits<T>::infinity();
        std::fill_n(g.dst, g.rows * p.c, nothing);
        if (index) std::fill_n(g.index, g.rows * p.c, -1);
      } else if (divisors) {
        int64_t same = 1;
        while (same < g.rows && divisors->same(window, window + same)) ++same;
        g.rows = same;
        divisors->set(g, window);
        kernels.average_stack(g);
      } else if (index) {
        kernels.max_stack_taps(g);
      } else {
        kernels.max_stack(g);
      }
    }
  };
  parallel_for((rows + batch - 1) / batch, threads, [&](int64_t i, int thread) {
    Carver carver(scratch.data() + static_cast<size_t>(thread) * per_thread);
    auto* offsets = carver.take<ptrdiff_t>(taps);
    auto* at = carver.take<Position<T>>(taps);
    for (int64_t row = i * batch; row < std::min(rows, (i + 1) * batch); ++row) {
      one_row(row, offsets, at);
    }
  });
}

}  // namespace

bool fits_channels_last(const PoolProblem& p) {
  constexpr int64_t kMost = int64_t{1} << 22;  // windows and taps that are listed
  return has_passes(p) && p.out_plane() <= kMost && p.in_plane() <= kMost;
}

template <class T>
void max_pool_last(const PoolProblem& p, const T* x, T* y, int64_t* index, int threads) {
  forward<T>(p, x, y, index, nullptr, threads);
}

template <class T>
void average_pool_last(const PoolProblem& p, const AverageRule& rule, const T* x, T* y,
                       int threads) {
  const ChannelDivisors<T> divisors(p, rule);
  forward<T>(p, x, y, nullptr, &divisors, threads);
}

template <class T>
bool max_pool_backward_last(const PoolProblem& p, const T* dy, const int64_t* index, T* dx,
                            int threads) {
  constexpr int64_t kChannels = 64;  // of a task
  const int64_t pieces = (p.c + kChannels - 1) / kChannels, in = p.in_plane(), out = p.out_plane();
  std::atomic<bool> valid{true};
  parallel_for(p.n * pieces, threads, [&](int64_t i, int) {
    const int64_t n = i / pieces, c0 = i % pieces * kChannels, c1 = std::min(p.c, c0 + kChannels);
    T* image = dx + n * in * p.c;
    for (int64_t at = 0; at < in; ++at)
      std::fill(image + at * p.c + c0, image + at * p.c + c1, T(0));
    for (int64_t o = n * out; o < (n + 1) * out; ++o) {
      for (int64_t c = c0; c < c1; ++c) {
        const int64_t at = index[o * p.c + c];
        if (static_cast<uint64_t>(at) < static_cast<uint64_t>(in)) {
          image[at * p.c + c] += dy[o * p.c + c];
        } else if (at != -1) {
          valid.store(false, std::memory_order_relaxed);
        }
      }
    }
  });
  return valid.load();
}

template <class T>
void average_pool_backward_last(const PoolProblem& p, const AverageRule& rule, const T* dy, T* dx,
                                int threads) {
  const auto& kernels = of_type<T>(*fastconv::kernels().pool);
  const ChannelDivisors<T> divisors(p, rule);
  const std::vector<PhaseRun> depths = phase_runs(p, 0), heights = phase_runs(p, 1),
                              widths = phase_runs(p, 2);
  const Scratch shares(static_cast<size_t>(p.n * p.out_plane() * p.c) * sizeof(T));
  T* share = reinterpret_cast<T*>(shares.data());
  // What each element of a window gets.
  const int64_t rows = p.n * p.out[0] * p.out[1];
  parallel_for(rows, threads, [&](int64_t row, int) {
    const ptrdiff_t none = 0;
    PoolStack<T> g{};
    g.offsets = &none;
    g.taps = 1;
    g.out = g.step = g.dst_pitch = p.c;
    const int64_t window = row % (p.out[0] * p.out[1]) * p.out[2];
    for (int64_t q = 0; q < p.out[2]; q += g.rows) {
      g.rows = 1;
      while (q + g.rows < p.out[2] && divisors.same(window + q, window + q + g.rows)) ++g.rows;
      divisors.set(g, window + q);
      g.src = dy + (row * p.out[2] + q) * p.c;
      g.dst = share + (row * p.out[2] + q) * p.c;
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
  const int64_t plane = p.in[0] * p.in[1];
  parallel_for(p.n * plane, threads, [&](int64_t i, int thread) {
    auto* offsets = reinterpret_cast<ptrdiff_t*>(
        scratch.data() + static_cast<size_t>(thread) * Carver::bytes<ptrdiff_t>(taps));
    const int64_t n = i / plane;
    const Row &d = of_depth[static_cast<size_t>(i % plane / p.in[1])],
              &h = of_height[static_cast<size_t>(i % p.in[1])];
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
      g.src = share + n * p.out_plane() * p.c;
      g.dst = dx + (((n * p.in[0] + d.at) * p.in[1] + h.at) * p.in[2] + w.at) * p.c;
      g.rows = w.count;
      if (g.taps) {
        kernels.sum_stack(g);
      } else {
        for (int64_t j = 0; j < g.rows; ++j) std::fill_n(g.dst + j * g.dst_pitch, p.c, T(0));
      }
    }
  });
}

#define FASTCONV_INSTANTIATE(T)                                                                   \
  template void max_pool_last<T>(const PoolProblem&, const T*, T*, int64_t*, int);                \
  template bool max_pool_backward_last<T>(const PoolProblem&, const T*, const int64_t*, T*, int); \
  template void average_pool_last<T>(const PoolProblem&, const AverageRule&, const T*, T*, int);  \
  template void average_pool_backward_last<T>(const PoolProblem&, const AverageRule&, const T*,   \
                                              T*, int);
FASTCONV_INSTANTIATE(float)
FASTCONV_INSTANTIATE(double)

}  // namespace fastconv
