#include "batch_norm.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "memory.h"
#include "parallel_batches.h"
#include "pointwise.h"

namespace fastconv {
namespace {

template <class T>
struct Affine {
  T scale, shift, rstd;
};

template <class T>
Affine<T> affine_of(T mean, T var, double eps, const T* weight, const T* bias, int64_t c) {
  const T rstd = static_cast<T>(1.0 / std::sqrt(static_cast<double>(var) + eps));
  const T scale = rstd * (weight ? weight[c] : T(1));
  return {scale, (bias ? bias[c] : T(0)) - mean * scale, rstd};
}

// Channel c's statistics from the sum of its squares about the mean; and what it is normalised by.
template <class T>
Affine<T> settle(const BatchNormCall<T>& call, int64_t c, T mean, double squares) {
  const double count = static_cast<double>(call.shape.n * call.shape.s);
  const T var = static_cast<T>(squares / count);
  call.mean[c] = mean;
  call.var[c] = var;
  if (call.running_mean) {
    const T keep = static_cast<T>(1 - call.momentum), move = static_cast<T>(call.momentum);
    const T unbiased = static_cast<T>(squares / (count - 1));
    call.running_mean[c] = call.running_mean[c] * keep + mean * move;
    call.running_var[c] = call.running_var[c] * keep + unbiased * move;
  }
  return affine_of(mean, var, call.eps, call.weight, call.bias, c);
}

// With xhat = (x - mean) rstd, g the gradient before the activation, and the means m1 = <g>,
// m2 = <g xhat> over a channel: dx = w rstd (g - m1 - xhat m2), an affine map of g and x.
template <class T>
struct Gradient {
  Gate<T> gate;
  T factor, constant;  // dx = gate.scale g + factor x + constant
};

template <class T>
Gate<T> gate_of(const BatchNormBackwardCall<T>& call, int64_t c) {
  constexpr T none = std::numeric_limits<T>::quiet_NaN();
  const Affine<T> a = affine_of(call.mean[c], call.var[c], call.eps, call.weight, call.bias, c);
  return {a.scale, a.shift, call.activation == Activation::none ? none : T(0),
          call.activation == Activation::relu6 ? T(6) : none};
}

// first, second: the sums of g and of g (x - mean).
template <class T>
Gradient<T> settle(const BatchNormBackwardCall<T>& call, int64_t c, double first, double second) {
  const double count = static_cast<double>(call.shape.n * call.shape.s);
  const Affine<T> a = affine_of(call.mean[c], call.var[c], call.eps, call.weight, call.bias, c);
  second *= static_cast<double>(a.rstd);
  if (call.dbias) call.dbias[c] = static_cast<T>(first);
  if (call.dweight) call.dweight[c] = static_cast<T>(second);
  const double scale = static_cast<double>(a.scale);
  const T factor = static_cast<T>(-scale * static_cast<double>(a.rstd) * second / count);
  const T constant = static_cast<T>(-scale * first / count) - factor * call.mean[c];
  return {gate_of(call, c), factor, constant};
}

// ---- small planes ----

// A kernel called for a few elements at a time would cost more than what it computes. Images are
// rows then, and every pixel of every channel a column of its own, with its channel's numbers;
// some channels at a time, so that they stay in the first cache.
constexpr int64_t kShortBytes = 512, kElements = 4096, kLeastColumns = 128, kMostRows = 512;

bool by_columns(const BatchShape& shape, size_t item) {
  return shape.n > 1 && shape.s * static_cast<int64_t>(item) < kShortBytes;
}

int64_t block_channels(const BatchShape& shape) {
  const int64_t columns = std::max(kElements / shape.n, kLeastColumns);
  return std::min(std::max<int64_t>(columns / shape.s, 1), shape.c);
}

template <class T>
const NormLastKernels<T>& column_kernels() {
  if constexpr (sizeof(T) == 4) {
    return kernels().norm->last32;
  } else {
    return kernels().norm->last64;
  }
}

// The channels from c0 on.
template <class T>
struct Block {
  Block(const BatchShape& shape, int64_t c0, char* scratch)
      : shape(shape),
        c0(c0),
        channels(std::min(block_channels(shape), shape.c - c0)),
        width(channels * shape.s),
        stride(shape.c * shape.s),
        carver(scratch) {}
  T* columns(int64_t count = 1) { return carver.take<T>(static_cast<size_t>(count * width)); }
  double* numbers() {
    double* all = carver.take<double>(static_cast<size_t>(channels));
    std::fill_n(all, channels, 0.0);
    return all;
  }
  // body(where some rows begin, how many there are)
  template <class Body>
  void each_rows(const Body& body) const {
    for (int64_t n = 0; n < shape.n; n += kMostRows) {
      body((n * shape.c + c0) * shape.s, std::min(kMostRows, shape.n - n));
    }
  }
  void add_up(const T* columns, double* to) const {
    for (int64_t i = 0; i < channels; ++i) {
      for (int64_t j = 0; j < shape.s; ++j) to[i] += static_cast<double>(*columns++);
    }
  }
  void spread(T value, int64_t channel, T* columns) const {
    std::fill_n(columns + channel * shape.s, shape.s, value);
  }

  const BatchShape& shape;
  int64_t c0, channels, width, stride;
  Carver carver;
};

template <class T>
void forward_columns(const BatchNormCall<T>& call, int64_t c0, char* scratch) {
  const auto& kernel = column_kernels<T>();
  Block<T> b(call.shape, c0, scratch);
  T *sums = b.columns(), *means = b.columns(), *scales = b.columns(), *shifts = b.columns();
  double *totals = b.numbers(), *squares = b.numbers();
  b.each_rows([&](int64_t at, int64_t rows) {
    kernel.sums(call.x + at, rows, b.width, b.stride, sums);
    b.add_up(sums, totals);
  });
  const double count = static_cast<double>(call.shape.n * call.shape.s);
  for (int64_t i = 0; i < b.channels; ++i) b.spread(static_cast<T>(totals[i] / count), i, means);
  b.each_rows([&](int64_t at, int64_t rows) {
    kernel.squares(call.x + at, means, rows, b.width, b.stride, sums);
    b.add_up(sums, squares);
  });
  for (int64_t i = 0; i < b.channels; ++i) {
    const Affine<T> a = settle(call, c0 + i, means[i * call.shape.s], squares[i]);
    b.spread(a.scale, i, scales);
    b.spread(a.shift, i, shifts);
  }
  T lo, hi;
  clamp_range(call.activation, &lo, &hi);
  const int64_t at = c0 * call.shape.s;
  kernel.affine(call.x + at, nullptr, call.y + at, call.shape.n, b.width, b.stride, scales, shifts,
                lo, hi);
}

template <class T>
void backward_columns(const BatchNormBackwardCall<T>& call, int64_t c0, char* scratch) {
  const auto& kernel = column_kernels<T>();
  Block<T> b(call.shape, c0, scratch);
  T *sums = b.columns(2), *means = b.columns(), *scales = b.columns(), *shifts = b.columns();
  T *factors = b.columns(), *constants = b.columns();
  double *first = b.numbers(), *second = b.numbers();
  const Gate<T> bounds = gate_of(call, c0);
  const ColumnGate<T> gate{scales, shifts, bounds.lo, bounds.hi};
  const ColumnGate<T>* passing = call.activation == Activation::none ? nullptr : &gate;
  for (int64_t i = 0; i < b.channels; ++i) {
    const Gate<T> own = gate_of(call, c0 + i);
    b.spread(call.mean[c0 + i], i, means);
    b.spread(own.scale, i, scales);
    b.spread(own.shift, i, shifts);
  }
  b.each_rows([&](int64_t at, int64_t rows) {
    kernel.dots(call.grad + at, call.x + at, means, rows, b.width, b.stride, passing, sums);
    b.add_up(sums, first);
    b.add_up(sums + b.width, second);
  });
  for (int64_t i = 0; i < b.channels; ++i) {
    const Gradient<T> d = settle(call, c0 + i, first[i], second[i]);
    b.spread(d.factor, i, factors);
    b.spread(d.constant, i, constants);
  }
  const int64_t at = c0 * call.shape.s;
  if (call.dx && call.fixed) {
    constexpr T infinity = std::numeric_limits<T>::infinity();
    std::fill_n(shifts, b.width, -T(0));
    kernel.affine(call.grad + at, nullptr, call.dx + at, call.shape.n, b.width, b.stride, scales,
                  shifts, -infinity, infinity);
  } else if (call.dx) {
    kernel.affine2(call.grad + at, call.x + at, call.dx + at, call.shape.n, b.width, b.stride,
                   scales, factors, constants, passing);
  }
}

// ---- large planes ----

template <class T>
void forward_rows(const BatchNormCall<T>& call, int64_t c) {
  const BatchShape& shape = call.shape;
  const auto& norm = of_type<T>(*kernels().norm);
  const auto& gemm = of_type<T>(*kernels().gemm);
  const auto at = [&](int64_t n) { return (n * shape.c + c) * shape.s; };
  double total = 0, squares = 0;
  for (int64_t n = 0; n < shape.n; ++n) total += gemm.sum(call.x + at(n), shape.s);
  const T mean = static_cast<T>(total / static_cast<double>(shape.n * shape.s));
  for (int64_t n = 0; n < shape.n; ++n) squares += norm.squares(call.x + at(n), shape.s, mean);
  const Affine<T> a = settle(call, c, mean, squares);
  T lo, hi;
  clamp_range(call.activation, &lo, &hi);
  for (int64_t n = 0; n < shape.n; ++n) {
    norm.affine(call.x + at(n), nullptr, call.y + at(n), shape.s, a.scale, a.shift, lo, hi);
  }
}

template <class T>
void backward_rows(const BatchNormBackwardCall<T>& call, int64_t c) {
  const BatchShape& shape = call.shape;
  const auto& norm = of_type<T>(*kernels().norm);
  const auto at = [&](int64_t n) { return (n * shape.c + c) * shape.s; };
  const Gate<T> gate = gate_of(call, c);
  const Gate<T>* passing = call.activation == Activation::none ? nullptr : &gate;
  double first = 0, second = 0;
  for (int64_t n = 0; n < shape.n; ++n) {
    T pair[2];
    norm.dots(call.grad + at(n), call.x + at(n), shape.s, call.mean[c], passing, pair);
    first += static_cast<double>(pair[0]);
    second += static_cast<double>(pair[1]);
  }
  const Gradient<T> d = settle(call, c, first, second);
  if (!call.dx) return;
  if (call.fixed) {  // adding -0 keeps the sign of every zero
    constexpr T infinity = std::numeric_limits<T>::infinity();
    for (int64_t n = 0; n < shape.n; ++n) {
      norm.affine(call.grad + at(n), nullptr, call.dx + at(n), shape.s, gate.scale, -T(0),
                  -infinity, infinity);
    }
    return;
  }
  for (int64_t n = 0; n < shape.n; ++n) {
    norm.affine2(call.grad + at(n), call.x + at(n), call.dx + at(n), shape.s, gate.scale, d.factor,
                 d.constant, passing);
  }
}

template <class Call, class Columns, class Rows>
void each_channel(const Call& call, size_t item, char* scratch, int threads, const Columns& columns,
                  const Rows& rows) {
  const BatchShape& shape = call.shape;
  if (!by_columns(shape, item)) {
    return parallel_batches(shape.c, shape.n * shape.s, threads,
                            [&](int64_t c, int) { rows(call, c); });
  }
  const int64_t channels = block_channels(shape);
  const size_t own = batch_norm_bytes(shape, item, 1);
  parallel_for((shape.c + channels - 1) / channels, threads, [&](int64_t i, int thread) {
    columns(call, i * channels, scratch + own * static_cast<size_t>(thread));
  });
}

}  // namespace

size_t batch_norm_bytes(const BatchShape& shape, size_t item, int threads) {
  if (!by_columns(shape, item)) return 0;
  const size_t channels = static_cast<size_t>(block_channels(shape));
  const size_t column = Carver::bytes<char>(channels * static_cast<size_t>(shape.s) * item);
  return (8 * column + 2 * Carver::bytes<double>(channels)) * static_cast<size_t>(threads);
}

template <class T>
void batch_norm(const BatchNormCall<T>& call, char* scratch, int threads) {
  each_channel(call, sizeof(T), scratch, threads, forward_columns<T>, forward_rows<T>);
}

template <class T>
void batch_norm_backward(const BatchNormBackwardCall<T>& call, char* scratch, int threads) {
  each_channel(call, sizeof(T), scratch, threads, backward_columns<T>, backward_rows<T>);
}

#define FASTCONV_INSTANTIATE(T)                                     \
  template void batch_norm<T>(const BatchNormCall<T>&, char*, int); \
  template void batch_norm_backward<T>(const BatchNormBackwardCall<T>&, char*, int);
FASTCONV_INSTANTIATE(float)
FASTCONV_INSTANTIATE(double)

}  // namespace fastconv
