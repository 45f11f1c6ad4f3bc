#include "inverted_parts.h"

namespace fastconv {
namespace {

using T = float;

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

}  // namespace

std::vector<ptrdiff_t> tap_offsets(const InvertedShape& shape, int64_t pitch) {
  const ConvProblem& d = shape.depth;
  std::vector<ptrdiff_t> offsets;
  for (int64_t r = 0; r < d.ker[1]; ++r) {
    for (int64_t s = 0; s < d.ker[2]; ++s) {
      offsets.push_back((r * d.dil[1] * shape.columns() + s * d.dil[2]) * pitch);
    }
  }
  return offsets;
}

void clear_beside(const InvertedShape& shape, int64_t rows, int64_t pitch, float* wide) {
  const int64_t channels = shape.wide(), columns = shape.columns();
  const int64_t before = shape.depth.pad_lo[2], after = shape.depth.pad_hi[2];
  for (int64_t i = 0; i < rows; ++i) {
    T* const row = wide + i * columns * pitch;
    std::fill_n(row, before * pitch, T(0));
    std::fill_n(row + (columns - after) * pitch, after * pitch, T(0));
    for (int64_t j = before; channels < pitch && j < columns - after; ++j) {
      std::fill_n(row + j * pitch + channels, pitch - channels, T(0));
    }
  }
}

void filter_rows(const InvertedShape& shape, Plan& plan, const float* wide, int64_t lo,
                 const ptrdiff_t* tap_off, int64_t p, int64_t stop, float* to) {
  const ConvProblem& d = shape.depth;
  const int64_t pitch = pitch_of(shape.wide()), row = shape.columns() * pitch, q = d.out[2];
  const T* const w = taps_of(plan, shape.wide(), d.taps());
  const Activation activation = plan.activation();
  LastSum g{};
  g.src_row = d.stride[1] * row;
  g.src_step = d.stride[2] * pitch;
  g.tap_off = tap_off;
  g.w_tap = pitch;
  g.bias = w + d.taps() * pitch;
  g.out_row = q * pitch;
  g.out_step = pitch;
  g.width = q;
  g.channels = pitch;
  clamp_range(activation, &g.lo, &g.hi);
  for (int64_t i = p; i < stop; i += g.rows) {
    const auto taps = shape.taps_inside(i);
    for (g.rows = 1; i + g.rows < stop && shape.taps_inside(i + g.rows) == taps;) ++g.rows;
    g.taps = (taps.second - taps.first) * d.ker[2];
    const int64_t top = i * d.stride[1] - d.pad_lo[1] + taps.first * d.dil[1];
    g.src = wide + (top - lo) * row;
    g.w = w + taps.first * d.ker[2] * pitch;
    g.out = to + (i - p) * q * pitch;
    kernels().last->sum(g);
  }
  activate(activation, to, (stop - p) * q * pitch, 1);
}

void finish_pixels(const InvertedShape& shape, Activation activation, int64_t first, int64_t pixels,
                   const float* from, const float* residual, float* y) {
  const int64_t plane = shape.depth.out_plane();
  kernels().gemm->f32.transpose(from, pitch_of(shape.k), pixels, shape.k, y + first, plane);
  if (!residual && activation == Activation::none) return;
  T lo, hi;
  clamp_range(activation, &lo, &hi);
  for (int64_t k = 0; k < shape.k; ++k) {
    T* const row = y + k * plane + first;
    const T* const add = residual ? residual + k * plane + first : nullptr;
    kernels().norm->f32.affine(row, add, row, pixels, T(1), T(0), lo, hi);
    activate(activation, row, pixels, 1);
  }
}

}  // namespace fastconv
