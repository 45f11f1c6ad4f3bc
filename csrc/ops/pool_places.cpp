#include "pool_places.h"

#include <algorithm>
#include <atomic>

#include "../isa.h"
#include "memory.h"
#include "parallel_batches.h"

namespace fastconv {
namespace {

// body(image or plane, first element of its positions, of its indices, values at a position).
template <class Body>
void each_plane(const Places& p, int threads, const Body& body) {
  const int64_t width = p.last ? p.c : 1, planes = p.last ? p.n : p.n * p.c;
  parallel_batches(planes, (p.size + p.count) * width, threads, [&](int64_t plane, int thread) {
    body(plane * p.size * width, plane * p.count * width, width, thread);
  });
}

// The windows of an array of channels-last elements, `width` values beside each other.
template <class T>
void channel_maxima(const SharedWindows& w, int64_t width, const T* x, T* y, int64_t* index,
                    ptrdiff_t* offsets, Position<T>* at) {
  const auto& kernels = of_type<T>(*fastconv::kernels().pool);
  PoolStack<T> g{};
  g.src = x;
  g.dst = y;
  g.where_size = sizeof(int64_t);
  g.offsets = offsets;
  g.tap_at = at;
  g.rows = 1;
  g.out = g.dst_pitch = width;
  for (int64_t z = 0; z < w.out[0]; ++z) {
    for (int64_t h = 0; h < w.out[1]; ++h) {
      for (int64_t q = 0; q < w.out[2]; ++q, g.dst += width, index += width) {
        g.taps = 0;
        for (int64_t d = w.begin(0, z); d < w.end(0, z); ++d) {
          for (int64_t r = w.begin(1, h); r < w.end(1, h); ++r) {
            for (int64_t s = w.begin(2, q); s < w.end(2, q); ++s) {
              const int64_t place = (d * w.in[1] + r) * w.in[2] + s;
              at[g.taps] = static_cast<Position<T>>(place);
              offsets[g.taps++] = place * width;
            }
          }
        }
        g.where = index;
        kernels.max_stack_taps(g);
      }
    }
  }
}

}  // namespace

template <class T>
bool place(const Places& p, const T* x, const int64_t* index, bool add, T* y, int threads) {
  std::atomic<bool> valid{true};
  each_plane(p, threads, [&](int64_t to, int64_t from, int64_t width, int) {
    T* plane = y + to;
    std::fill_n(plane, p.size * width, T(0));
    bool good = true;
    if (width == 1) {
      const uint64_t size = static_cast<uint64_t>(p.size);
      for (int64_t i = from; i < from + p.count; ++i) {
        const uint64_t at = static_cast<uint64_t>(index[i]);
        if (at < size) {
          plane[at] = add ? plane[at] + x[i] : x[i];
        } else {
          good = false;
        }
      }
      if (!good) valid.store(false, std::memory_order_relaxed);
      return;
    }
    for (int64_t o = 0, i = from; o < p.count; ++o) {
      for (int64_t c = 0; c < width; ++c, ++i) {
        const uint64_t at = static_cast<uint64_t>(index[i]);
        if (at >= static_cast<uint64_t>(p.size)) {
          good = false;
          continue;
        }
        T& cell = plane[static_cast<int64_t>(at) * width + c];
        cell = add ? cell + x[i] : x[i];
      }
    }
    if (!good) valid.store(false, std::memory_order_relaxed);
  });
  return valid.load();
}

template <class T>
bool fetch(const Places& p, const T* x, const int64_t* index, T* y, int threads) {
  std::atomic<bool> valid{true};
  each_plane(p, threads, [&](int64_t from, int64_t to, int64_t width, int) {
    const T* plane = x + from;
    bool good = true;
    if (width == 1 && p.size > 0) {
      const uint64_t size = static_cast<uint64_t>(p.size);
      uint64_t most = 0;
      for (int64_t i = to; i < to + p.count; ++i) {
        const uint64_t at = static_cast<uint64_t>(index[i]);
        most = std::max(most, at);
        y[i] = plane[at < size ? at : 0];
      }
      if (p.count > 0 && most >= size) valid.store(false, std::memory_order_relaxed);
      return;
    }
    for (int64_t o = 0, i = to; o < p.count; ++o) {
      for (int64_t c = 0; c < width; ++c, ++i) {
        const uint64_t at = static_cast<uint64_t>(index[i]);
        const bool there = at < static_cast<uint64_t>(p.size);
        good = good && there;
        y[i] = there ? plane[static_cast<int64_t>(at) * width + c] : T(0);
      }
    }
    if (!good) valid.store(false, std::memory_order_relaxed);
  });
  return valid.load();
}

template <class T>
void adaptive_max(const Places& p, const SharedWindows& w, const T* x, T* y, int64_t* index,
                  int threads) {
  int64_t most = 1;
  for (int axis = 0; axis < 3; ++axis) most *= w.in[axis] / w.out[axis] + 2;
  // Planes in C order are turned, some at a time, so that each is a lane.
  const int64_t planes = p.n * p.c, width = p.last ? p.c : std::min<int64_t>(planes, 32);
  const size_t taps = static_cast<size_t>(most);
  const size_t turned_x = static_cast<size_t>(p.last ? 0 : p.size * width);
  const size_t turned_y = static_cast<size_t>(p.last ? 0 : p.count * width);
  const size_t each = Carver::bytes<ptrdiff_t>(taps) + Carver::bytes<Position<T>>(taps) +
                      Carver::bytes<T>(turned_x) + Carver::bytes<T>(turned_y) +
                      Carver::bytes<int64_t>(turned_y);
  const Scratch scratch(each * static_cast<size_t>(threads));
  const auto& gemm = of_type<T>(*kernels().gemm);
  const int64_t tasks = p.last ? p.n : (planes + width - 1) / width;
  parallel_for(tasks, threads, [&](int64_t task, int thread) {
    Carver carver(scratch.data() + each * static_cast<size_t>(thread));
    auto* offsets = carver.take<ptrdiff_t>(taps);
    auto* at = carver.take<Position<T>>(taps);
    if (p.last) {
      channel_maxima(w, width, x + task * p.size * width, y + task * p.count * width,
                     index + task * p.count * width, offsets, at);
      return;
    }
    T* tx = carver.take<T>(turned_x);
    T* ty = carver.take<T>(turned_y);
    int64_t* found = carver.take<int64_t>(turned_y);
    const int64_t first = task * width, some = std::min(width, planes - first);
    gemm.transpose(x + first * p.size, p.size, some, p.size, tx, some);
    channel_maxima(w, some, tx, ty, found, offsets, at);
    gemm.transpose(ty, some, p.count, some, y + first * p.count, p.count);
    for (int64_t i = 0; i < some; ++i) {
      int64_t* own = index + (first + i) * p.count;
      for (int64_t o = 0; o < p.count; ++o) own[o] = found[o * some + i];
    }
  });
}

#define FASTCONV_INSTANTIATE(T)                                                   \
  template bool place<T>(const Places&, const T*, const int64_t*, bool, T*, int); \
  template bool fetch<T>(const Places&, const T*, const int64_t*, T*, int);       \
  template void adaptive_max<T>(const Places&, const SharedWindows&, const T*, T*, int64_t*, int);
FASTCONV_INSTANTIATE(float)
FASTCONV_INSTANTIATE(double)

}  // namespace fastconv
