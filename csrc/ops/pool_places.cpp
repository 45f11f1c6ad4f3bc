#include "pool_places.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <vector>

#include "../isa.h"
#include "memory.h"
#include "parallel.h"

namespace fastconv {
namespace {

// body(image or plane, first element of its positions, of its indices, values at a position).
template <class Body>
void each_plane(const Places& p, int threads, const Body& body) {
  const int64_t width = p.last ? p.c : 1, planes = p.last ? p.n : p.n * p.c;
  parallel_for(planes, threads, [&](int64_t plane, int thread) {
    body(plane * p.size * width, plane * p.count * width, width, thread);
  });
}

// One plane in C order, an output at a time.
template <class T>
void plane_maxima(const SharedWindows& w, const T* x, T* y, int64_t* index) {
  for (int64_t z = 0; z < w.out[0]; ++z) {
    for (int64_t h = 0; h < w.out[1]; ++h) {
      for (int64_t q = 0; q < w.out[2]; ++q) {
        const int64_t d0 = w.begin(0, z), h0 = w.begin(1, h), w0 = w.begin(2, q), w1 = w.end(2, q);
        T best = -std::numeric_limits<T>::infinity();
        int64_t at = (d0 * w.in[1] + h0) * w.in[2] + w0;
        for (int64_t d = d0; d < w.end(0, z); ++d) {
          for (int64_t r = h0; r < w.end(1, h); ++r) {
            const int64_t row = (d * w.in[1] + r) * w.in[2];
            for (int64_t s = row + w0; s < row + w1; ++s) {
              const T v = x[s];
              const bool wins = (v > best) | (v != v);
              best = wins ? v : best;
              at = wins ? s : at;
            }
          }
        }
        *y++ = best;
        *index++ = at;
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
  if (!p.last) {
    each_plane(p, threads, [&](int64_t from, int64_t to, int64_t, int) {
      plane_maxima(w, x + from, y + to, index + to);
    });
    return;
  }
  const auto& kernels = of_type<T>(*fastconv::kernels().pool);
  int64_t most = 1;
  for (int axis = 0; axis < 3; ++axis) most *= w.in[axis] / w.out[axis] + 2;
  const size_t taps = static_cast<size_t>(most);
  const size_t each = Carver::bytes<ptrdiff_t>(taps) + Carver::bytes<Position<T>>(taps);
  const Scratch scratch(each * static_cast<size_t>(threads));
  each_plane(p, threads, [&](int64_t from, int64_t to, int64_t width, int thread) {
    Carver carver(scratch.data() + each * static_cast<size_t>(thread));
    auto* offsets = carver.take<ptrdiff_t>(taps);
    auto* at = carver.take<Position<T>>(taps);
    PoolStack<T> g{};
    g.src = x + from;
    g.dst = y + to;
    g.index = index + to;
    g.offsets = offsets;
    g.tap_at = at;
    g.rows = 1;
    g.out = g.dst_pitch = width;
    for (int64_t o = 0; o < p.count; ++o, g.dst += width, g.index += width) {
      const int64_t z = o / (w.out[1] * w.out[2]), h = o / w.out[2] % w.out[1], q = o % w.out[2];
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
      kernels.max_stack_taps(g);
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
