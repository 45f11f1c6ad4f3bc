// Gradients of depthwise convolutions of channels-last pictures, where they lie: an element of the
// input gathers from the outputs that it meets, and a tap's weights from all outputs, a vector of
// channels at a time. With a few channels in the picture the weights' the same way: each is a tap.
#include <algorithm>
#include <optional>

#include "last_conv.h"
#include "last_stretch.h"
#include "parallel.h"

namespace fastconv {
namespace {

using T = float;

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
        each_(is_depthwise(p) ? 1 : p.c),
        taps_(p.taps() * each_),
        rows_(stretches(call(), 1)),
        columns_(stretches(call(), 2)),
        lanes_(vector_lanes()),
        whole_(p.k / lanes_ * lanes_),
        line_(whole_ + (whole_ < p.k ? lanes_ : 0)),
        height_(std::clamp<int64_t>(kPixels / p.out[2], 1, p.out[1])),
        images_(std::clamp<int64_t>(kPixels / p.out_plane(), 1, p.n)),
        bands_(ceil_div(p.out[1], height_)),
        blocks_(ceil_div(whole_, 4 * lanes_) + (whole_ < p.k)),
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
    kernels().norm->last32.sums(grad_ + (n0 * p_.out[1] + top) * p_.out[2] * p_.k, pixels, p_.k,
                                p_.k, sums + taps_ * line_);
  }

  // The pieces' sums together.
  void join(T* dweight, T* dbias) {
    const int64_t pieces = groups() * bands_, size = piece(), taps = taps_, k = p_.k;
    std::vector<double> total(static_cast<size_t>(pieces > 1 ? size : 0));
    for (int64_t i = 0; pieces > 1 && i < pieces; ++i) {
      for (int64_t j = 0; j < size; ++j) {
        total[static_cast<size_t>(j)] += static_cast<double>(sums_[i * size + j]);
      }
    }
    for (size_t j = 0; j < total.size(); ++j) sums_[j] = static_cast<T>(total[j]);
    if (dbias) std::copy_n(sums_ + taps * line_, k, dbias);
    if (!dweight) return;
    const auto turn = kernels().gemm->f32.transpose;
    turn(sums_, line_, taps, whole_, dweight, taps);
    if (whole_ == k) return;
    turn(sums_ + line_ - (k - whole_), line_, taps, k - whole_, dweight + whole_ * taps, taps);
  }

 private:
  static constexpr int64_t kPixels = 2048;

  LastCall call() const { return {p_, false, x_, nullptr, nullptr, 0, 0, nullptr, 1}; }

  int64_t piece() const { return (taps_ + bias_) * line_; }

  void dot(int64_t n0, int64_t n1, int64_t top, int64_t bottom, int64_t block, T* sums) const {
    const ConvProblem& p = p_;
    const int64_t c = p.c, k = p.k, width = 4 * lanes_;
    const bool depthwise = each_ != c;
    // The last block may be some channels again, with sums of their own.
    const int64_t to = std::min(block * width, whole_), from = to < whole_ ? to : k - lanes_;
    LastPiece list[kMostLastTaps];
    LastDot d{};
    d.pieces = list;
    d.channels = to < whole_ ? std::min(width, whole_ - to) : lanes_;
    d.out = sums + to;
    d.grad_row = p.out[2] * k;
    d.grad_step = k;
    d.src_row = p.stride[1] * p.in[2] * c;
    d.src_step = p.stride[2] * c;
    for (int64_t t = 0; t < taps_; ++t) std::fill_n(d.out + t * line_, d.channels, T(0));
    for (int64_t n = n0; n < n1; ++n) {
      for (const Stretch& h : rows_) {
        const int64_t begin = std::max(h.to, top), end = std::min(h.to + h.count, bottom);
        if (begin >= end) continue;
        const int64_t row = h.from + (begin - h.to) * h.from_step;
        for (const Stretch& q : columns_) {
          d.taps = 0;
          for (int64_t r = 0; r < h.taps; ++r) {
            for (int64_t s = 0; s < q.taps; ++s) {
              const int64_t at = (r * p.dil[1] * p.in[2] + s * p.dil[2]) * c;
              for (int64_t i = 0; i < each_; ++i) {
                const int64_t tap = ((i * p.ker[1] + h.place + r) * p.ker[2] + q.place + s);
                list[d.taps++] = {at + i, tap * line_};
              }
            }
          }
          d.grad = grad_ + ((n * p.out[1] + begin) * p.out[2] + q.to) * k + from;
          d.src = x_ + ((n * p.in[1] + row) * p.in[2] + q.from) * c + (depthwise ? from : 0);
          d.rows = end - begin;
          d.width = q.count;
          if (d.taps) (depthwise ? kernels().last->dot : kernels().last->spread)(d);
        }
      }
    }
  }

  const ConvProblem& p_;
  const T *grad_, *x_;
  bool bias_;
  int64_t each_;  // channels of the picture for one of the gradient: taps of its own each
  int64_t taps_;
  std::vector<Stretch> rows_, columns_;
  int64_t lanes_, whole_, line_, height_, images_, bands_, blocks_;
  Scratch scratch_;
  T* sums_;
};

}  // namespace

void last_backward(const ConvProblem& p, const float* grad, const float* x, const float* weight,
                   float* dx, float* dweight, float* dbias, int threads) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  WeightGradient weights(p, grad, x, dbias != nullptr);
  std::optional<LastSums> inputs;
  if (dx)
    inputs.emplace(LastCall{p, true, grad, weight, nullptr, -infinity, infinity, dx, threads});
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
