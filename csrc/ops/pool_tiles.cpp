#include "pool_tiles.h"

#include <algorithm>
#include <vector>

#include "../isa.h"
#include "memory.h"
#include "parallel.h"
#include "pool_plain.h"
#include "row_copy.h"

namespace fastconv {
namespace {

constexpr int64_t kTask = 16384;  // elements

template <class T>
constexpr T lowest = -std::numeric_limits<T>::infinity();

template <bool Maximum, class T>
T take(T m, T v) {
  if constexpr (!Maximum) return m + v;
  const T larger = v > m ? v : m;
  return v != v ? v : larger;
}

// The first zero of a window: of zeros of both signs the first one counts, and reducing rows first
// has lost their order.
template <class T>
T first_zero(const WindowRanges& w, const T* x, int64_t z, int64_t h, int64_t q) {
  const auto range = [&](int axis, int64_t o) { return w.axis[axis][static_cast<size_t>(o)]; };
  const auto d = range(0, z), r = range(1, h), s = range(2, q);
  for (int64_t i = 0; i < d.count; ++i) {
    for (int64_t j = 0; j < r.count; ++j) {
      const int64_t row = (d.at + i * d.step) * w.in[1] + r.at + j * r.step;
      for (int64_t k = 0; k < s.count; ++k) {
        const T v = x[(row * w.in[2] + s.at + k * s.step) * w.inner];
        if (v == 0) return v;
      }
    }
  }
  return 0;
}

template <bool Maximum, class T>
auto stack_of() {
  const auto& kernels_ = of_type<T>(*kernels().pool);
  return Maximum ? kernels_.max_stack : kernels_.sum_stack;
}

// ---- wide elements: a window is one stack of them ----

// Scratch for a window's taps, and a row of its divisor and one of the reciprocal.
template <class T>
struct WideScratch {
  WideScratch(Carver& carver, size_t taps, int64_t inner)
      : offsets(carver.take<ptrdiff_t>(taps)),
        divisor(carver.take<T>(static_cast<size_t>(2 * inner))) {}
  static size_t bytes(size_t taps, int64_t inner) {
    return Carver::bytes<ptrdiff_t>(taps) + Carver::bytes<T>(static_cast<size_t>(2 * inner));
  }
  ptrdiff_t* offsets;
  T* divisor;
};

// One plane.
template <bool Maximum, class T>
void reduce_wide(const WindowRanges& w, const T* divisors, const T* x, T* y,
                 const WideScratch<T>& scratch) {
  const auto& kernels_ = of_type<T>(*kernels().pool);
  const auto reduce = Maximum ? kernels_.max_stack : kernels_.average_stack;
  const auto& along = w.axis[2];
  PoolStack<T> g{};
  g.src = x;
  g.offsets = scratch.offsets;
  g.out = g.dst_pitch = w.inner;
  g.dst = y;
  g.div = scratch.divisor;
  g.inv = g.div + w.inner;
  T filled = 0;  // what the divisors are now; no window is divided by zero
  for (const auto& d : w.axis[0]) {
    for (const auto& r : w.axis[1]) {
      for (size_t q = 0; q < along.size(); q += static_cast<size_t>(g.rows)) {
        const auto& s = along[q];
        // Windows from here on that are alike and as far from each other.
        size_t end = q + 1;
        const int64_t step = end < along.size() ? along[end].at - s.at : 0;
        while (end < along.size() && along[end].count == s.count &&
               along[end].at - along[end - 1].at == step &&
               (Maximum || divisors[end - q] == *divisors)) {
          ++end;
        }
        g.rows = static_cast<ptrdiff_t>(end - q);
        g.step = step * w.inner;
        g.taps = 0;
        for (int64_t i = 0; i < d.count; ++i) {
          for (int64_t j = 0; j < r.count; ++j) {
            const int64_t row = (d.at + i * d.step) * w.in[1] + r.at + j * r.step;
            for (int64_t k = 0; k < s.count; ++k) {
              scratch.offsets[g.taps++] = (row * w.in[2] + s.at + k * s.step) * w.inner;
            }
          }
        }
        if (!Maximum && *divisors != filled) {
          filled = *divisors;
          std::fill_n(scratch.divisor, w.inner, filled);
          std::fill_n(scratch.divisor + w.inner, w.inner, T(1) / filled);
        }
        if (g.taps) {
          reduce(g);
        } else {
          std::fill_n(g.dst, g.rows * w.inner, Maximum ? lowest<T> : T(0));
        }
        if (!Maximum) divisors += g.rows;
        g.dst += g.rows * w.inner;
      }
    }
  }
}

// Taps of the largest window.
size_t most_taps(const WindowRanges& w) {
  int64_t taps = 1;
  for (const auto& axis : w.axis) {
    int64_t most = 1;
    for (const auto& r : axis) most = std::max(most, r.count);
    taps *= most;
  }
  return static_cast<size_t>(taps);
}

template <bool Maximum, class T>
void wide_planes(const WindowRanges& w, const T* divisors, const T* x, T* y, int threads) {
  const int64_t in = w.in[0] * w.in[1] * w.in[2] * w.inner,
                out = w.out(0) * w.out(1) * w.out(2) * w.inner;
  const size_t taps = most_taps(w), each = WideScratch<T>::bytes(taps, w.inner);
  const Scratch scratch(each * static_cast<size_t>(threads));
  // An image of its own is shared out by its rows of windows.
  const int64_t parts = w.planes < threads && w.out(0) == 1 ? w.out(1) : 1;
  parallel_for(w.planes * parts, threads, [&](int64_t task, int thread) {
    Carver carver(scratch.data() + static_cast<size_t>(thread) * each);
    const WideScratch<T> own(carver, taps, w.inner);
    const T* from = x + task / parts * in;
    T* to = y + task / parts * out;
    if (parts == 1) return reduce_wide<Maximum>(w, divisors, from, to, own);
    WindowRanges row = w;
    const int64_t h = task % parts;
    row.axis[1] = {w.axis[1][static_cast<size_t>(h)]};
    reduce_wide<Maximum>(row, divisors ? divisors + h * w.out(2) : nullptr, from,
                         to + h * (out / parts), own);
  });
}

// ---- narrow planes: some of them turned, so that each is a lane ----

template <bool Maximum, class T>
void turned_planes(const WindowRanges& w, const T* divisors, const T* x, T* y, int threads) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  const int64_t in = w.in[0] * w.in[1] * w.in[2], out = w.out(0) * w.out(1) * w.out(2);
  const int64_t side = std::min<int64_t>(w.planes, 2 * of_type<T>(*kernels().pool).lanes);
  const size_t turned_x = static_cast<size_t>(in * side),
               turned_y = static_cast<size_t>(out * side);
  const size_t taps = most_taps(w);
  const size_t each =
      Carver::bytes<T>(turned_x) + Carver::bytes<T>(turned_y) + WideScratch<T>::bytes(taps, side);
  const Scratch scratch(each * static_cast<size_t>(threads));
  WindowRanges wide = w;
  wide.inner = side;
  parallel_for((w.planes + side - 1) / side, threads, [&](int64_t task, int thread) {
    Carver carver(scratch.data() + static_cast<size_t>(thread) * each);
    T* tx = carver.take<T>(turned_x);
    T* ty = carver.take<T>(turned_y);
    const int64_t first = task * side, some = std::min(side, w.planes - first);
    gemm.transpose(x + first * in, in, some, in, tx, side);
    reduce_wide<Maximum>(wide, divisors, tx, ty, WideScratch<T>(carver, taps, side));
    gemm.transpose(ty, side, out, some, y + first * out, out);
  });
}

// ---- wide planes: the rows of windows first, then along what is left ----

// One row of windows, reduced to one row of elements already: along that.
template <bool Maximum, class T>
void along(const WindowRanges& w, const T* x, const T* divisors, T* y) {
  for (const WindowRanges::Range& r : w.axis[2]) {
    for (int64_t c = 0; c < w.inner; ++c) {
      const T* v = x + r.at * w.inner + c;
      T m = Maximum ? lowest<T> : T(0);
      for (int64_t k = 0; k < r.count; ++k) m = take<Maximum>(m, v[k * r.step * w.inner]);
      *y++ = Maximum ? m : m / *divisors;
    }
    if (!Maximum) ++divisors;
  }
}

template <bool Maximum, class T>
void rows_first(const WindowRanges& w, const T* divisors, const T* x, T* y, int threads) {
  const int64_t width = w.in[2] * w.inner, out_width = w.out(2) * w.inner;
  const int64_t plane = w.in[0] * w.in[1] * width, rows = w.out(0) * w.out(1);
  const size_t taps = most_taps(w);
  // A task is a row of windows of some planes.
  const int64_t batch =
      std::min(w.planes, kTask / (static_cast<int64_t>(taps) / w.out(2) * width + 1) + 1);
  const int64_t groups = (w.planes + batch - 1) / batch;
  const size_t line = static_cast<size_t>(batch * width);
  const size_t each = Carver::bytes<T>(line) + Carver::bytes<ptrdiff_t>(taps);
  const Scratch scratch(each * static_cast<size_t>(threads));
  parallel_for(groups * rows, threads, [&](int64_t task, int thread) {
    Carver carver(scratch.data() + static_cast<size_t>(thread) * each);
    T* reduced = carver.take<T>(line);
    auto* offsets = carver.take<ptrdiff_t>(taps);
    const int64_t first = task / rows * batch, row = task % rows;
    const int64_t z = row / w.out(1), h = row % w.out(1);
    const auto d = w.axis[0][static_cast<size_t>(z)], r = w.axis[1][static_cast<size_t>(h)];
    PoolStack<T> g{};
    for (int64_t i = 0; i < d.count; ++i) {
      for (int64_t j = 0; j < r.count; ++j) {
        offsets[g.taps++] = ((d.at + i * d.step) * w.in[1] + r.at + j * r.step) * width;
      }
    }
    g.src = x + first * plane;
    g.offsets = offsets;
    g.rows = std::min(batch, w.planes - first);
    g.step = plane;
    g.out = g.dst_pitch = width;
    g.dst = reduced;
    if (g.taps) {
      stack_of<Maximum, T>()(g);
    } else {
      std::fill_n(reduced, g.rows * width, Maximum ? lowest<T> : T(0));
    }
    for (int64_t i = 0; i < g.rows; ++i) {
      T* to = y + ((first + i) * rows + row) * out_width;
      along<Maximum>(w, reduced + i * width, divisors ? divisors + row * w.out(2) : nullptr, to);
      for (int64_t o = 0; Maximum && o < out_width; ++o) {
        if (to[o] == 0) to[o] = first_zero(w, g.src + i * plane + o % w.inner, z, h, o / w.inner);
      }
    }
  });
}

template <bool Maximum, class T>
void reduce_windows(const WindowRanges& w, const T* divisors, const T* x, T* y, int threads) {
  const int64_t lanes = of_type<T>(*kernels().pool).lanes;
  constexpr int64_t kMostTurned =
      2048;  // elements of a plane: as many lanes of them stay in caches
  if (w.inner >= lanes) return wide_planes<Maximum>(w, divisors, x, y, threads);
  if (w.inner == 1 && w.in[2] <= 2 * lanes && w.planes >= lanes &&
      w.in[0] * w.in[1] * w.in[2] <= kMostTurned) {
    return turned_planes<Maximum>(w, divisors, x, y, threads);
  }
  rows_first<Maximum>(w, divisors, x, y, threads);
}

// The window that each element of an axis is in, -1 where there is none.
std::vector<int64_t> owners(const WindowRanges& w, int axis) {
  std::vector<int64_t> owner(static_cast<size_t>(w.in[axis]), -1);
  for (int64_t o = 0; o < w.out(axis); ++o) {
    const auto r = w.axis[axis][static_cast<size_t>(o)];
    for (int64_t k = 0; k < r.count; ++k) owner[static_cast<size_t>(r.at + k * r.step)] = o;
  }
  return owner;
}

}  // namespace

bool far_apart(const PoolProblem& p) {
  return p.stride[2] > 4 && p.in_plane() < (int64_t{1} << 30);
}

WindowRanges pool_ranges(const PoolProblem& p, bool last) {
  WindowRanges w;
  w.planes = last ? p.n : p.planes();
  w.inner = last ? p.c : 1;
  for (int axis = 0; axis < 3; ++axis) {
    w.in[axis] = p.in[axis];
    for (int64_t o = 0; o < p.out[axis]; ++o) {
      const Taps t = taps_within(p, axis, o, p.in[axis]);
      w.axis[axis].push_back(
          {t.at + t.first * p.dil[axis], std::max<int64_t>(t.last - t.first, 0), p.dil[axis]});
    }
  }
  return w;
}

WindowRanges shared_ranges(const int64_t* in, const int64_t* out, int64_t planes, int64_t inner) {
  WindowRanges w;
  w.planes = planes;
  w.inner = inner;
  for (int axis = 0; axis < 3; ++axis) {
    w.in[axis] = in[axis];
    for (int64_t o = 0; o < out[axis]; ++o) {
      const int64_t begin = o * in[axis] / out[axis];
      w.axis[axis].push_back({begin, ((o + 1) * in[axis] + out[axis] - 1) / out[axis] - begin, 1});
    }
  }
  return w;
}

template <class T>
void window_maxima(const WindowRanges& w, const T* x, T* y, int threads) {
  reduce_windows<true, T>(w, nullptr, x, y, threads);
}

template <class T>
void window_averages(const WindowRanges& w, const T* divisors, const T* x, T* y, int threads) {
  reduce_windows<false, T>(w, divisors, x, y, threads);
}

// As divisor() of pool_plain.h, from a count for each axis.
template <class T>
std::vector<T> window_divisors(const PoolProblem& p, const AverageRule& rule) {
  std::vector<int64_t> counted[3];
  for (int axis = 0; axis < 3; ++axis) {
    const int64_t size = p.in[axis] + (rule.count_padding ? p.pad_hi[axis] : 0);
    for (int64_t o = 0; o < p.out[axis]; ++o) {
      const Taps t = taps_within(p, axis, o, size);
      counted[axis].push_back(t.last - (rule.count_padding ? 0 : t.first));
    }
  }
  std::vector<T> divisors;
  divisors.reserve(static_cast<size_t>(p.out_plane()));
  for (const int64_t d : counted[0]) {
    for (const int64_t h : counted[1]) {
      for (const int64_t w : counted[2]) {
        const int64_t n = d < 0 || h < 0 || w < 0 ? 1 : std::max<int64_t>(d * h * w, 1);
        divisors.push_back(static_cast<T>(rule.divisor ? rule.divisor : n));
      }
    }
  }
  return divisors;
}

template <class T>
std::vector<T> window_sizes(const WindowRanges& w) {
  std::vector<T> sizes;
  for (const auto& d : w.axis[0]) {
    for (const auto& h : w.axis[1]) {
      for (const auto& q : w.axis[2]) sizes.push_back(static_cast<T>(d.count * h.count * q.count));
    }
  }
  return sizes;
}

bool fits_average_tiles(const PoolProblem& p) {
  for (int axis = 0; axis < 3; ++axis) {
    if (p.out[axis] > 1 && p.ker[axis] > p.stride[axis]) return false;
    if (p.dil[axis] > 1 && p.ker[axis] > 1) return false;
  }
  return p.in_plane() < (int64_t{1} << 30);
}

template <class T>
void average_tiles_backward(const PoolProblem& p, const AverageRule& rule, bool last, const T* dy,
                            T* dx, int threads) {
  const WindowRanges w = pool_ranges(p, last);
  const std::vector<T> divisors = window_divisors<T>(p, rule);
  const std::vector<int64_t> depth = owners(w, 0), height = owners(w, 1);
  std::vector<int64_t> column = owners(w, 2);
  const int64_t inner = w.inner, width = p.in[2] * inner, rows = p.in[0] * p.in[1];
  for (int64_t& q : column) q = (q < 0 ? p.out[2] : q) * inner;  // after the windows: zeros
  const size_t share_size = static_cast<size_t>((p.out[2] + 1) * inner);
  const size_t each = Carver::bytes<T>(share_size);
  const Scratch scratch(each * static_cast<size_t>(threads));
  // A task is some planes, or some rows of a large one.
  const int64_t some = kTask / (width + 1) + 1;
  const int64_t blocks = rows > 2 * some ? (rows + some - 1) / some : 1;
  const int64_t batch = blocks > 1 ? 1 : some / std::max<int64_t>(rows, 1) + 1;
  const int64_t groups = (w.planes + batch - 1) / batch;

  const auto line = [&](const T* share, T* to) {
    if (inner == 1) {
      for (int64_t i = 0; i < width; ++i) to[i] = share[column[static_cast<size_t>(i)]];
      return;
    }
    for (int64_t i = 0; i < p.in[2]; ++i, to += inner) {
      copy_row(share + column[static_cast<size_t>(i)], to, inner);
    }
  };
  parallel_for(groups * blocks, threads, [&](int64_t task, int thread) {
    T* share = reinterpret_cast<T*>(scratch.data() + static_cast<size_t>(thread) * each);
    std::fill_n(share + p.out[2] * inner, inner, T(0));
    const int64_t first = task / blocks * batch, block = task % blocks;
    const int64_t from = block * rows / blocks, to = (block + 1) * rows / blocks;
    for (int64_t plane = first; plane < std::min(w.planes, first + batch); ++plane) {
      int64_t before = -1;  // the row of windows that the last row is of
      for (int64_t row = from; row < to; ++row) {
        const int64_t z = depth[static_cast<size_t>(row / p.in[1])],
                      h = height[static_cast<size_t>(row % p.in[1])];
        T* at = dx + (plane * rows + row) * width;
        const int64_t own = z < 0 || h < 0 ? -1 : z * p.out[1] + h;
        if (own < 0) {
          std::fill_n(at, width, T(0));
        } else if (own == before) {
          copy_row(at - width, at, width);
        } else {
          const T* g = dy + (plane * p.out[0] * p.out[1] + own) * p.out[2] * inner;
          const T* count = divisors.data() + own * p.out[2];
          for (int64_t q = 0; q < p.out[2]; ++q) {
            for (int64_t c = q * inner; c < (q + 1) * inner; ++c) share[c] = g[c] / count[q];
          }
          line(share, at);
        }
        before = own;
      }
    }
  });
}

#define FASTCONV_INSTANTIATE(T)                                                                   \
  template void window_maxima<T>(const WindowRanges&, const T*, T*, int);                         \
  template void window_averages<T>(const WindowRanges&, const T*, const T*, T*, int);             \
  template std::vector<T> window_sizes<T>(const WindowRanges&);                                   \
  template std::vector<T> window_divisors<T>(const PoolProblem&, const AverageRule&);             \
  template void average_tiles_backward<T>(const PoolProblem&, const AverageRule&, bool, const T*, \
                                          T*, int);
FASTCONV_INSTANTIATE(float)
FASTCONV_INSTANTIATE(double)

}  // namespace fastconv
