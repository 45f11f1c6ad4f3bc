// Gradients of depthwise convolutions of channels-last pictures, where they lie: an element of the
// input gathers from the windows that meet it, and a tap's weights from all outputs, a vector of
// channels at a time.
#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "last_conv.h"
#include "last_runs.h"
#include "memory.h"
#include "parallel.h"
#include "pool_phases.h"

namespace fastconv {
namespace {

using T = float;

constexpr int64_t kMostTaps = 121;

// ---- the input's ----

// The windows of a convolution as those of a pool.
PoolWindows windows_of(const ConvProblem& p) {
  PoolWindows w;
  for (int axis = 0; axis < 3; ++axis) {
    w.in[axis] = p.in[axis];
    w.ker[axis] = p.ker[axis];
    w.out[axis] = p.out[axis];
    w.stride[axis] = p.stride[axis];
    w.dil[axis] = p.dil[axis];
    w.pad_lo[axis] = p.pad_lo[axis];
    w.pad_hi[axis] = p.pad_hi[axis];
  }
  return w;
}

// Which tap an element of a run is to the t-th window that it meets.
int64_t tap_of(const ConvProblem& p, int axis, const PhaseRun& run, int64_t t) {
  const int64_t window = run.window + t * run.dil;
  return (run.at + p.pad_lo[axis] - window * p.stride[axis]) / p.dil[axis];
}

// Places of the rows of a kernel such that those which an element meets lie side by side, in the
// order of its windows.
std::vector<int64_t> places_of_rows(const ConvProblem& p) {
  const int64_t count = p.ker[1], step = p.stride[1] / std::gcd(p.stride[1], p.dil[1]);
  std::vector<int64_t> place(static_cast<size_t>(count));
  int64_t next = 0;
  for (int64_t first = 0; first < std::min(step, count); ++first) {
    for (int64_t r = first + (count - 1 - first) / step * step; r >= first; r -= step) {
      place[static_cast<size_t>(r)] = next++;
    }
  }
  return place;
}

// Rows of elements that meet as many windows are a run; `most` of them at a time are a band.
class InputGradient {
 public:
  InputGradient(const ConvProblem& p, const T* grad, const T* weight, T* dx, int64_t most,
                int threads)
      : p_(p),
        grad_(grad),
        dx_(dx),
        rows_(phase_runs(windows_of(p), 1)),
        columns_(phase_runs(windows_of(p), 2)),
        place_(places_of_rows(p)),
        line_(ceil_div(p.c, 16) * 16),
        listed_(Carver::bytes<ptrdiff_t>(static_cast<size_t>(p.taps()))),
        scratch_(Carver::bytes<T>(numbers()) + listed_ * static_cast<size_t>(threads)) {
    Carver carver(scratch_.data());
    T* const all = carver.take<T>(numbers());
    lists_ = carver.take<char>(0);
    kernels().gemm->f32.transpose(weight, p.taps(), p.c, p.taps(), all, line_);
    T* next = all + p.taps() * line_;
    for (const PhaseRun& q : columns_) {
      weights_.push_back(next);
      for (int64_t r = 0; r < p.ker[1]; ++r) {
        for (int64_t t = 0; t < q.taps; ++t) {
          const T* from = all + (r * p.ker[2] + tap_of(p, 2, q, t)) * line_;
          std::copy_n(from, p.c, next + (place_[static_cast<size_t>(r)] * q.taps + t) * line_);
        }
      }
      next += p.ker[1] * q.taps * line_;
    }
    zeros_ = next;
    std::fill_n(next, line_, T(0));
    for (const PhaseRun& h : rows_) {
      for (int64_t i = 0; i < h.count; i += most) {
        bands_.push_back({&h, i, std::min(most, h.count - i)});
      }
    }
  }

  int64_t bands() const { return static_cast<int64_t>(bands_.size()); }

  void run(int64_t n, int64_t band, int thread) const {
    const ConvProblem& p = p_;
    const Band& b = bands_[static_cast<size_t>(band)];
    const PhaseRun& h = *b.run;
    const int64_t c = p.c, lanes = vector_lanes(), whole = c / lanes * lanes;
    const int64_t window = h.window + b.first, at = h.at + b.first * p.stride[1];
    const int64_t first = h.taps ? place_[static_cast<size_t>(tap_of(p, 1, h, 0))] : 0;
    LastSum g{};
    auto* tap_off = reinterpret_cast<ptrdiff_t*>(lists_ + static_cast<size_t>(thread) * listed_);
    g.tap_off = tap_off;
    g.src_row = p.out[2] * c;
    g.src_step = c;
    g.w_tap = line_;
    g.out_row = p.stride[1] * p.in[2] * c;
    g.out_step = p.stride[2] * c;
    g.rows = b.count;
    g.lo = -std::numeric_limits<T>::infinity();
    g.hi = std::numeric_limits<T>::infinity();
    for (size_t i = 0; i < columns_.size(); ++i) {
      const PhaseRun& q = columns_[i];
      g.width = q.count;
      g.taps = 0;
      for (int64_t t = 0; t < h.taps; ++t) {
        for (int64_t u = 0; u < q.taps; ++u) {
          tap_off[g.taps++] = (t * h.dil * p.out[2] + u * q.dil) * c;
        }
      }
      const auto channels = [&](int64_t e, int64_t some) {
        g.src = grad_ + ((n * p.out[1] + window) * p.out[2] + q.window) * c + e;
        g.w = weights_[i] + first * q.taps * line_ + e;
        g.bias = zeros_ + e;
        g.out = dx_ + ((n * p.in[1] + at) * p.in[2] + q.at) * c + e;
        g.channels = some;
        kernels().last->sum(g);
      };
      channels(0, whole);
      if (whole < c) channels(c - lanes, lanes);  // some of them again
    }
  }

 private:
  // Weights [tap][channel], for each run of columns those that it meets: [row][tap][channel], and
  // zeros.
  size_t numbers() const {
    int64_t taps = p_.taps() + 1;
    for (const PhaseRun& q : columns_) taps += p_.ker[1] * q.taps;
    return static_cast<size_t>(taps * line_);
  }
  struct Band {
    const PhaseRun* run;
    int64_t first, count;
  };

  const ConvProblem& p_;
  const T* grad_;
  T* dx_;
  std::vector<PhaseRun> rows_, columns_;
  std::vector<int64_t> place_;
  int64_t line_;
  size_t listed_;
  Scratch scratch_;
  char* lists_;
  std::vector<const T*> weights_;
  const T* zeros_;
  std::vector<Band> bands_;
};

// ---- the weights' and the bias' ----

// Outputs are cut into pieces of a fixed size, whatever the number of threads: some rows of a
// picture, or some pictures. A piece has its sums for itself, [tap][channel] and last those of the
// bias. Channels are in blocks.
class WeightGradient {
 public:
  WeightGradient(const ConvProblem& p, const T* grad, const T* x, bool bias)
      : p_(p),
        grad_(grad),
        x_(x),
        bias_(bias),
        rows_(runs_along(p, 1)),
        columns_(runs_along(p, 2)),
        lanes_(vector_lanes()),
        whole_(p.c / lanes_ * lanes_),
        line_(whole_ + (whole_ < p.c ? lanes_ : 0)),
        height_(std::clamp<int64_t>(kPixels / p.out[2], 1, p.out[1])),
        images_(std::clamp<int64_t>(kPixels / p.out_plane(), 1, p.n)),
        bands_(ceil_div(p.out[1], height_)),
        blocks_(ceil_div(whole_, 4 * lanes_) + (whole_ < p.c)),
        scratch_(static_cast<size_t>(groups() * bands_ * piece()) * sizeof(T)),
        sums_(reinterpret_cast<T*>(scratch_.data())) {}

  int64_t images() const { return images_; }  // of a group
  int64_t groups() const { return ceil_div(p_.n, images_); }
  int64_t tasks() const { return bands_ * (blocks_ + bias_); }  // of a group

  void run(int64_t group, int64_t task) const {
    const int64_t band = task / (blocks_ + bias_), block = task % (blocks_ + bias_);
    const int64_t top = band * height_, bottom = std::min(p_.out[1], top + height_);
    const int64_t n0 = group * images_, n1 = std::min(p_.n, n0 + images_);
    T* const sums = sums_ + (group * bands_ + band) * piece();
    if (block < blocks_) return dot(n0, n1, top, bottom, block, sums);
    const int64_t pixels = (n1 - n0) * (bottom - top) * p_.out[2];
    kernels().norm->last32.sums(grad_ + (n0 * p_.out[1] + top) * p_.out[2] * p_.c, pixels, p_.c,
                                p_.c, sums + p_.taps() * line_);
  }

  // The pieces' sums together.
  void join(T* dweight, T* dbias) {
    const int64_t pieces = groups() * bands_, size = piece(), taps = p_.taps(), c = p_.c;
    std::vector<double> total(static_cast<size_t>(pieces > 1 ? size : 0));
    for (int64_t i = 0; pieces > 1 && i < pieces; ++i) {
      for (int64_t j = 0; j < size; ++j) {
        total[static_cast<size_t>(j)] += static_cast<double>(sums_[i * size + j]);
      }
    }
    for (size_t j = 0; j < total.size(); ++j) sums_[j] = static_cast<T>(total[j]);
    if (dbias) std::copy_n(sums_ + taps * line_, c, dbias);
    if (!dweight) return;
    const auto turn = kernels().gemm->f32.transpose;
    turn(sums_, line_, taps, whole_, dweight, taps);
    if (whole_ == c) return;
    turn(sums_ + line_ - (c - whole_), line_, taps, c - whole_, dweight + whole_ * taps, taps);
  }

 private:
  static constexpr int64_t kPixels = 1024;

  int64_t piece() const { return (p_.taps() + bias_) * line_; }

  void dot(int64_t n0, int64_t n1, int64_t top, int64_t bottom, int64_t block, T* sums) const {
    const ConvProblem& p = p_;
    const int64_t c = p.c, width = 4 * lanes_;
    // The last block may be some channels again, with sums of their own.
    const int64_t to = std::min(block * width, whole_), from = to < whole_ ? to : c - lanes_;
    LastPiece list[kMostTaps];
    LastDot d{};
    d.pieces = list;
    d.channels = to < whole_ ? std::min(width, whole_ - to) : lanes_;
    d.out = sums + to;
    d.grad_row = p.out[2] * c;
    d.grad_step = c;
    d.src_row = p.stride[1] * p.in[2] * c;
    d.src_step = p.stride[2] * c;
    for (int64_t t = 0; t < p.taps(); ++t) std::fill_n(d.out + t * line_, d.channels, T(0));
    for (int64_t n = n0; n < n1; ++n) {
      for (const TapRun& h : rows_) {
        const int64_t begin = std::max(h.begin, top), end = std::min(h.end, bottom);
        if (begin >= end) continue;
        for (const TapRun& q : columns_) {
          d.taps = 0;
          for (int64_t r = h.first; r < h.last; ++r) {
            for (int64_t s = q.first; s < q.last; ++s) {
              list[d.taps++] = {((r - h.first) * p.dil[1] * p.in[2] + (s - q.first) * p.dil[2]) * c,
                                (r * p.ker[2] + s) * line_};
            }
          }
          d.grad = grad_ + ((n * p.out[1] + begin) * p.out[2] + q.begin) * c + from;
          d.src = x_ + n * p.in_plane() * c + element(p, begin, q.begin, h.first, q.first) + from;
          d.rows = end - begin;
          d.width = q.end - q.begin;
          if (d.taps) kernels().last->dot(d);
        }
      }
    }
  }

  const ConvProblem& p_;
  const T *grad_, *x_;
  bool bias_;
  std::vector<TapRun> rows_, columns_;
  int64_t lanes_, whole_, line_, height_, images_, bands_, blocks_;
  Scratch scratch_;
  T* sums_;
};

}  // namespace

bool backs_last(const ConvProblem& p, size_t item) {
  return item == sizeof(T) && p.n * p.c * p.in_plane() > 0 && p.in[0] == 1 && p.ker[0] == 1 &&
         p.pad_lo[0] + p.pad_hi[0] == 0 && is_depthwise(p) && p.c >= vector_lanes() &&
         p.taps() <= kMostTaps;
}

void last_backward(const ConvProblem& p, const float* grad, const float* x, const float* weight,
                   float* dx, float* dweight, float* dbias, int threads) {
  const int64_t most = threads > 1 ? ceil_div(p.n * p.in[1], 4 * threads) : p.in[1];
  WeightGradient weights(p, grad, x, dbias != nullptr);
  std::optional<InputGradient> inputs;
  if (dx) inputs.emplace(p, grad, weight, dx, most, threads);
  // What belongs to the same pictures follows each other, so that they are read once.
  const int64_t images = weights.images(), bands = dx ? inputs->bands() : 0,
                firsts = images * bands, tasks = firsts + (dweight || dbias ? weights.tasks() : 0);
  parallel_for(weights.groups() * tasks, threads, [&](int64_t i, int thread) {
    const int64_t group = i / tasks, task = i % tasks;
    if (task >= firsts) return weights.run(group, task - firsts);
    const int64_t n = group * images + task / bands;
    if (n < p.n) inputs->run(n, task % bands, thread);
  });
  if (dweight || dbias) weights.join(dweight, dbias);
}

}  // namespace fastconv
