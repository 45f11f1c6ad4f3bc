// What the Winograd rows share: tiles, their order, and the correlation that the forward direction
// and the input gradient both are.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#include "../isa.h"
#include "registry.h"

namespace fastconv::winograd {

template <class T>
const WinogradKernels<T>& table() {
  return of_type<T>(*kernels().winograd);
}

// Doubles are computed by F(2) in every row: F(4) would cost them more accuracy than it saves time.
constexpr int kOfDoubles = 2;

constexpr int outputs_of(size_t item, int m) {
  return item == 8 ? kOfDoubles : m;
}

template <class T, int M>
const WinogradTile<T>& tile_of() {
  return M == 2 ? table<T>().f2 : table<T>().f4;
}

// 2-D, stride 1, dilation 1, no window of a single row or column, and enough channels that a sum
// over them is worth a transform. Windows other than 3 x 3 are summed in parts of that size.
inline bool supports(const ConvProblem& p) {
  return p.rank == 2 && p.ker[1] > 1 && p.ker[2] > 1 && p.unit_stride() && p.unit_dilation() &&
         p.cg() >= 4 && p.kg() >= 4;
}

// Windows over some channels, as the depth of a product sees them: in parts of 3 x 3, zero where
// they reach beyond the window, all channels of one part after the other.
struct Windows {
  int64_t height, width, channels;
  int64_t lanes;  // of a vector: parts are whole ones apart

  bool plain() const { return height == 3 && width == 3; }
  bool small() const { return height <= 3 && width <= 3 && !plain(); }
  int64_t across() const { return ceil_div(width, 3); }
  int64_t pitch() const { return ceil_div(channels, lanes) * lanes; }
  int64_t depth() const { return (ceil_div(height, 3) * across() - 1) * pitch() + channels; }
  // Which tap the part at this depth starts with.
  int64_t y(int64_t at) const { return at / pitch() / across() * 3; }
  int64_t x(int64_t at) const { return at / pitch() % across() * 3; }
  int64_t channel(int64_t at) const { return at % pitch(); }
};

// What it takes, in cycles, that the points of many channels do not stay in the second-level cache:
// those of a block of tiles. Windows of one part have it in their other costs.
inline double far_points(double points, double depth, double tiles, size_t item) {
  constexpr double kBlock = 84, kNear = 800 << 10;
  const double bytes = points * depth * static_cast<double>(item);
  return 24 * bytes * tiles / kernels().vector_bytes *
         std::max(0.0, 1 - kNear / (bytes * std::min(tiles, kBlock)));
}

template <class T>
Windows windows(const ConvProblem& p, int64_t channels) {
  return {p.ker[1], p.ker[2], channels, table<T>().lanes};
}

// The taps of an axis that a part has: `count` of them, from tap `from` of the window on, to tap
// `to` of the part. Turned round, the part at `at` is the one as far from the window's end.
struct Span {
  int64_t from, to, count;
  Span(int64_t window, int64_t at, bool rotate) {
    const int64_t lo = rotate ? window - 3 - at : at;
    from = std::max<int64_t>(0, lo);
    to = from - lo;
    count = std::min(window, lo + 3) - from;
  }
};

// Rows of a part's taps, of a width of one to three that compilers see: calls would cost more.
template <class T>
inline void copy_taps(const Span& y, const Span& x, const T* from, ptrdiff_t from_row, T* to,
                      ptrdiff_t to_row) {
  for (int64_t r = 0; r < y.count; ++r, from += from_row, to += to_row) {
    if (x.count == 3) {
      std::memcpy(to, from, 3 * sizeof(T));
    } else if (x.count == 2) {
      std::memcpy(to, from, 2 * sizeof(T));
    } else {
      *to = *from;
    }
  }
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
  Windows window;
  int64_t in_h, in_w, out_h, out_w, y0, x0;
  const T* src = nullptr;
  T* dst = nullptr;
  // filter(row, channel) is a window at w + group * w_group + row * w_lane + channel * w_depth; the
  // size of a window is one of the strides.
  const T* w = nullptr;
  ptrdiff_t w_group, w_lane, w_depth;
  bool rotate;  // windows are read backwards
  const T* bias = nullptr;
  const T* residual = nullptr;
  T lo = -std::numeric_limits<T>::infinity(), hi = std::numeric_limits<T>::infinity();
};

template <class T>
Correlation<T> lower(const ConvProblem& p, Direction direction) {
  Correlation<T> c;
  const int64_t taps = p.ker[1] * p.ker[2];
  c.images = p.n;
  c.groups = p.groups;
  c.w_group = p.kg() * p.cg() * taps;
  if (direction == Direction::forward) {
    c.channels = p.cg();
    c.rows = p.kg();
    c.in_h = p.in[1], c.in_w = p.in[2], c.out_h = p.out[1], c.out_w = p.out[2];
    c.y0 = -p.pad_lo[1], c.x0 = -p.pad_lo[2];
    c.w_lane = p.cg() * taps, c.w_depth = taps;
    c.rotate = false;
  } else {
    // The gradient of the input is the correlation of the output's with the filters turned round.
    c.channels = p.kg();
    c.rows = p.cg();
    c.in_h = p.out[1], c.in_w = p.out[2], c.out_h = p.in[1], c.out_w = p.in[2];
    c.y0 = p.pad_lo[1] - (p.ker[1] - 1), c.x0 = p.pad_lo[2] - (p.ker[2] - 1);
    c.w_lane = taps, c.w_depth = p.cg() * taps;
    c.rotate = true;
  }
  c.window = windows<T>(p, c.channels);
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

// Non-finite data spreads over its whole tile, and data near the largest number overflows on the
// way. Images where that happened, those with one of their `flags` flags set, are computed again
// without transforms, so that all rows of the registry agree on what is finite. Filters that are
// not finite make every image such an image.
template <class T>
void recompute(const ConvCall<T>& call, Direction direction, const unsigned char* not_finite,
               int64_t flags, char* scratch);

}  // namespace fastconv::winograd
