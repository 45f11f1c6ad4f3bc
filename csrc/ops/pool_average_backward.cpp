// The gradient of an average: each window's share, summed up over the windows that meet an element,
// first across rows, then along them.
#include "pool_gather.h"
#include "pool_last.h"
#include "pool_tiles.h"
#include "strided.h"

namespace fastconv {
namespace {

constexpr int64_t kLargestTurned = 512;  // elements of a plane: some hundred of them stay in cache

template <class T>
class AverageBackward : Backward<T> {
  using Base = Backward<T>;
  using Base::p_, Base::kernels_, Base::phases_, Base::pitch_, Base::columns_, Base::phase_pitch_;

 public:
  AverageBackward(const PoolProblem& p, const AverageRule& rule, const T* dy, T* dx, int threads)
      : Base(p, dy, dx, threads),
        divisors_(p, rule, this->lanes_),
        per_thread_(Carver::bytes<T>(this->window_size_) + Carver::bytes<T>(this->row_size_) +
                    Carver::bytes<T>(this->phase_size_) * static_cast<size_t>(phases_) +
                    Carver::bytes<const T*>(static_cast<size_t>(phases_)) +
                    Carver::bytes<ptrdiff_t>(this->taps_)),
        scratch_(per_thread_ * static_cast<size_t>(threads)) {
    // Phases of one tap each that stay inside the windows need no sums along the width.
    for (int64_t f = 0; f < phases_; ++f) {
      const Phase& c = columns_[static_cast<size_t>(f)];
      plain_ = plain_ && c.taps == 1 && c.first >= 0 && c.first + this->elements(f) <= p.out[2];
    }
  }

  void run(int threads) {
    parallel_for(this->blocks(), threads,
                 [&](int64_t i, int thread) { one(this->block(i), thread); });
  }

 private:
  void one(const InputBlock& b, int thread) const {
    Carver carver(scratch_.data() + static_cast<size_t>(thread) * per_thread_);
    T* share = carver.take<T>(this->window_size_);
    T* rows = carver.take<T>(this->row_size_);
    auto** phase = carver.take<T*>(static_cast<size_t>(phases_));
    for (int64_t f = 0; f < phases_; ++f) phase[f] = carver.take<T>(this->phase_size_);
    auto* offsets = carver.take<ptrdiff_t>(this->taps_);
    const WindowRange z = windows_of(p_, 0, b.d0, b.d1), y = windows_of(p_, 1, b.h0, b.h1);
    const int64_t height = y.last - y.first, windows = (z.last - z.first) * height;
    for (int64_t i = 0; i < b.planes; ++i) {
      for (int64_t t = z.first; t < z.last; ++t) {
        shares(b.plane + i, t, y, share + (i * windows + (t - z.first) * height) * pitch_);
      }
      this->for_each_run(
          b, z, y, offsets, [&](const PhaseRun& h, int64_t d, int64_t window, ptrdiff_t taps) {
            PoolStack<T> g{};
            g.src = share + (i * windows + window) * pitch_;
            g.offsets = offsets;
            g.taps = taps;
            g.rows = h.count;
            g.step = pitch_;
            g.out = p_.out[2];
            const int64_t row = i * b.rows() + (d - b.d0) * (b.h1 - b.h0) + h.at - b.h0;
            g.dst = rows + row * pitch_;
            g.dst_pitch = p_.stride[1] * pitch_;
            g.spill = true;
            g.room = g.rows * g.dst_pitch;
            if (taps) {
              kernels_.sum_stack(g);
            } else {
              for (int64_t r = 0; r < h.count; ++r) {
                std::fill_n(g.dst + r * g.dst_pitch, g.out, T(0));
              }
            }
          });
    }
    if (plain_) {
      for (int64_t f = 0; f < phases_; ++f)
        phase[f] = rows + columns_[static_cast<size_t>(f)].first;
      return this->weave(b, phase, pitch_);
    }
    PoolRows<T> g{};
    g.src = rows;
    g.src_pitch = pitch_;
    g.rows = b.planes * b.rows();
    g.len = p_.out[2];
    g.stride = 1;
    g.dst_pitch = phase_pitch_;
    for (int64_t f = 0; f < phases_; ++f) {
      const Phase& column = columns_[static_cast<size_t>(f)];
      g.first = column.first;
      g.taps = column.taps;
      g.dil = column.dil;
      g.out = this->elements(f);
      g.dst = phase[f];
      if (g.taps) {
        kernels_.sum_rows(g);
      } else {
        std::fill_n(g.dst, g.rows * g.dst_pitch, T(0));
      }
    }
    this->weave(b, phase, phase_pitch_);
  }

  // Gradients divided by what their windows were divided by, as rows for the stacks.
  void shares(int64_t plane, int64_t z, const WindowRange& y, T* to) const {
    const ptrdiff_t none = 0;
    PoolStack<T> g{};
    g.offsets = &none;
    g.taps = 1;
    g.step = g.out = p_.out[2];
    g.dst_pitch = pitch_;
    for (int64_t p = y.first; p < y.last; p += g.rows) {
      g.div = divisors_.row(z, p);
      g.inv = g.div + divisors_.step();
      g.rows = 1;
      while (p + g.rows < y.last && divisors_.row(z, p + g.rows) == g.div) ++g.rows;
      g.src = this->dy_ + plane * p_.out_plane() + (z * p_.out[1] + p) * p_.out[2];
      g.dst = to + (p - y.first) * pitch_;
      kernels_.average_stack(g);
    }
  }

  Divisors<T> divisors_;
  bool plain_ = true;
  size_t per_thread_;
  Scratch scratch_;
};

// Narrow planes, turned some hundred at a time so that they are channels.
template <class T>
void turned(const PoolProblem& p, const AverageRule& rule, const T* dy, T* dx, int threads) {
  constexpr int64_t kTogether = 256;
  const int64_t in = p.in_plane(), out = p.out_plane();
  const Scratch scratch(static_cast<size_t>((in + out) * kTogether) * sizeof(T));
  T* const tx = reinterpret_cast<T*>(scratch.data());
  T* const ty = tx + in * kTogether;
  PoolProblem wide = p;
  wide.n = 1;
  for (int64_t plane = 0; plane < p.planes(); plane += kTogether) {
    const int64_t some = wide.c = std::min(kTogether, p.planes() - plane);
    const CopyAxis there[] = {{some, out, 1}, {out, 1, some}},
                   back[] = {{some, 1, in}, {in, some, 1}};
    copy_strided(there, 2, sizeof(T), dy + plane * out, ty, threads);
    average_pool_backward_last<T>(wide, rule, ty, tx, threads);
    copy_strided(back, 2, sizeof(T), tx, dx + plane * in, threads);
  }
}

}  // namespace

template <class T>
void average_pool_backward(const PoolProblem& p, const AverageRule& rule, const T* dy, T* dx,
                           int threads) {
  if (p.planes() == 0) return;
  if (whole_planes(p)) {
    const T share = static_cast<T>(divisor(p, rule, 0, 0, 0));
    const int64_t in = p.in_plane(), batch = std::max<int64_t>(4096 / in, 1);
    return parallel_for((p.planes() + batch - 1) / batch, threads, [&](int64_t i, int) {
      const int64_t end = std::min(p.planes(), (i + 1) * batch);
      // Pieces of equal length run on into the next plane, which comes later.
      constexpr int64_t kPiece = 64 / sizeof(T);
      for (int64_t plane = i * batch; plane < end; ++plane) {
        T* const to = dx + plane * in;
        const T value = dy[plane] / share;
        if (plane + 1 == end || in < kPiece) {
          std::fill_n(to, in, value);
          continue;
        }
        for (int64_t at = 0; at < in; at += kPiece) std::fill_n(to + at, kPiece, value);
      }
    });
  }
  // Few columns, or phases of few elements: the passes below would leave most lanes idle.
  const int64_t lanes = of_type<T>(*kernels().pool).lanes;
  if (p.in[2] < lanes && p.planes() >= 2 * lanes && p.in_plane() <= kLargestTurned &&
      fits_channels_last(p)) {
    return turned(p, rule, dy, dx, threads);
  }
  if (fits_average_tiles(p) && (p.stride[2] > 4 || p.in[2] < lanes)) {
    return average_tiles_backward(p, rule, false, dy, dx, threads);
  }
  if (has_passes(p) && p.stride[2] <= 64) {
    return AverageBackward<T>(p, rule, dy, dx, threads).run(threads);
  }
  parallel_for(p.planes(), threads, [&](int64_t i, int) {
    T* plane = dx + i * p.in_plane();
    std::fill_n(plane, p.in_plane(), T(0));
    plain_average_backward(p, rule, dy + i * p.out_plane(), plane);
  });
}

template void average_pool_backward<float>(const PoolProblem&, const AverageRule&, const float*,
                                           float*, int);
template void average_pool_backward<double>(const PoolProblem&, const AverageRule&, const double*,
                                            double*, int);

}  // namespace fastconv
