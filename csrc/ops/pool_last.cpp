#include "pool_last.h"

#include "memory.h"
#include "parallel.h"
#include "pool_last_taps.h"
#include "pool_taps.h"
#include "pool_tiles.h"

namespace fastconv {
namespace {

template <class T>
const NormLastKernels<T>& last_rows() {
  if constexpr (sizeof(T) == 4) {
    return kernels().norm->last32;
  } else {
    return kernels().norm->last64;
  }
}

// How many rows of outputs make a task.
int64_t rows_of_task(const PoolProblem& p, int64_t width) {
  return std::max<int64_t>(16384 / (width * p.c), 1);
}

// Forward; the maximum where there are no divisors.
template <class T>
void forward(const PoolProblem& p, const T* x, T* y, Where where,
             const ChannelDivisors<T>* divisors, int threads) {
  const auto& kernels = of_type<T>(*fastconv::kernels().pool);
  const size_t taps = most_taps(p);
  const size_t per_thread = Carver::bytes<ptrdiff_t>(taps) + Carver::bytes<Position<T>>(taps);
  const Scratch scratch(per_thread * static_cast<size_t>(threads));
  const std::vector<Taps> along = columns(p);
  const TapPlaces places(p, where);
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
    g.where_size = where.size;
    for (int64_t q = 0; q < p.out[2]; q += g.rows) {
      const Taps& wt = along[static_cast<size_t>(q)];
      g.rows = alike(along, q);
      g.taps = list_taps(p, dt, ht, wt, offsets, at);
      const int64_t o = row * p.out[2] + q, window = (z * p.out[1] + h) * p.out[2] + q;
      g.src = x + n * p.in_plane() * p.c;
      g.dst = y + o * p.c;
      g.where = places.element(o * p.c);
      if (g.taps == 0) {
        const T nothing = divisors ? T(0) : -std::numeric_limits<T>::infinity();
        std::fill_n(g.dst, g.rows * p.c, nothing);
        if (where.at) places.fill_none(o * p.c, g.rows * p.c);
      } else if (divisors) {
        int64_t same = 1;
        while (same < g.rows && divisors->same(window, window + same)) ++same;
        g.rows = same;
        divisors->set(g, window);
        kernels.average_stack(g);
      } else if (where.at) {
        kernels.max_stack_taps(g);
        places.finish(o * p.c, z, h, q, g.rows, p.c);
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
void max_pool_last(const PoolProblem& p, const T* x, T* y, Where where, int threads) {
  if (far_apart(p) && !where.at) return window_maxima(pool_ranges(p, true), x, y, threads);
  forward<T>(p, x, y, where, nullptr, threads);
}

// One window over each image: sums of pieces of fixed size, so that they do not depend on how many
// threads there are.
template <class T>
void global_average(const PoolProblem& p, T count, const T* x, T* y, int threads) {
  constexpr int64_t kRows = 1024;
  const auto& kernel = last_rows<T>();
  const int64_t rows = p.in_plane(), pieces = (rows + kRows - 1) / kRows;
  const Scratch scratch(static_cast<size_t>(p.n * pieces * p.c) * sizeof(T));
  T* sums = reinterpret_cast<T*>(scratch.data());
  parallel_for(p.n * pieces, threads, [&](int64_t task, int) {
    const int64_t n = task / pieces, from = task % pieces * kRows;
    kernel.sums(x + (n * rows + from) * p.c, std::min(kRows, rows - from), p.c, p.c,
                sums + task * p.c);
  });
  for (int64_t n = 0; n < p.n; ++n) {
    const T* part = sums + n * pieces * p.c;
    for (int64_t c = 0; c < p.c; ++c) {
      T sum = part[c];
      for (int64_t i = 1; i < pieces; ++i) sum += part[i * p.c + c];
      y[n * p.c + c] = sum / count;
    }
  }
}

template <class T>
void average_pool_last(const PoolProblem& p, const AverageRule& rule, const T* x, T* y,
                       int threads) {
  if (whole_planes(p)) {
    return global_average(p, static_cast<T>(divisor(p, rule, 0, 0, 0)), x, y, threads);
  }
  if (far_apart(p)) {
    const std::vector<T> divisors = window_divisors<T>(p, rule);
    return window_averages(pool_ranges(p, true), divisors.data(), x, y, threads);
  }
  const ChannelDivisors<T> divisors(p, rule);
  forward<T>(p, x, y, {}, &divisors, threads);
}

#define FASTCONV_INSTANTIATE(T)                                                 \
  template void max_pool_last<T>(const PoolProblem&, const T*, T*, Where, int); \
  template void average_pool_last<T>(const PoolProblem&, const AverageRule&, const T*, T*, int);
FASTCONV_INSTANTIATE(float)
FASTCONV_INSTANTIATE(double)

}  // namespace fastconv
