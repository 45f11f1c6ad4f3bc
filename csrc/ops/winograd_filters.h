// Filters of Winograd's correlation, brought to points: of windows of any size, in parts of 3 x 3.
#pragma once

#include <algorithm>

#include "memory.h"
#include "parallel.h"
#include "winograd.h"

namespace fastconv::winograd {

template <class T>
size_t all_filters_bytes(const Correlation<T>& g, int m) {
  const int64_t nr = table<T>().nr;
  return Carver::bytes<T>(g.groups * ceil_div(g.rows, nr) * (m + 2) * (m + 2) *
                          padded<T>(g.window.depth() * nr));
}

// One 3 x 3 part of windows, of up to a vector's lanes and as many channels each.
template <class T>
class Parts {
 public:
  explicit Parts(const Correlation<T>& g) : g_(g), most_(table<T>().lanes) {}
  // Those of filters (lane, channel) at w, for the product's depth [first, first + count), which is
  // a vector of channels at most. As they lie: rotated parts are still to be rotated.
  const T* take(const T* w, int64_t lanes, int64_t first, int64_t count) {
    const Windows& g = g_.window;
    const int64_t channel = g.channel(first);
    const Span y(g.height, g.y(first), g_.rotate), x(g.width, g.x(first), g_.rotate);
    const int64_t channels = std::min(count, g.channels - channel);
    if (y.count < 3 || x.count < 3 || channels < count) std::fill_n(nine_, 9 * most_ * most_, T(0));
    w += channel * g_.w_depth + y.from * g.width + x.from;
    for (int64_t lane = 0; lane < lanes; ++lane, w += g_.w_lane) {
      T* const to = nine_ + lane * most_ * 9 + y.to * 3 + x.to;
      for (int64_t c = 0; c < channels; ++c) {
        copy_taps(y, x, w + c * g_.w_depth, g.width, to + c * 9, 3);
      }
    }
    return nine_;
  }
  ptrdiff_t lane() const { return most_ * 9; }

 private:
  static constexpr int64_t kMostLanes = 64 / sizeof(T);  // of any vector
  const Correlation<T>& g_;
  const int64_t most_;
  T nine_[kMostLanes * kMostLanes * 9];
};

// The filters of [row, row + lanes of a register tile) and the product's depth [first, first +
// count) to u.
template <class T, int M>
void filters_to_points(const Correlation<T>& g, int64_t group, int64_t row, int64_t first,
                       int64_t count, T* u, ptrdiff_t u_point) {
  const auto& k = table<T>();
  if (!g.window.plain()) {
    Parts<T> parts(g);
    WinogradFilter<T> f{};
    f.lane = parts.lane();
    f.depth = 9;
    f.rotate = g.rotate;
    f.row = k.nr;
    f.point = u_point;
    for (int64_t lane = 0; lane < k.nr && row + lane < g.rows; lane += k.lanes) {
      f.lanes = static_cast<int>(std::min<int64_t>(k.lanes, g.rows - row - lane));
      const T* w = g.w + group * g.w_group + (row + lane) * g.w_lane;
      for (int64_t at = 0; at < count; at += k.lanes) {
        f.count = std::min<int64_t>(k.lanes, count - at);
        f.w = parts.take(w, f.lanes, first + at, f.count);
        f.u = u + lane + at * k.nr;
        tile_of<T, M>().filter(f);
      }
    }
    return;
  }
  for (int64_t lane = 0; lane < k.nr && row + lane < g.rows; lane += k.lanes) {
    WinogradFilter<T> f;
    f.w = g.w + group * g.w_group + (row + lane) * g.w_lane + first * g.w_depth;
    f.lane = g.w_lane;
    f.depth = g.w_depth;
    f.lanes = static_cast<int>(std::min<int64_t>(k.lanes, g.rows - row - lane));
    f.count = count;
    f.rotate = g.rotate;
    f.u = u + lane;
    f.row = k.nr;
    f.point = u_point;
    tile_of<T, M>().filter(f);
  }
}

// All filters: [group][register tile of rows][point][channel][lane].
template <class T, int M>
void all_filters(const Correlation<T>& g, T* u, int threads) {
  const int64_t nr = table<T>().nr, subs = ceil_div(g.rows, nr);
  const int64_t depth = g.window.depth();
  const ptrdiff_t u_point = padded<T>(depth * nr), u_sub = (M + 2) * (M + 2) * u_point;
  // Of few rows some channels at a time.
  const int64_t most = threads > 1 && g.groups * subs < 3 * threads ? 16 : depth,
                chunks = ceil_div(depth, most);
  parallel_for(g.groups * subs * chunks, threads, [&](int64_t task, int) {
    const int64_t i = task / chunks, first = task % chunks * most;
    filters_to_points<T, M>(g, i / subs, i % subs * nr, first, std::min(most, depth - first),
                            u + i * u_sub + first * nr, u_point);
  });
}

}  // namespace fastconv::winograd
