#include "inverted.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "conv.h"
#include "last_panels.h"
#include "parallel.h"
#include "program.h"

namespace fastconv {
namespace {

using T = float;

constexpr size_t kBandBytes = size_t{512} << 10;  // what a band of rows may take

bool depthwise(const ConvProblem& p) {
  return p.groups == p.c && p.k == p.c && p.in[0] == 1 && p.ker[0] == 1 && p.stride[1] >= 1;
}

// The weights of a depthwise convolution, [tap][channel], and the bias as one more row.
const T* taps_of(Plan& plan, int64_t channels, int64_t taps) {
  static const char kind = 0;
  const int64_t pitch = pitch_of(channels);
  const auto bytes = static_cast<size_t>((taps + 1) * pitch) * sizeof(T);
  return static_cast<const T*>(plan.form(&kind, bytes, [&](void* to) {
    const T *w = static_cast<const T*>(plan.weight()), *bias = static_cast<const T*>(plan.bias());
    T* out = static_cast<T*>(to);
    std::fill_n(out, (taps + 1) * pitch, T(0));
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t t = 0; t < taps; ++t) out[t * pitch + c] = w[c * taps + t];
      if (bias) out[taps * pitch + c] = bias[c];
    }
  }));
}

class Block : public Inverted {
 public:
  Block(const InvertedPlans& plans, const ConvProblem& expand, const ConvProblem& depth,
        const ConvProblem& project)
      : plans_(plans),
        c_(expand.c),
        d_(depth),
        k_(project.k),
        wide_(depth.c),
        pitch_(pitch_of(depth.c)),
        x_pitch_(pitch_of(c_)),
        y_pitch_(pitch_of(k_)),
        columns_(depth.in[2] + depth.pad_lo[2] + depth.pad_hi[2]),
        reach_((depth.ker[1] - 1) * depth.dil[1] + 1) {
    const int64_t p = d_.out[1], q = d_.out[2];
    const size_t row =
        sizeof(T) * static_cast<size_t>(pitch_) * static_cast<size_t>(columns_ * d_.stride[1] + q);
    const int64_t fits = std::max<int64_t>(1, static_cast<int64_t>(kBandBytes / row));
    band_ = ceil_div(p, ceil_div(p, std::min(fits, p)));
    rows_ = std::min((band_ - 1) * d_.stride[1] + reach_, d_.in[1]);
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < d_.in[2]; ++j) wide_off_.push_back((i * columns_ + j) * pitch_);
    }
    for (int64_t r = 0; r < d_.ker[1]; ++r) {
      for (int64_t s = 0; s < d_.ker[2]; ++s) {
        tap_off_.push_back((r * d_.dil[1] * columns_ + s * d_.dil[2]) * pitch_);
      }
    }
    for (int64_t i = 0; i < band_ * d_.out[2]; ++i) narrow_off_.push_back(i * y_pitch_);
  }

  void run(const void* x, const void* residual, void* y) const override {
    const int64_t parts = std::min<int64_t>(d_.out[1], threads());
    const size_t own = thread_bytes(), all = static_cast<size_t>(parts) * own;
    const Scratch scratch(common_size(all + whole_bytes()));
    for (int64_t n = 0; n < d_.n; ++n) {
      const T* image = static_cast<const T*>(x) + n * c_ * d_.in_plane();
      const int64_t at = n * k_ * d_.out_plane();
      const T* more = residual ? static_cast<const T*>(residual) + at : nullptr;
      T* result = static_cast<T*>(y) + at;
      const Whole whole(*this, scratch.data() + all);
      parallel_for(parts, static_cast<int>(parts), [&](int64_t part, int thread) {
        Buffers b(*this, scratch.data() + static_cast<size_t>(thread) * own);
        b.clear(*this);
        const int64_t end = d_.out[1] * (part + 1) / parts;
        for (int64_t p = d_.out[1] * part / parts; p < end; p += band_) {
          const int64_t stop = std::min(p + band_, end), first = p * d_.out[2];
          T* const mid = plans_.gate ? whole.mid + first * pitch_ : b.mid;
          widen(image, p, stop, &b);
          filter(b, p, stop, mid);
          if (plans_.gate) {
            for (int64_t i = p; i < stop; ++i) {
              norm_last().sums(mid + (i - p) * d_.out[2] * pitch_, d_.out[2], pitch_, pitch_,
                               whole.sums + i * pitch_);
            }
          } else {
            narrow(mid, (stop - p) * d_.out[2], b.result);
            finish(first, (stop - p) * d_.out[2], more, b.result, result);
          }
        }
      });
      if (!plans_.gate) continue;
      excite(whole);
      const int64_t most = std::min(band_, ceil_div(d_.out[1], parts)) * d_.out[2];
      const int64_t pixels = d_.out_plane();
      parallel_for(ceil_div(pixels, most), static_cast<int>(parts), [&](int64_t piece, int thread) {
        Buffers b(*this, scratch.data() + static_cast<size_t>(thread) * own);
        const int64_t first = piece * most, count = std::min(most, pixels - first);
        T* const mid = whole.mid + first * pitch_;
        const T infinity = std::numeric_limits<T>::infinity();
        norm_last().affine(mid, nullptr, mid, count, pitch_, pitch_, whole.scale, whole.zero,
                           -infinity, infinity);
        narrow(mid, count, b.result);
        finish(first, count, more, b.result, result);
      });
    }
  }

 private:
  // What a thread works in. Rows [lo, hi) of the widened picture are in `wide`.
  struct Buffers {
    T *source, *wide, *mid, *result;
    int64_t lo = 0, hi = 0;
    Buffers(const Block& block, char* at) {
      Carver carver(at);
      source = carver.take<T>(block.source_size());
      wide = carver.take<T>(block.wide_size());
      mid = carver.take<T>(block.mid_size());
      result = carver.take<T>(block.result_size());
    }
    // What is beside the picture is zero, and what is beside the channels.
    void clear(const Block& block) {
      const int64_t pitch = block.pitch_, channels = block.wide_, columns = block.columns_;
      const int64_t before = block.d_.pad_lo[2], after = block.d_.pad_hi[2];
      for (int64_t i = 0; i < block.rows_; ++i) {
        T* const row = wide + i * columns * pitch;
        std::fill_n(row, before * pitch, T(0));
        std::fill_n(row + (columns - after) * pitch, after * pitch, T(0));
        for (int64_t j = before; channels < pitch && j < columns - after; ++j) {
          std::fill_n(row + j * pitch + channels, pitch - channels, T(0));
        }
      }
    }
  };
  // Where there is a gate: a whole picture between the two halves, and what is known of it.
  struct Whole {
    T *mid = nullptr, *sums = nullptr, *means = nullptr, *scale = nullptr, *zero = nullptr;
    Whole(const Block& block, char* at) {
      if (!block.plans_.gate) return;
      Carver carver(at);
      mid = carver.take<T>(block.pixels() * block.pitch());
      sums = carver.take<T>(block.pixel_rows() * block.pitch());
      means = carver.take<T>(block.pitch());
      scale = carver.take<T>(block.pitch());
      zero = carver.take<T>(block.pitch());
    }
  };
  size_t pixels() const { return static_cast<size_t>(d_.out_plane()); }
  size_t pixel_rows() const { return static_cast<size_t>(d_.out[1]); }
  size_t pitch() const { return static_cast<size_t>(pitch_); }
  size_t whole_bytes() const {
    if (!plans_.gate) return 0;
    return Carver::bytes<T>(pixels() * pitch()) + Carver::bytes<T>(pixel_rows() * pitch()) +
           3 * Carver::bytes<T>(pitch());
  }
  size_t source_size() const { return static_cast<size_t>(rows_ * d_.in[2] * x_pitch_); }
  size_t wide_size() const { return static_cast<size_t>(rows_ * columns_ * pitch_); }
  size_t mid_size() const {
    return plans_.gate ? 0 : static_cast<size_t>(band_ * d_.out[2] * pitch_);
  }
  size_t result_size() const { return static_cast<size_t>(band_ * d_.out[2] * y_pitch_); }
  size_t thread_bytes() const {
    return Carver::bytes<T>(source_size()) + Carver::bytes<T>(wide_size()) +
           Carver::bytes<T>(mid_size()) + Carver::bytes<T>(result_size());
  }
  int threads() const {
    const double wide = static_cast<double>(d_.c) * static_cast<double>(d_.in_plane());
    const double work = wide * static_cast<double>(c_ + 20) * 2 + d_.flops();
    return useful_threads(work, num_threads());
  }

  const auto& gemm() const { return kernels().gemm->f32; }
  const auto& last() const { return *kernels().last; }

  // The rows of the widened picture that output rows [p, stop) read.
  void widen(const T* image, int64_t p, int64_t stop, Buffers* b) const {
    const int64_t top = p * d_.stride[1] - d_.pad_lo[1];
    const int64_t lo = std::max<int64_t>(0, std::min(top, d_.in[1]));
    const int64_t hi =
        std::max(lo, std::min(d_.in[1], top + (stop - p - 1) * d_.stride[1] + reach_));
    const int64_t row = columns_ * pitch_, kept = std::max<int64_t>(0, b->hi - std::max(lo, b->lo));
    if (kept > 0 && lo > b->lo) {
      std::memmove(b->wide, b->wide + (lo - b->lo) * row,
                   static_cast<size_t>(kept * row) * sizeof(T));
    }
    const int64_t first = lo + kept, w = d_.in[2];
    T* const to = b->wide + kept * row + d_.pad_lo[2] * pitch_;
    b->lo = lo;
    b->hi = hi;
    const T* from = image + first * w;
    gemm().transpose(from, d_.in_plane(), c_, (hi - first) * w, b->source, x_pitch_);
    const Activation activation = plans_.expand->activation();
    LastProduct g = last_product(*plans_.expand, c_, wide_);
    clamp_range(activation, &g.lo, &g.hi);
    g.a = b->source;
    g.a_row = x_pitch_;
    g.c = to;
    g.c_off = wide_off_.data();
    g.rows = (hi - first) * w;
    last().product(g);
    for (int64_t i = 0; i < hi - first; ++i) activate(activation, to + i * row, w * pitch_, 1);
  }

  // Tap rows [first, second) of output row i: the others meet zeros above and below the picture.
  using Span = std::pair<int64_t, int64_t>;
  Span taps_inside(int64_t i) const {
    const int64_t top = i * d_.stride[1] - d_.pad_lo[1], d = d_.dil[1];
    const int64_t first = top >= 0 ? 0 : std::min(d_.ker[1], ceil_div(-top, d));
    return {first, std::max(first, std::min(d_.ker[1],
                                            ceil_div(std::max<int64_t>(0, d_.in[1] - top), d)))};
  }

  // Rows [p, stop) of the depthwise convolution.
  void filter(const Buffers& b, int64_t p, int64_t stop, T* mid) const {
    const int64_t row = columns_ * pitch_, q = d_.out[2];
    const T* const w = taps_of(*plans_.depthwise, wide_, d_.taps());
    const Activation activation = plans_.depthwise->activation();
    LastSum g{};
    g.src_row = d_.stride[1] * row;
    g.src_step = d_.stride[2] * pitch_;
    g.tap_off = tap_off_.data();
    g.w_tap = pitch_;
    g.bias = w + d_.taps() * pitch_;
    g.out_row = q * pitch_;
    g.out_step = pitch_;
    g.width = q;
    g.channels = pitch_;
    clamp_range(activation, &g.lo, &g.hi);
    for (int64_t i = p; i < stop; i += g.rows) {
      const Span taps = taps_inside(i);
      for (g.rows = 1; i + g.rows < stop && taps_inside(i + g.rows) == taps;) ++g.rows;
      g.taps = (taps.second - taps.first) * d_.ker[2];
      const int64_t top = i * d_.stride[1] - d_.pad_lo[1] + taps.first * d_.dil[1];
      g.src = b.wide + (top - b.lo) * row;
      g.w = w + taps.first * d_.ker[2] * pitch_;
      g.out = mid + (i - p) * q * pitch_;
      last().sum(g);
    }
    activate(activation, mid, (stop - p) * q * pitch_, 1);
  }

  // Pixels of the result, channels last.
  void narrow(const T* mid, int64_t pixels, T* result) const {
    LastProduct g = last_product(*plans_.project, wide_, k_);
    clamp_range(Activation::none, &g.lo, &g.hi);
    g.a = mid;
    g.a_row = pitch_;
    g.c = result;
    g.c_off = narrow_off_.data();
    g.rows = pixels;
    last().product(g);
  }

  // Pixels [first, first + pixels) of the result, from channels last to planes.
  void finish(int64_t first, int64_t pixels, const T* residual, const T* buffer, T* y) const {
    const int64_t plane = d_.out_plane();
    const Activation activation = plans_.project->activation();
    gemm().transpose(buffer, y_pitch_, pixels, k_, y + first, plane);
    if (!residual && activation == Activation::none) return;
    T lo, hi;
    clamp_range(activation, &lo, &hi);
    for (int64_t k = 0; k < k_; ++k) {
      T* const row = y + k * plane + first;
      const T* const add = residual ? residual + k * plane + first : nullptr;
      kernels().norm->f32.affine(row, add, row, pixels, T(1), T(0), lo, hi);
      activate(activation, row, pixels, 1);
    }
  }

  // What each channel of the whole picture is multiplied by.
  void excite(const Whole& whole) const {
    norm_last().sums(whole.sums, d_.out[1], pitch_, pitch_, whole.means);
    const T share = T(1) / static_cast<T>(d_.out_plane());
    for (int64_t i = 0; i < pitch_; ++i) whole.means[i] *= share;
    std::fill_n(whole.scale, pitch_, T(0));
    std::fill_n(whole.zero, pitch_, T(0));
    plans_.gate->run({{whole.means, wide_}}, nullptr, whole.scale);
  }

  const NormLastKernels<float>& norm_last() const { return kernels().norm->last32; }

  const InvertedPlans plans_;
  const int64_t c_;
  const ConvProblem d_;
  const int64_t k_, wide_, pitch_, x_pitch_, y_pitch_;
  const int64_t columns_;  // of the widened picture with its padding
  const int64_t reach_;    // rows under a window
  int64_t band_, rows_;    // output rows at a time, and the rows they read
  std::vector<ptrdiff_t> tap_off_;
  std::vector<ptrdiff_t> wide_off_, narrow_off_;  // of the pixels of a band
};

}  // namespace

std::shared_ptr<const Inverted> Inverted::of(const InvertedPlans& plans, const Shape& input) {
  if (input.n != 4 || plans.depthwise->item() != sizeof(T)) return nullptr;
  const ConvProblem expand = plans.expand->entry(input)->problem;
  const auto lanes = kernels().vector_bytes / static_cast<int64_t>(sizeof(T));
  if (!is_pointwise(expand) || expand.k < lanes) return nullptr;
  const ConvProblem depth = plans.depthwise->entry(expand.output_shape())->problem;
  if (!depthwise(depth)) return nullptr;
  const ConvProblem project = plans.project->entry(depth.output_shape())->problem;
  if (!is_pointwise(project)) return nullptr;
  return std::make_shared<Block>(plans, expand, depth, project);
}

}  // namespace fastconv
