#include "pool_scatter.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <vector>

#include "parallel.h"
#include "pool_taps.h"

namespace fastconv {
namespace {

// Some windows of a plane of `in` elements, the first of which begins at `first`. Positions are
// checked; taps are what the forward pass said. Not inlined: among what calls it the loop would run
// out of registers, and take 1.2 times as long.
template <class T, class Index>
[[gnu::noinline]] bool scatter_row(const T* dy, const Index* where, int64_t count,
                                   const int64_t* offset, T* first, int64_t step, uint64_t in) {
  bool valid = true;
  for (int64_t q = 0; q < count; ++q, first += step) {
    const Index which = where[q];
    if constexpr (sizeof(Index) == 1) {
      if (which != kNoTap) first[offset[which]] += dy[q];
    } else if (static_cast<uint64_t>(which) < in) {
      first[which] += dy[q];
    } else if (which != -1) {
      valid = false;
    }
  }
  return valid;
}

// The same of `channels` of so many images, `to - from` of them.
template <class T, class Index>
[[gnu::noinline]] bool scatter_channels(const T* dy, const Index* where, int64_t count,
                                        const int64_t* offset, T* first, int64_t step, uint64_t in,
                                        int64_t channels, int64_t from, int64_t to) {
  bool valid = true;
  for (int64_t q = 0; q < count; ++q, first += step, where += channels, dy += channels) {
    for (int64_t c = from; c < to; ++c) {
      const Index which = where[c];
      if constexpr (sizeof(Index) == 1) {
        if (which != kNoTap) first[offset[which] + c] += dy[c];
      } else if (static_cast<uint64_t>(which) < in) {
        first[static_cast<int64_t>(which) * channels + c] += dy[c];
      } else if (which != -1) {
        valid = false;
      }
    }
  }
  return valid;
}

// All windows of a plane, which begin at `bases`; taps.
template <class T, class Index>
void scatter_few(const T* dy, const Index* where, const std::vector<int64_t>& bases,
                 const int64_t* offset, T* dx) {
  const int64_t* base = bases.data();
  const auto count = static_cast<int64_t>(bases.size());
  for (int64_t o = 0; o < count; ++o) {
    const auto which = static_cast<size_t>(where[o]);
    if (which != kNoTap) dx[base[o] + offset[which]] += dy[o];
  }
}

// Channels [from, to) of one image of so many, or a plane with one; dx is zero there. False for a
// position that is nowhere.
template <class T, class Index>
bool scatter(const PoolProblem& p, const TapPlaces& places, int64_t channels, int64_t from,
             int64_t to, const T* dy, const Index* where, T* dx) {
  const auto bound = static_cast<uint64_t>(p.in_plane());
  const int64_t* const offset = places.offsets();
  const auto windows = [&](int64_t o, int64_t count, int64_t base, int64_t step) {
    o *= channels;
    T* const first = dx + base * channels;
    return channels == 1 ? scatter_row(dy + o, where + o, count, offset, first, step, bound)
                         : scatter_channels(dy + o, where + o, count, offset, first,
                                            step * channels, bound, channels, from, to);
  };
  if (sizeof(Index) > 1) return windows(0, p.out_plane(), 0, 0);
  for (int64_t z = 0, o = 0; z < p.out[0]; ++z) {
    int64_t base = places.base(z, 0, 0);
    for (int64_t h = 0; h < p.out[1]; ++h, base += p.stride[1] * p.in[2], o += p.out[2]) {
      windows(o, p.out[2], base, p.stride[2]);
    }
  }
  return true;
}

// Clears the `images` of dx, `in` elements of so many channels each, and then scatters into some of
// them, channels [from, to). False if one of the calls said so.
using Part = std::function<bool(int64_t image, int64_t images, int64_t from, int64_t to)>;

bool clear_and_scatter(int64_t images, int64_t in, int64_t channels, size_t item, void* dx,
                       int threads, const Part& part) {
  std::atomic<bool> valid{true};
  char* const bytes = static_cast<char*>(dx);
  const auto clear = [&](int64_t from, int64_t count) {
    std::memset(bytes + from * static_cast<int64_t>(item), 0, static_cast<size_t>(count) * item);
  };
  const auto scatter_part = [&](int64_t image, int64_t some, int64_t from, int64_t to) {
    if (!part(image, some, from, to)) valid.store(false, std::memory_order_relaxed);
  };
  if (images > 0 && images < threads && channels > 1) {
    // A few images are shared out by their channels, whole cache lines of them.
    const int64_t line = 64 / static_cast<int64_t>(item);
    const int64_t width = ceil_div(ceil_div(channels, ceil_div(threads, images)), line) * line;
    const int64_t parts = ceil_div(channels, width);
    parallel_for(images * parts, threads, [&](int64_t task, int) {
      const int64_t image = task / parts, from = task % parts * width,
                    to = std::min(channels, from + width);
      for (int64_t i = 0; i < in; ++i) clear((image * in + i) * channels + from, to - from);
      scatter_part(image, 1, from, to);
    });
    return valid.load();
  }
  // Small ones are cleared some at a time: a call for each costs more than its elements.
  constexpr int64_t kElements = 1 << 11;
  const int64_t size = in * channels, batch = kElements / std::max<int64_t>(size, 1) + 1;
  parallel_for(ceil_div(images, batch), threads, [&](int64_t task, int) {
    const int64_t first = task * batch, some = std::min(batch, images - first);
    clear(first * size, some * size);
    scatter_part(first, some, 0, channels);
  });
  return valid.load();
}

template <class T, class Index>
bool scatter_all(const PoolProblem& p, bool last, const T* dy, Where where, T* dx, int threads) {
  const int64_t images = last ? p.n : p.planes(), channels = last ? p.c : 1;
  const TapPlaces places(p, where.size == 1 ? where : Where{}, channels);
  const Index* at = static_cast<const Index*>(where.at);
  const int64_t in = p.in_plane() * channels, out = p.out_plane() * channels;
  // Rows of a few windows cost more than their elements: where there are few in all, each has its
  // place in a table.
  constexpr int64_t kFewWindows = 256;
  std::vector<int64_t> bases;
  if (sizeof(Index) == 1 && channels == 1 && out <= kFewWindows) bases = places.bases();
  const auto part = [&](int64_t image, int64_t some, int64_t from, int64_t to) {
    bool valid = true;
    for (const int64_t end = image + some; image < end; ++image) {
      const T* g = dy + image * out;
      const Index* which = at + image * out;
      if (bases.empty()) {
        valid &= scatter(p, places, channels, from, to, g, which, dx + image * in);
      } else {
        scatter_few(g, which, bases, places.offsets(), dx + image * in);
      }
    }
    return valid;
  };
  return clear_and_scatter(images, p.in_plane(), channels, sizeof(T), dx, threads, part);
}

}  // namespace

template <class T>
bool scatter_windows(const PoolProblem& p, bool last, const T* dy, Where where, T* dx,
                     int threads) {
  if (p.planes() == 0) return true;
  return where.size == 1   ? scatter_all<T, uint8_t>(p, last, dy, where, dx, threads)
         : where.size == 4 ? scatter_all<T, int32_t>(p, last, dy, where, dx, threads)
                           : scatter_all<T, int64_t>(p, last, dy, where, dx, threads);
}

template bool scatter_windows(const PoolProblem&, bool, const float*, Where, float*, int);
template bool scatter_windows(const PoolProblem&, bool, const double*, Where, double*, int);

}  // namespace fastconv
