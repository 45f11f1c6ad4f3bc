// The dense row: a window that is the whole image gives one pixel, so each output channel is a dot
// product of its weights with an image, both contiguous as they lie. Fully connected layers and the
// 1x1 convolutions behind a global pool are of this kind.
#include <algorithm>
#include <limits>

#include "memory.h"
#include "parallel.h"
#include "rows.h"

namespace fastconv {
namespace {

constexpr int64_t kOutputs = 32;  // output channels a task: whole vectors of sums to fold
constexpr int64_t kImages = 20;   // images whose sums are under way at a time

bool supports(const ConvProblem& p) {
  return p.groups == 1 && p.out_plane() == 1 && p.in_plane() == p.taps() && !p.padded();
}

int64_t lanes_of(size_t item) {
  return kernels().vector_bytes / static_cast<int64_t>(item);
}

// Every product loads at least one operand; every sum is folded.
double cost(const ConvProblem& p, size_t item, bool) {
  const double sums = static_cast<double>(p.n) * static_cast<double>(p.k);
  const double vectors = static_cast<double>(p.reduction()) / static_cast<double>(lanes_of(item));
  return sums * ((p.n > 1 ? 0.55 : 0.7) * vectors + 3);
}

template <class T>
size_t thread_bytes() {
  const auto sums = static_cast<size_t>(kOutputs * kImages);
  return Carver::bytes<T>(sums * static_cast<size_t>(lanes_of(sizeof(T)))) + Carver::bytes<T>(sums);
}

size_t workspace(const ConvProblem&, size_t item, int threads, bool) {
  const size_t own = item == 4 ? thread_bytes<float>() : thread_bytes<double>();
  return Carver::bytes<ptrdiff_t>(kImages) + static_cast<size_t>(threads) * own;
}

template <class T>
void run(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  const auto& gemm = of_type<T>(*kernels().gemm);
  const int64_t depth = p.reduction();
  T lo, hi;
  clamp_range(call.activation, &lo, &hi);
  Carver shared(call.scratch);
  ptrdiff_t* image_off = shared.take<ptrdiff_t>(kImages);
  for (int64_t i = 0; i < kImages; ++i) image_off[i] = i * depth;
  char* const own = call.scratch + Carver::bytes<ptrdiff_t>(kImages);
  const ptrdiff_t whole = 0;

  const int64_t tasks = (p.k + kOutputs - 1) / kOutputs;
  parallel_for(tasks, call.threads, [&](int64_t task, int thread) {
    Carver carver(own + static_cast<size_t>(thread) * thread_bytes<T>());
    T* sums = carver.take<T>(static_cast<size_t>(kOutputs * kImages * lanes_of(sizeof(T))));
    T* folded = carver.take<T>(kOutputs * kImages);
    const int64_t k0 = task * kOutputs, outputs = std::min(kOutputs, p.k - k0);
    for (int64_t n0 = 0; n0 < p.n; n0 += kImages) {
      const int64_t images = std::min(kImages, p.n - n0), count = outputs * images;
      std::fill_n(sums, count * lanes_of(sizeof(T)), T(0));
      std::fill_n(folded, count, T(0));
      DotBlock<T> d{};
      d.a = call.weight + k0 * depth;
      d.a_row = depth;
      d.a_seg = &whole;
      d.b = call.input + n0 * depth;
      d.b_off = image_off;
      d.b_seg = &whole;
      d.rows = outputs;
      d.cols = images;
      d.segments = 1;
      d.width = depth;
      d.sums = sums;
      gemm.dot(d);
      gemm.fold(sums, count, folded);
      for (int64_t n = 0; n < images; ++n) {
        const int64_t at = (n0 + n) * p.k + k0;
        for (int64_t k = 0; k < outputs; ++k) {
          T v = folded[k * images + n];
          if (call.bias) v += call.bias[k0 + k];
          if (call.residual) v += call.residual[at + k];
          call.result[at + k] = v < lo ? lo : v > hi ? hi : v;
        }
      }
    }
  });
}

size_t nothing(const ConvProblem&, size_t) {
  return 0;
}

}  // namespace

const Algorithm kDenseForward = {"dense",
                                 Direction::forward,
                                 "dot products, where the window is the whole image",
                                 supports,
                                 cost,
                                 workspace,
                                 nothing,
                                 {run<float>, nullptr},
                                 {run<double>, nullptr}};

}  // namespace fastconv
