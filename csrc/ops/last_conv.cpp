#include "last_conv.h"

#include <algorithm>
#include <cmath>

#include "conv.h"
#include "last_stretch.h"
#include "parallel.h"

namespace fastconv {
namespace {

using T = float;

bool all_finite(const T* w, int64_t n) {
  const auto kernel = kernels().plane->f32.all_finite;  // not every instruction set has it
  return kernel ? kernel(w, n) : std::all_of(w, w + n, [](T v) { return std::isfinite(v); });
}

// Whether there is a picture at all, of no depth.
bool flat(const ConvProblem& p, size_t item) {
  return item == sizeof(T) && p.n * p.c * p.k * p.in_plane() > 0 && p.in[0] == 1 && p.ker[0] == 1 &&
         p.pad_lo[0] + p.pad_hi[0] == 0;
}

}  // namespace

bool backs_last(const ConvProblem& p, size_t item) {
  return flat(p, item) && is_depthwise(p) && p.c >= vector_lanes() && p.taps() <= kMostLastTaps;
}

bool weights_last(const ConvProblem& p, size_t item) {
  constexpr int64_t kFew = 4;
  return flat(p, item) && p.groups == 1 && p.c <= kFew && p.k >= vector_lanes() &&
         p.taps() * p.c <= kMostLastTaps;
}

bool runs_last(const ConvProblem& p, size_t item, int threads) {
  if (!flat(p, item)) return false;
  if (is_depthwise(p)) return p.c >= vector_lanes() && p.taps() <= kMostLastTaps;
  if (p.groups > 1 || p.k < vector_lanes()) return false;
  // Packing the weights must not be more than what is saved.
  if (4 * p.n * p.out_plane() * (p.c + p.k) < p.k * p.reduction()) return false;
  const std::string way = choose(p, Direction::forward, "auto", item, threads, false, "conv").name;
  return way.rfind("winograd", 0) != 0;
}

// The same of the input's gradient, in which the channels change places.
bool inputs_last(const ConvProblem& p, size_t item, int threads) {
  if (!flat(p, item) || p.groups > 1 || p.c < vector_lanes()) return false;
  if (4 * p.n * p.out_plane() * (p.c + p.k) < p.k * p.reduction()) return false;
  const std::string way = choose(p, Direction::input, "auto", item, threads, false, "conv").name;
  return way.rfind("winograd", 0) != 0;
}

bool last_forward(const ConvProblem& p, const T* x, const T* weight, const T* bias,
                  Activation activation, T* y, int threads) {
  if (p.padded() && !all_finite(weight, p.k * p.reduction())) return false;
  T lo, hi;
  clamp_range(activation, &lo, &hi);
  const LastCall call{p, false, x, weight, bias, lo, hi, y, threads};
  if (is_depthwise(p)) {
    const LastSums sums(call);
    parallel_for(p.n * sums.bands(), threads, [&](int64_t task, int thread) {
      sums.run(task / sums.bands(), task % sums.bands(), thread);
    });
  } else {
    multiply_last(call);
  }
  if (activation > Activation::relu6) activate(activation, y, p.n * p.out_plane() * p.k, threads);
  return true;
}

void last_input(const ConvProblem& p, const T* grad, const T* weight, T* dx, int threads) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  multiply_last({p, true, grad, weight, nullptr, -infinity, infinity, dx, threads});
}

}  // namespace fastconv
