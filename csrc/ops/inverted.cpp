#include "inverted.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "inverted_parts.h"
#include "program.h"

namespace fastconv {
namespace {

using T = float;

constexpr size_t kBandBytes = size_t{512} << 10;  // what a band of rows may take
constexpr size_t kWholeBytes = size_t{1} << 20;   // what threads may share of a widened picture

bool depthwise(const ConvProblem& p) {
  return p.groups == p.c && p.k == p.c && p.in[0] == 1 && p.ker[0] == 1 && p.stride[1] >= 1;
}

class Block : public Inverted {
 public:
  Block(const InvertedPlans& plans, const InvertedShape& shape)
      : plans_(plans),
        shape_(shape),
        c_(shape.c),
        d_(shape_.depth),
        k_(shape.k),
        wide_(shape.wide()),
        pitch_(pitch_of(wide_)),
        x_pitch_(pitch_of(c_)),
        y_pitch_(pitch_of(k_)),
        columns_(shape.columns()),
        tap_off_(tap_offsets(shape, pitch_)) {
    const int64_t p = d_.out[1], q = d_.out[2];
    const size_t row =
        sizeof(T) * static_cast<size_t>(pitch_) * static_cast<size_t>(columns_ * d_.stride[1] + q);
    const int64_t fits = std::max<int64_t>(1, static_cast<int64_t>(kBandBytes / row));
    band_ = ceil_div(p, ceil_div(p, std::min(fits, p)));
    rows_ = std::min((band_ - 1) * d_.stride[1] + shape_.reach(), d_.in[1]);
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < d_.in[2]; ++j) wide_off_.push_back((i * columns_ + j) * pitch_);
    }
    if (plans.gate &&
        static_cast<size_t>(d_.in[1] * columns_ * pitch_) * sizeof(T) <= kWholeBytes) {
      for (int64_t i = 0; i < d_.in[1]; ++i) {
        const int64_t row = i * columns_ + d_.pad_lo[2];
        for (int64_t j = 0; j < d_.in[2]; ++j) whole_off_.push_back((row + j) * pitch_);
      }
    }
    for (int64_t i = 0; i < band_ * d_.out[2]; ++i) narrow_off_.push_back(i * y_pitch_);
  }

  void run(const void* x, const void* residual, void* y) const override {
    const int64_t parts = std::min<int64_t>(d_.out[1], shape_.threads());
    const size_t own = thread_bytes(), all = static_cast<size_t>(parts) * own;
    const Scratch scratch(common_size(all + whole_bytes()));
    for (int64_t n = 0; n < d_.n; ++n) {
      const T* image = static_cast<const T*>(x) + n * c_ * d_.in_plane();
      const int64_t at = n * k_ * d_.out_plane();
      const T* more = residual ? static_cast<const T*>(residual) + at : nullptr;
      T* result = static_cast<T*>(y) + at;
      const Whole whole(*this, scratch.data() + all);
      if (plans_.gate && parts > 1 && !whole_off_.empty()) {
        filter_together(image, whole, scratch.data(), static_cast<int>(parts));
      } else {
        by_bands(image, more, whole, scratch.data(), parts, result);
      }
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
  };
  // Where there is a gate: a whole picture between the two halves, and what is known of it.
  struct Whole {
    T *mid = nullptr, *sums = nullptr, *means = nullptr, *scale = nullptr, *zero = nullptr;
    T* wide = nullptr;  // the widened picture, if threads share it
    Whole(const Block& block, char* at) {
      if (!block.plans_.gate) return;
      Carver carver(at);
      mid = carver.take<T>(block.pixels() * block.pitch());
      sums = carver.take<T>(block.pixel_rows() * block.pitch());
      means = carver.take<T>(block.pitch());
      scale = carver.take<T>(block.pitch());
      zero = carver.take<T>(block.pitch());
      wide = carver.take<T>(block.shared_size());
    }
  };
  size_t pixels() const { return static_cast<size_t>(d_.out_plane()); }
  size_t pixel_rows() const { return static_cast<size_t>(d_.out[1]); }
  size_t pitch() const { return static_cast<size_t>(pitch_); }
  size_t whole_bytes() const {
    if (!plans_.gate) return 0;
    return Carver::bytes<T>(pixels() * pitch()) + Carver::bytes<T>(pixel_rows() * pitch()) +
           3 * Carver::bytes<T>(pitch()) + Carver::bytes<T>(shared_size());
  }
  size_t shared_size() const {
    return whole_off_.empty() ? 0 : static_cast<size_t>(d_.in[1] * columns_ * pitch_);
  }
  size_t source_size() const {
    const int64_t rows = whole_off_.empty() ? rows_ : d_.in[1];
    return static_cast<size_t>(rows * d_.in[2] * x_pitch_);
  }
  size_t wide_size() const { return static_cast<size_t>(rows_ * columns_ * pitch_); }
  size_t mid_size() const {
    return plans_.gate ? 0 : static_cast<size_t>(band_ * d_.out[2] * pitch_);
  }
  size_t result_size() const { return static_cast<size_t>(band_ * d_.out[2] * y_pitch_); }
  size_t thread_bytes() const {
    return Carver::bytes<T>(source_size()) + Carver::bytes<T>(wide_size()) +
           Carver::bytes<T>(mid_size()) + Carver::bytes<T>(result_size());
  }
  const auto& gemm() const { return kernels().gemm->f32; }
  const auto& last() const { return *kernels().last; }

  // Some rows of the picture after the other, up to the gate or all the way.
  void by_bands(const T* image, const T* more, const Whole& whole, char* scratch, int64_t parts,
                T* result) const {
    const size_t own = thread_bytes();
    parallel_for(parts, static_cast<int>(parts), [&](int64_t part, int thread) {
      Buffers b(*this, scratch + static_cast<size_t>(thread) * own);
      clear_beside(shape_, rows_, pitch_, b.wide);
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
  }

  // Up to the gate, threads share one widened picture, of which no row is made twice.
  void filter_together(const T* image, const Whole& whole, char* scratch, int team) const {
    constexpr int64_t kTile = 7;  // pixels of a register tile
    const int64_t plane = d_.in_plane(), tiles = ceil_div(plane, kTile), q = d_.out[2];
    const size_t own = thread_bytes();
    clear_beside(shape_, d_.in[1], pitch_, whole.wide);
    parallel_for(team, team, [&](int64_t part, int thread) {
      const int64_t first = tiles * part / team * kTile;
      const int64_t stop = std::min(plane, tiles * (part + 1) / team * kTile);
      const Buffers b(*this, scratch + static_cast<size_t>(thread) * own);
      if (first < stop) widen_pixels(image, first, stop, b.source, whole.wide);
    });
    parallel_for(d_.out[1], team, [&](int64_t i, int) {
      T* const row = whole.mid + i * q * pitch_;
      filter_rows(shape_, *plans_.depthwise, whole.wide, 0, tap_off_.data(), i, i + 1, row);
      norm_last().sums(row, q, pitch_, pitch_, whole.sums + i * pitch_);
    });
  }

  // Pixels [first, stop) of the whole widened picture.
  void widen_pixels(const T* image, int64_t first, int64_t stop, T* source, T* wide) const {
    gemm().transpose(image + first, d_.in_plane(), c_, stop - first, source, x_pitch_);
    const Activation activation = plans_.expand->activation();
    LastProduct g = last_product(*plans_.expand, c_, wide_);
    clamp_range(activation, &g.lo, &g.hi);
    g.a = source;
    g.a_row = x_pitch_;
    g.c = wide;
    g.c_off = whole_off_.data() + first;
    g.rows = stop - first;
    last().product(g);
    for (int64_t i = first, n; i < stop; i += n) {
      n = std::min(stop, (i / d_.in[2] + 1) * d_.in[2]) - i;
      activate(activation, wide + whole_off_[static_cast<size_t>(i)], n * pitch_, 1);
    }
  }

  // The rows of the widened picture that output rows [p, stop) read.
  void widen(const T* image, int64_t p, int64_t stop, Buffers* b) const {
    const int64_t top = p * d_.stride[1] - d_.pad_lo[1];
    const int64_t lo = std::max<int64_t>(0, std::min(top, d_.in[1]));
    const int64_t hi =
        std::max(lo, std::min(d_.in[1], top + (stop - p - 1) * d_.stride[1] + shape_.reach()));
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

  // Rows [p, stop) of the depthwise convolution.
  void filter(const Buffers& b, int64_t p, int64_t stop, T* mid) const {
    filter_rows(shape_, *plans_.depthwise, b.wide, b.lo, tap_off_.data(), p, stop, mid);
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

  void finish(int64_t first, int64_t pixels, const T* residual, const T* buffer, T* y) const {
    finish_pixels(shape_, plans_.project->activation(), first, pixels, buffer, residual, y);
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
  const InvertedShape shape_;
  const int64_t c_;
  const ConvProblem& d_;
  const int64_t k_, wide_, pitch_, x_pitch_, y_pitch_;
  const int64_t columns_;  // of the widened picture with its padding
  int64_t band_, rows_;    // output rows at a time, and the rows they read
  const std::vector<ptrdiff_t> tap_off_;
  std::vector<ptrdiff_t> wide_off_, narrow_off_;  // of the pixels of a band
  std::vector<ptrdiff_t> whole_off_;              // of the whole picture's, if threads share it
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
  return std::make_shared<Block>(plans, InvertedShape{expand.c, depth, project.k});
}

}  // namespace fastconv
