// Forward pools by two passes over blocks: windows along the rows into scratch, then the rows of
// each window across.
#include "memory.h"
#include "parallel.h"
#include "pool_blocks.h"
#include "pool_last.h"
#include "pool_taps.h"
#include "pool_tiles.h"

namespace fastconv {
namespace {

template <class T>
class Forward {
 public:
  Forward(const PoolProblem& p, const T* x, T* y, Where where, const Divisors<T>* divisors,
          int threads)
      : p_(p),
        kernels_(of_type<T>(*kernels().pool)),
        x_(x),
        y_(y),
        where_(where.at != nullptr),
        places_(p, where),
        divisors_(divisors),
        blocks_(p, (where_ ? 2 : 1) * sizeof(T), kernels_.lanes, threads),
        values_(static_cast<size_t>(blocks_.scratch_rows() * blocks_.pitch() + kernels_.lanes)),
        taps_(static_cast<size_t>(std::min(p.ker[0], p.in[0]) * std::min(p.ker[1], p.in[1]))),
        // A width of one tap needs no pass of its own.
        in_place_(!where_ && p.ker[2] == 1 && p.stride[2] == 1 && p.pad_lo[2] + p.pad_hi[2] == 0),
        per_thread_(Carver::bytes<T>(values_) * (where_ ? 2 : 1) + Carver::bytes<ptrdiff_t>(taps_) +
                    Carver::bytes<Position<T>>(taps_)),
        scratch_(per_thread_ * static_cast<size_t>(threads)) {
    for (int64_t z = 0; z < p.out[0]; ++z) depths_.push_back(taps_within(p, 0, z, p.in[0]));
    for (int64_t y0 = 0; y0 < p.out[1]; ++y0) heights_.push_back(taps_within(p, 1, y0, p.in[1]));
    if (!where_) return;
    first_.resize(static_cast<size_t>(p.out[2] + kernels_.lanes), -1);
    for (int64_t q = 0; q < p.out[2]; ++q) {
      const Taps t = taps_within(p, 2, q, p.in[2]);
      if (t.first < t.last) first_[static_cast<size_t>(q)] = static_cast<Position<T>>(t.first);
    }
  }

  void run(int threads) const {
    parallel_for(blocks_.count(), threads, [&](int64_t i, int thread) {
      Carver carver(scratch_.data() + static_cast<size_t>(thread) * per_thread_);
      T* values = carver.take<T>(values_);
      auto* at = where_ ? carver.take<Position<T>>(values_) : nullptr;
      auto* offsets = carver.take<ptrdiff_t>(taps_);
      auto* numbers = carver.take<Position<T>>(taps_);
      const PoolBlock b = blocks_.block(i);
      if (!in_place_) rows(b, values, at);
      stacks(b, values, at, offsets, numbers);
    });
  }

 private:
  static int64_t height(const PoolBlock& b) { return b.h1 - b.h0; }

  void rows(const PoolBlock& b, T* values, Position<T>* at) const {
    PoolRows<T> g{};
    g.src_pitch = g.len = p_.in[2];
    g.taps = p_.ker[2];
    g.stride = p_.stride[2];
    g.dil = p_.dil[2];
    g.first = b.q0 * g.stride - p_.pad_lo[2];
    g.out = b.q1 - b.q0;
    g.dst_pitch = blocks_.pitch();
    // Slices of the depth follow each other where they are whole.
    const bool whole = height(b) == p_.in[1];
    const int64_t pieces = whole ? 1 : b.planes * (b.d1 - b.d0);
    g.rows = whole ? b.planes * b.rows_per_plane() : height(b);
    if (blocks_.flat()) {
      g.len *= g.rows;
      g.out *= g.rows;
      g.rows = 1;
    }
    const int64_t slice = p_.in[1] * p_.in[2];
    const T* src = x_ + b.plane * p_.in_plane() + b.d0 * slice + b.h0 * p_.in[2];
    for (int64_t i = 0; i < pieces; ++i) {
      g.src = src + i * slice;
      g.dst = values + i * height(b) * g.dst_pitch;
      if (at) {
        g.at = at + i * height(b) * g.dst_pitch;
        kernels_.max_rows_at(g);
      } else if (divisors_) {
        kernels_.sum_rows(g);
      } else {
        kernels_.max_rows(g);
      }
    }
  }

  void stacks(const PoolBlock& b, const T* values, const Position<T>* at, ptrdiff_t* offsets,
              Position<T>* numbers) const {
    PoolStack<T> g{};
    const int64_t pitch = in_place_ ? p_.in[2] : blocks_.pitch();
    const int64_t slice = pitch * (in_place_ ? p_.in[1] : height(b));
    g.offsets = offsets;
    g.out = b.q1 - b.q0;
    g.dst_pitch = p_.out[2];
    g.spill = !in_place_ && g.out == p_.out[2];
    g.step = p_.stride[1] * pitch;
    g.first = at ? first_.data() + b.q0 : nullptr;
    g.tap_at = numbers;
    g.where_size = places_.size();
    const T* end = y_ + (b.plane + b.planes - 1) * p_.out_plane() +
                   ((b.z1 - 1) * p_.out[1] + b.p1) * p_.out[2];
    // Planes without padding between their rows are one tall plane.
    const bool tall = p_.in[0] == 1 && b.planes > 1 && p_.pad_lo[1] == 0 &&
                      p_.in[1] == p_.out[1] * p_.stride[1] &&
                      (p_.ker[1] - 1) * p_.dil[1] < p_.stride[1] && !at;
    for (int64_t i = 0; i < (tall ? 1 : b.planes); ++i) {
      const T* src = in_place_ ? x_ + (b.plane + i) * p_.in_plane() + b.q0
                               : values + i * b.rows_per_plane() * pitch;
      const int64_t d0 = in_place_ ? 0 : b.d0, h0 = in_place_ ? 0 : b.h0;
      const Position<T>* src_at = at ? at + (src - values) : nullptr;
      for (int64_t z = b.z0; z < b.z1; ++z) {
        const Taps dt = depths_[static_cast<size_t>(z)];
        for (int64_t p = b.p0; p < b.p1; p += g.rows) {
          const Taps ht = heights_[static_cast<size_t>(p)];
          g.rows = tall ? b.planes * p_.out[1] : alike(ht, p, b.p1);
          const int64_t d = dt.at + dt.first * p_.dil[0], h = ht.at + ht.first * p_.dil[1];
          g.taps = 0;
          for (int64_t t = 0; t < dt.last - dt.first; ++t) {
            for (int64_t r = 0; r < ht.last - ht.first; ++r) {
              numbers[g.taps] =
                  static_cast<Position<T>>(((dt.first + t) * p_.ker[1] + ht.first + r) * p_.ker[2]);
              offsets[g.taps++] = t * p_.dil[0] * slice + r * p_.dil[1] * pitch;
            }
          }
          const int64_t to =
              (b.plane + i) * p_.out_plane() + (z * p_.out[1] + p) * p_.out[2] + b.q0;
          g.src = src + (d - d0) * slice + (h - h0) * pitch;
          g.src_at = at ? src_at + (g.src - src) : nullptr;
          g.dst = y_ + to;
          g.where = places_.element(to);
          g.room = end - g.dst;
          stack(g, z, p, b.q0, to);
        }
      }
    }
  }

  // How many windows from p on meet the same taps as p does: all of them, where none is padding.
  int64_t alike(const Taps& ht, int64_t p, int64_t p1) const {
    if (ht.first != 0 || ht.last != p_.ker[1]) return 1;
    const auto complete = [&](int64_t at) {
      return heights_[static_cast<size_t>(at)].last == p_.ker[1];
    };
    while (p1 > p + 1 && !complete(p1 - 1)) --p1;
    return p1 - p;
  }

  void stack(PoolStack<T>& g, int64_t z, int64_t p, int64_t q0, int64_t to) const {
    if (g.taps == 0) {  // in the padding altogether
      for (ptrdiff_t r = 0; r < g.rows; ++r) {
        const T nothing = divisors_ ? T(0) : -std::numeric_limits<T>::infinity();
        std::fill_n(g.dst + r * g.dst_pitch, g.out, nothing);
        if (where_) places_.fill_none(to + r * g.dst_pitch, g.out);
      }
    } else if (divisors_) {
      g.div = divisors_->row(z, p) + q0;
      g.inv = g.div + divisors_->step();
      kernels_.average_stack(g);
    } else if (where_) {
      kernels_.max_stack_at(g);
      for (ptrdiff_t r = 0; r < g.rows; ++r) {
        places_.finish(to + r * g.dst_pitch, z, p + r, q0, g.out, 1);
      }
    } else {
      kernels_.max_stack(g);
    }
  }

  const PoolProblem& p_;
  const PoolKernels<T>& kernels_;
  const T* x_;
  T* y_;
  bool where_;
  TapPlaces places_;
  const Divisors<T>* divisors_;
  PoolBlocks blocks_;
  size_t values_, taps_;
  bool in_place_;
  size_t per_thread_;
  Scratch scratch_;
  std::vector<Taps> depths_, heights_;  // taps inside the input, for each window
  std::vector<Position<T>> first_;      // column tap of each window's first element, -1 if none
};

}  // namespace

// Planes too narrow for lanes: some hundred are turned, so that they are channels of one image.
template <class T>
bool turns(const PoolProblem& p, Where where) {
  const int64_t lanes = of_type<T>(*kernels().pool).lanes;
  // Windows side by side that share out the rows do well as one long row.
  const bool flat = p.pad_lo[2] == 0 && p.in[2] == p.out[2] * p.stride[2];
  const bool narrow = p.stride[2] > 1 ? !flat && p.in[2] < lanes : 3 * p.in[2] <= 2 * lanes;
  return narrow && p.in_plane() <= 1024 && p.planes() >= 2 * lanes && where.size <= 1 &&
         fits_channels_last(p);
}

// body(such an image's problem, its input, output and where its maxima are)
template <class T, class Body>
void turned(const PoolProblem& p, const T* x, T* y, Where where, int threads, const Body& body) {
  constexpr int64_t kElements = 1 << 15, kSome = 32;
  const auto transpose = of_type<T>(*kernels().gemm).transpose;
  const int64_t in = p.in_plane(), out = p.out_plane(), planes = p.planes();
  const int64_t fit = std::clamp<int64_t>(kElements / in, kSome, ceil_div(planes, 2 * threads));
  const int64_t side = ceil_div(fit, kSome) * kSome;
  const auto ins = static_cast<size_t>(in * side), outs = static_cast<size_t>(out * side);
  const size_t each = Carver::bytes<T>(ins) + Carver::bytes<T>(outs) + Carver::bytes<uint8_t>(outs);
  const Scratch scratch(each * static_cast<size_t>(threads));
  parallel_for(ceil_div(planes, side), threads, [&](int64_t task, int thread) {
    Carver carver(scratch.data() + static_cast<size_t>(thread) * each);
    T* const tx = carver.take<T>(ins);
    T* const ty = carver.take<T>(outs);
    auto* const at = carver.take<uint8_t>(outs);
    const int64_t first = task * side, some = std::min(side, planes - first);
    PoolProblem image = p;
    image.n = 1;
    image.c = some;
    transpose(x + first * in, in, some, in, tx, some);
    body(image, tx, ty, Where{where.at ? at : nullptr, where.size});
    transpose(ty, some, out, some, y + first * out, out);
    if (!where.at) return;
    auto* const to = static_cast<uint8_t*>(where.at) + first * out;
    for (int64_t i = 0; i < some; ++i) {
      for (int64_t o = 0; o < out; ++o) to[i * out + o] = at[o * some + i];
    }
  });
}

// One output for each plane.
template <class T, class Reduce>
void reduce_planes(const PoolProblem& p, const T* x, T* y, int threads, const Reduce& reduce) {
  const int64_t in = p.in_plane();
  const int64_t batch = std::max<int64_t>(16384 / in, 1) * of_type<T>(*kernels().pool).lanes;
  parallel_for((p.planes() + batch - 1) / batch, threads, [&](int64_t i, int) {
    const int64_t first = i * batch;
    reduce(x + first * in, in, std::min(batch, p.planes() - first), y + first);
  });
}

template <class T>
void max_pool(const PoolProblem& p, const T* x, T* y, Where where, int threads) {
  if (p.planes() == 0) return;
  if (whole_planes(p) && !where.at) {
    return reduce_planes(p, x, y, threads, of_type<T>(*kernels().pool).max_runs);
  }
  if (far_apart(p) && !where.at) return window_maxima(pool_ranges(p, false), x, y, threads);
  if (turns<T>(p, where)) {
    return turned(p, x, y, where, threads,
                  [](const PoolProblem& image, const T* from, T* to, Where at) {
                    max_pool_last(image, from, to, at, 1);
                  });
  }
  if (has_passes(p)) {
    Forward<T>(p, x, y, where, nullptr, threads).run(threads);
    return;
  }
  const int64_t in = p.in_plane(), out = p.out_plane();
  parallel_for(p.planes(), threads, [&](int64_t i, int) {
    if (where.size == 4) {
      plain_max(p, x + i * in, y + i * out, static_cast<int32_t*>(where.at) + i * out);
    } else {
      auto* at = static_cast<int64_t*>(where.at);
      plain_max(p, x + i * in, y + i * out, at ? at + i * out : at);
    }
  });
}

template <class T>
void average_pool(const PoolProblem& p, const AverageRule& rule, const T* x, T* y, int threads) {
  if (p.planes() == 0) return;
  if (whole_planes(p)) {
    const T count = static_cast<T>(divisor(p, rule, 0, 0, 0));
    const auto sum = of_type<T>(*kernels().pool).sum_runs;
    return reduce_planes(p, x, y, threads, [&](const T* from, int64_t in, int64_t n, T* to) {
      sum(from, in, n, to);
      for (int64_t i = 0; i < n; ++i) to[i] /= count;
    });
  }
  if (far_apart(p)) {
    const std::vector<T> divisors = window_divisors<T>(p, rule);
    return window_averages(pool_ranges(p, false), divisors.data(), x, y, threads);
  }
  if (turns<T>(p, {})) {
    return turned(p, x, y, {}, threads, [&](const PoolProblem& image, const T* from, T* to, Where) {
      average_pool_last(image, rule, from, to, 1);
    });
  }
  if (has_passes(p)) {
    const Divisors<T> divisors(p, rule, of_type<T>(*kernels().pool).lanes);
    Forward<T>(p, x, y, {}, &divisors, threads).run(threads);
    return;
  }
  parallel_for(p.planes(), threads, [&](int64_t i, int) {
    plain_average(p, rule, x + i * p.in_plane(), y + i * p.out_plane());
  });
}

template void max_pool<float>(const PoolProblem&, const float*, float*, Where, int);
template void max_pool<double>(const PoolProblem&, const double*, double*, Where, int);
template void average_pool<float>(const PoolProblem&, const AverageRule&, const float*, float*,
                                  int);
template void average_pool<double>(const PoolProblem&, const AverageRule&, const double*, double*,
                                   int);

}  // namespace fastconv
