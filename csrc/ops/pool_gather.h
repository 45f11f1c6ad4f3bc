// Backward pools over blocks of input rows that gather from the windows that meet them. No scatter,
// so blocks may be computed in any order and in parallel.
#pragma once

#include "../isa.h"
#include "memory.h"
#include "parallel.h"
#include "pool_blocks.h"
#include "pool_phases.h"

namespace fastconv {

// Rows [h0, h1) of depths [d0, d1) of planes [plane, plane + planes): consecutive in memory.
struct InputBlock {
  int64_t plane, planes, d0, d1, h0, h1;
  int64_t rows() const { return (d1 - d0) * (h1 - h0); }
};

// Cutting the input into blocks, and what each row and column of it meets.
template <class T>
class Backward {
 public:
  Backward(const PoolProblem& p, const T* dy, T* dx, int threads)
      : p_(p), kernels_(of_type<T>(*kernels().pool)), dy_(dy), dx_(dx), lanes_(kernels_.lanes) {
    phases_ = std::min(p.stride[2], p.in[2]);
    for (int64_t f = 0; f < phases_; ++f) {
      const int64_t padded = f + p.pad_lo[2];
      Phase phase = phase_of(p, 2, padded % p.stride[2]);
      phase.first += padded / p.stride[2];
      columns_.push_back(phase);
    }
    runs_[0] = phase_runs(p, 0);
    runs_[1] = phase_runs(p, 1);
    pitch_ = (p.out[2] + lanes_ - 1) / lanes_ * lanes_;
    phase_pitch_ = (elements(0) + lanes_ - 1) / lanes_ * lanes_;
    cut(threads);
    const InputBlock largest{0, planes_, 0, depths_, 0, heights_};
    window_rows_ = planes_ > 1 ? planes_ * p.out[0] * p.out[1] : 0;
    for (int64_t d = 0; d < p.in[0]; d += depths_) {
      for (int64_t h = 0; h < p.in[1]; h += heights_) {
        const WindowRange z = windows_of(p, 0, d, std::min(d + depths_, p.in[0])),
                          y = windows_of(p, 1, h, std::min(h + heights_, p.in[1]));
        window_rows_ = std::max(window_rows_, (z.last - z.first) * (y.last - y.first));
      }
    }
    const auto slack = static_cast<size_t>(lanes_);
    window_size_ = static_cast<size_t>(window_rows_ * pitch_) + slack;
    row_size_ = static_cast<size_t>(planes_ * largest.rows() * pitch_) + slack;
    phase_size_ = static_cast<size_t>(planes_ * largest.rows() * phase_pitch_) + slack;
    taps_ = 1;
    for (int axis = 0; axis < 2; ++axis) {
      size_t most = 1;
      for (const PhaseRun& run : runs_[axis]) most = std::max(most, static_cast<size_t>(run.taps));
      taps_ *= most;
    }
  }

 protected:
  int64_t elements(int64_t f) const { return (p_.in[2] - f + p_.stride[2] - 1) / p_.stride[2]; }
  int64_t blocks() const {
    return ((p_.planes() + planes_ - 1) / planes_) * along(0, depths_) * along(1, heights_);
  }
  int64_t along(int axis, int64_t size) const { return (p_.in[axis] + size - 1) / size; }

  InputBlock block(int64_t i) const {
    const int64_t hs = along(1, heights_), ds = along(0, depths_);
    InputBlock b;
    b.h0 = i % hs * heights_;
    b.d0 = i / hs % ds * depths_;
    b.plane = i / (hs * ds) * planes_;
    b.h1 = std::min(b.h0 + heights_, p_.in[1]);
    b.d1 = std::min(b.d0 + depths_, p_.in[0]);
    b.planes = std::min(planes_, p_.planes() - b.plane);
    return b;
  }

  // body(run of heights, depth, first window row, its offsets): the rows of a block that meet the
  // same window rows. Window rows are counted from the first of the block's plane.
  template <class Body>
  void for_each_run(const InputBlock& b, const WindowRange& z, const WindowRange& y,
                    ptrdiff_t* offsets, const Body& body) const {
    const int64_t height = y.last - y.first, s = p_.stride[1];
    for (const PhaseRun& dr : runs_[0]) {
      for (int64_t i = 0; i < dr.count; ++i) {
        const int64_t d = dr.at + i * p_.stride[0];
        if (d < b.d0 || d >= b.d1) continue;
        for (PhaseRun hr : runs_[1]) {
          if (hr.at < b.h0) {
            const int64_t skip = std::min(hr.count, (b.h0 - hr.at + s - 1) / s);
            hr.at += skip * s;
            hr.window += skip;
            hr.count -= skip;
          }
          if (b.h1 < p_.in[1]) {
            hr.count = hr.at < b.h1 ? std::min(hr.count, (b.h1 - hr.at + s - 1) / s) : 0;
          }
          if (hr.count <= 0) continue;
          ptrdiff_t taps = 0;
          for (int64_t t = 0; t < dr.taps; ++t) {
            for (int64_t r = 0; r < hr.taps; ++r) {
              offsets[taps++] = (t * dr.dil * height + r * hr.dil) * pitch_;
            }
          }
          const int64_t window = (dr.window + i - z.first) * height + hr.window - y.first;
          body(hr, d, taps == 0 ? 0 : window, taps);
        }
      }
    }
  }

  void weave(const InputBlock& b, const T* const* phase, int64_t pitch) const {
    PoolWeave<T> g;
    g.phase = phase;
    g.phases = phases_;
    g.pitch = pitch;
    g.rows = b.planes * b.rows();
    g.out = p_.in[2];
    g.dst = dx_ + b.plane * p_.in_plane() + (b.d0 * p_.in[1] + b.h0) * p_.in[2];
    g.room = g.rows * g.out;
    kernels_.weave(g);
  }

  const PoolProblem& p_;
  const PoolKernels<T>& kernels_;
  const T* dy_;
  T* dx_;
  int64_t lanes_;
  int64_t phases_ = 1, pitch_ = 0, phase_pitch_ = 0;
  int64_t planes_ = 1, depths_ = 1, heights_ = 1;  // of a block
  int64_t window_rows_ = 0;
  size_t window_size_ = 0, row_size_ = 0, phase_size_ = 0, taps_ = 0;
  std::vector<Phase> columns_;  // along the width, counted from its first element
  std::vector<PhaseRun> runs_[2];

 private:
  void cut(int threads) {
    const int64_t row = phases_ * phase_pitch_ + 2 * pitch_;  // elements of scratch for a row
    const int64_t fit =
        std::max<int64_t>(int64_t{32 << 10} / static_cast<int64_t>(sizeof(T)) / row, 1);
    depths_ = p_.in[0];
    heights_ = p_.in[1];
    const int64_t rows = depths_ * heights_;
    if (rows <= fit) {
      const int64_t share = std::max<int64_t>(p_.planes() / (4 * threads), 1);
      planes_ = std::clamp<int64_t>(fit / rows, 1, share);
      return;
    }
    depths_ = std::clamp<int64_t>(fit / heights_, 1, depths_);
    if (depths_ == 1) {
      const int64_t span = (p_.ker[1] - 1) * p_.dil[1] + 1;
      heights_ = std::min(heights_, std::max(fit, 4 * span));
    }
  }
};

}  // namespace fastconv
