#include "pixel_rows.h"

#include <algorithm>

#include "conv.h"
#include "memory.h"
#include "norm_last.h"
#include "parallel.h"
#include "pointwise.h"
#include "row_copy.h"

namespace fastconv {
namespace {

int64_t pixels_of(const ConvProblem& p) {
  return p.n * p.out_plane();
}

// Channels `c` to channels `k` of one picture of so many columns.
ConvProblem picture(int64_t k, int64_t c, int64_t columns) {
  ConvProblem q;
  q.k = k;
  q.c = c;
  q.in[2] = q.out[2] = columns;
  return q;
}

template <class T>
void run(const ConvProblem& q, Direction direction, ConvCall<T> call, int threads) {
  call.p = &q;
  call.threads = threads;
  convolve(call, choose(q, direction, "auto", sizeof(T), threads, false, "conv"));
}

// weight (K, C) -> (C, K), by tiles that stay in the first-level cache.
template <class T>
void transpose(const T* from, int64_t k, int64_t c, T* to) {
  constexpr int64_t kTile = 32;
  for (int64_t k0 = 0; k0 < k; k0 += kTile) {
    for (int64_t c0 = 0; c0 < c; c0 += kTile) {
      for (int64_t i = c0; i < std::min(c0 + kTile, c); ++i) {
        for (int64_t j = k0; j < std::min(k0 + kTile, k); ++j) to[i * k + j] = from[j * c + i];
      }
    }
  }
}

// sums[j] += four rows of so many channels. The inner loop has a fixed length for the compiler to
// make vectors of.
template <class T>
void add_rows(const T* __restrict rows, int64_t channels, T* __restrict sums) {
  constexpr int64_t kBlock = 16;
  int64_t j = 0;
  for (; j + kBlock <= channels; j += kBlock) {
    const T* r = rows + j;
    for (int64_t i = 0; i < kBlock; ++i) {
      sums[j + i] += (r[i] + r[channels + i]) + (r[2 * channels + i] + r[3 * channels + i]);
    }
  }
  for (; j < channels; ++j) {
    const T* r = rows + j;
    sums[j] += (r[0] + r[channels]) + (r[2 * channels] + r[3 * channels]);
  }
}

}  // namespace

bool runs_as_rows(const ConvProblem& p) {
  return p.groups == 1 && p.taps() == 1 && p.unit_stride() && !p.padded() && p.n > 0 &&
         pixels_of(p) * (p.c + p.k) >= p.c * p.k;
}

template <class T>
void rows_forward(const ConvProblem& p, const T* x, const T* weight, const T* bias,
                  const T* residual, Activation activation, T* y, int threads) {
  const int64_t pixels = pixels_of(p);
  const size_t matrix = Carver::bytes<T>(static_cast<size_t>(p.k * p.c));
  const Scratch scratch(matrix + 2 * Carver::bytes<T>(static_cast<size_t>(p.k)));
  Carver carver(scratch.data());
  T* columns = carver.take<T>(static_cast<size_t>(p.k * p.c));
  transpose(weight, p.k, p.c, columns);
  ConvCall<T> call;
  call.weight = x;
  call.input = columns;
  call.result = y;
  if (!bias) {
    call.residual = residual;
    call.activation = activation;
  }
  run(picture(pixels, p.c, p.k), Direction::forward, call, threads);
  if (!bias) return;
  // The bias goes along the rows, where the kernels know it only along the pixels.
  T* zeros = carver.take<T>(static_cast<size_t>(p.k));
  T* ones = carver.take<T>(static_cast<size_t>(p.k));
  std::fill_n(zeros, p.k, T(0));
  std::fill_n(ones, p.k, T(1));
  T lo, hi;
  clamp_range(activation, &lo, &hi);
  const NormShape shape{1, p.k, pixels, 0};
  norm_apply_last<T>(shape, y, zeros, ones, nullptr, bias, residual, 0, lo, hi, y, threads);
  if (activation > Activation::relu6) activate(activation, y, pixels * p.k, threads);
}

namespace {

// dx (pixels, C) = grad (pixels, K) times weight (K, C).
template <class T>
void rows_input(const ConvProblem& p, const T* grad, const T* weight, T* dx, int threads) {
  ConvCall<T> call;
  call.weight = grad;
  call.input = weight;
  call.result = dx;
  run(picture(pixels_of(p), p.k, p.c), Direction::forward, call, threads);
}

// dweight (K, C) = grad^T (K, pixels) times x (pixels, C): a gradient by the input, in which the
// pixels stand for the output channels that are summed over.
template <class T>
void rows_weight(const ConvProblem& p, const T* grad, const T* x, T* dweight, int threads) {
  ConvCall<T> call;
  call.weight = grad;
  call.grad = x;
  call.result = dweight;
  run(picture(pixels_of(p), p.k, p.c), Direction::input, call, threads);
}

}  // namespace

bool backs_as_rows(const ConvProblem& p) {
  return p.groups == 1 && p.taps() == 1 && !p.padded() && p.n > 0;
}

bool weights_as_rows(const ConvProblem& p) {
  return p.k <= p.c || pixels_of(p) * (p.c + p.k) >= p.c * p.k;
}

namespace {

// body(row of outputs, the row of the input that they are of) for rows of `threads` threads.
template <class Body>
void each_row(const ConvProblem& p, int threads, const Body& body) {
  parallel_for(p.n * p.out[0] * p.out[1], threads, [&](int64_t row, int) {
    const int64_t h = row % p.out[1], rest = row / p.out[1];
    const int64_t slice = rest / p.out[0] * p.in[0] + rest % p.out[0] * p.stride[0];
    body(row, slice * p.in[1] + h * p.stride[1]);
  });
}

}  // namespace

template <class T>
void rows_backward(const ConvProblem& p, const T* grad, const T* x, const T* weight, T* dx,
                   T* dweight, int threads) {
  if (p.unit_stride()) {
    if (dx) rows_input(p, grad, weight, dx, threads);
    if (dweight) rows_weight(p, grad, x, dweight, threads);
    return;
  }
  const int64_t c = p.c, wide = p.out[2] * c, step = p.stride[2] * c;
  ConvProblem q = p;
  std::copy_n(p.out, 3, q.in);
  std::fill_n(q.stride, 3, 1);
  if (!dx && !dweight) return;
  const Scratch scratch(static_cast<size_t>(pixels_of(p) * c) * sizeof(T));
  T* const met = reinterpret_cast<T*>(scratch.data());  // the pixels that are convolved
  if (dweight) {
    each_row(p, threads, [&](int64_t row, int64_t from) {
      const T* pixel = x + from * p.in[2] * c;
      for (int64_t i = 0; i < wide; i += c, pixel += step) copy_row(pixel, met + row * wide + i, c);
    });
    rows_weight(q, grad, met, dweight, threads);
  }
  if (!dx) return;
  rows_input(q, grad, weight, met, threads);
  const int64_t size = p.in[2] * c, rows = p.n * p.in[0] * p.in[1];
  parallel_for(rows, threads, [&](int64_t row, int) { std::fill_n(dx + row * size, size, T(0)); });
  each_row(p, threads, [&](int64_t row, int64_t to) {
    T* pixel = dx + to * size;
    for (int64_t i = 0; i < wide; i += c, pixel += step) copy_row(met + row * wide + i, pixel, c);
  });
}

template <class T>
void rows_bias(const ConvProblem& p, const T* grad, T* dbias) {
  const int64_t pixels = pixels_of(p), k = p.k;
  const Scratch scratch(Carver::bytes<T>(static_cast<size_t>(k)));
  T* part = Carver(scratch.data()).take<T>(static_cast<size_t>(k));
  constexpr int64_t kChunk = 128;  // pixels summed before they join the total: short sums are exact
  std::fill_n(dbias, k, T(0));
  for (int64_t first = 0; first < pixels; first += kChunk) {
    const int64_t last = std::min(first + kChunk, pixels);
    std::fill_n(part, k, T(0));
    int64_t i = first;
    for (; i + 4 <= last; i += 4) add_rows(grad + i * k, k, part);
    for (; i < last; ++i) {
      for (int64_t j = 0; j < k; ++j) part[j] += grad[i * k + j];
    }
    for (int64_t j = 0; j < k; ++j) dbias[j] += part[j];
  }
}

#define FASTCONV_ROWS(T)                                                                      \
  template void rows_forward(const ConvProblem&, const T*, const T*, const T*, const T*,      \
                             Activation, T*, int);                                            \
  template void rows_backward(const ConvProblem&, const T*, const T*, const T*, T*, T*, int); \
  template void rows_bias(const ConvProblem&, const T*, T*);
FASTCONV_ROWS(float)
FASTCONV_ROWS(double)

}  // namespace fastconv
