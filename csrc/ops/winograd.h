// What the Winograd rows share: tiles, their order, and the correlation that the forward direction
// and the input gradient both are.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "../isa.h"
#include "registry.h"

namespace fastconv::winograd {

template <class T>
const WinogradKernels<T>& table() {
  return of_type<T>(*kernels().winograd);
}

template <class T, int M>
const WinogradTile<T>& tile_of() {
  return M == 2 ? table<T>().f2 : table<T>().f4;
}

// 2-D, 3 x 3, stride 1, dilation 1, and enough channels that a sum over them is worth a transform.
inline bool supports(const ConvProblem& p) {
  return p.rank == 2 && p.ker[1] == 3 && p.ker[2] == 3 && p.unit_stride() && p.unit_dilation() &&
         p.cg() >= 4 && p.kg() >= 4;
}

// Tiles of m x m over planes of height x width, of all images, in one order.
struct Tiles {
  int64_t m, images, down, across;
  Tiles(int64_t m, int64_t images, int64_t height, int64_t width)
      : m(m), images(images), down(ceil_div(height, m)), across(ceil_div(width, m)) {}
  int64_t count() const { return images * down * across; }

  // use(image, y, x, tiles, index) for the runs of tiles side by side in [first, last): at most
  // `most` of them, the first at pixel (y, x) and number `index` of the range.
  template <class Use>
  void each_run(int64_t first, int64_t last, int64_t most, const Use& use) const {
    for (int64_t t = first; t < last;) {
      const int64_t tx = t % across, ty = t / across % down;
      const int64_t tiles = std::min({last - t, across - tx, most});
      use(t / across / down, ty * m, tx * m, static_cast<int>(tiles), t - first);
      t += tiles;
    }
  }
};

// Elements between the same place of neighbouring points: one cache line more than an even
// number, lest a tile's points fall into one set of a cache.
template <class T>
ptrdiff_t padded(ptrdiff_t elements) {
  constexpr ptrdiff_t line = 64 / sizeof(T);
  return (ceil_div(elements, line) | 1) * line;
}

// The pitch of a tile's channels, whole vectors. Pitches of 2 KB and its multiples are avoided.
template <class T>
ptrdiff_t channel_pitch(int64_t channels) {
  const ptrdiff_t lanes = table<T>().lanes, whole = ceil_div(channels, lanes) * lanes;
  return whole * sizeof(T) % 2048 == 0 ? whole + 64 / static_cast<ptrdiff_t>(sizeof(T)) : whole;
}

// dst[row, y, x] = clamp(bias[row] + residual[...] +
//     sum over (channel, r, s) of filter(row, channel)[r, s] * src[channel, y + r + y0, x + s +
//     x0])
// per image and group, src being zero outside.
template <class T>
struct Correlation {
  int64_t images, groups, channels, rows;
  int64_t in_h, in_w, out_h, out_w, y0, x0;
  const T* src = nullptr;
  T* dst = nullptr;
  const T* w = nullptr;  // as WinogradFilter: lanes are rows, the depth is channels
  ptrdiff_t w_group, w_lane, w_depth;
  bool rotate;
  const T* bias = nullptr;
  const T* residual = nullptr;
  T lo = -std::numeric_limits<T>::infinity(), hi = std::numeric_limits<T>::infinity();
};

template <class T>
Correlation<T> lower(const ConvProblem& p, Direction direction) {
  Correlation<T> c;
  c.images = p.n;
  c.groups = p.groups;
  c.w_group = p.kg() * p.cg() * 9;
  if (direction == Direction::forward) {
    c.channels = p.cg();
    c.rows = p.kg();
    c.in_h = p.in[1], c.in_w = p.in[2], c.out_h = p.out[1], c.out_w = p.out[2];
    c.y0 = -p.pad_lo[1], c.x0 = -p.pad_lo[2];
    c.w_lane = p.cg() * 9, c.w_depth = 9;
    c.rotate = false;
  } else {
    // The gradient of the input is the correlation of the output's with the filters turned round.
    c.channels = p.kg();
    c.rows = p.cg();
    c.in_h = p.out[1], c.in_w = p.out[2], c.out_h = p.in[1], c.out_w = p.in[2];
    c.y0 = p.pad_lo[1] - 2, c.x0 = p.pad_lo[2] - 2;
    c.w_lane = 9, c.w_depth = p.cg() * 9;
    c.rotate = true;
  }
  return c;
}

// Every filter at its points, the form that correlate() takes as `prepared`.
template <class T>
size_t filters_bytes(const Correlation<T>& g, int m);
template <class T, int M>
void prepare_filters(const Correlation<T>& g, void* prepared, int threads);

template <class T>
size_t correlate_bytes(const Correlation<T>& g, int m, int threads, bool prepared);

// Sets not_finite[image] where a sum is not: its value may then be other than the definition's.
template <class T, int M>
void correlate(const Correlation<T>& g, const void* prepared, char* scratch, int threads,
               unsigned char* not_finite);

// The weight gradient of a problem that supports() has. False: something is not finite, and the
// result may be other than the definition's.
template <class T, int M>
bool weight_gradient(const ConvCall<T>& call);
template <class T>
size_t weight_gradient_bytes(const ConvProblem& p, int m, int threads);

}  // namespace fastconv::winograd
