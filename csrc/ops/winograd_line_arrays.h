// Arrays of windows along one axis to points and back: what winograd_lines.cpp multiplies between.
#pragma once

#include <algorithm>
#include <limits>

#include "parallel.h"
#include "winograd.h"
#include "winograd_lines.h"

namespace fastconv::winograd {

// Planes that windows of `window` positions are read from, every part three further.
struct Source {
  int64_t channels, length, origin, parts, window;
  // Positions that the tiles of a segment read.
  int64_t reach(const Line& g) const {
    return g.segment() - Line::kStep + 3 * (parts - 1) + window;
  }
};

inline Source input_of(const Line& g) {
  return {g.channels, g.in, g.origin, g.parts, 6};
}
inline Source grad_of(const Line& g) {
  return {g.rows, g.out, 0, 1, 4};
}

// What is done to the arrays of one block; those of a thread are apart.
template <class T>
class Lines {
 public:
  explicit Lines(const Line& g) : Lines(g, g.most) {}
  Lines(const Line& g, const Block& b) : g_(g.at(b)), b_(b), own_(own_of(g.at(g.most))) {}

  const Line& line() const { return g_; }
  int64_t points(int64_t channels) const {
    return b_.images * Line::kPoints * g_.groups * channels * g_.pixels();
  }
  int64_t filters() const { return Line::kPoints * g_.groups * g_.rows * g_.parts * g_.channels; }
  int64_t own() const { return own_; }  // elements that a thread needs

  // Planes to points (image, point, group, part, channel, pixel).
  void to_points(const Source& s, typename WinogradLines<T>::Transform* transform, const T* src,
                 T* points, T* own, int threads) const {
    const int64_t all = g_.groups * s.channels, row = s.length * g_.after;
    const ptrdiff_t to_part = s.channels * g_.pixels(), to_point = g_.groups * s.parts * to_part;
    parallel_for(b_.images * all, threads, [&](int64_t index, int thread) {
      const int64_t n = index / all, group = index % all / s.channels, ch = index % s.channels;
      const T* plane = src + ((b_.image * all + index) * g_.before + b_.before) * row;
      T* const zeros = own + thread * own_;
      T* const turned = zeros + across();
      T* const v =
          points + (n * Line::kPoints * g_.groups + group) * s.parts * to_part + ch * g_.pixels();
      std::fill_n(zeros, g_.inner, T(0));
      if (g_.turned) turn(s, plane, turned, turned + s.reach(g_) * g_.inner);
      const T* from[Line::kPoints];
      T* to[Line::kPoints];
      for (int64_t o = 0; o < g_.outer; ++o) {
        for (int64_t t = 0; t < g_.tiles; ++t) {
          T* at = v + (o * g_.tiles + t) * g_.inner;
          for (int64_t part = 0; part < s.parts; ++part, at += to_part) {
            for (int64_t i = 0; i < s.window; ++i) {
              const int64_t j = Line::kStep * t + 3 * part + i, y = b_.y + j + s.origin;
              from[i] = g_.turned                ? turned + j * g_.inner
                        : y >= 0 && y < s.length ? plane + o * row + y * g_.inner
                                                 : zeros;
            }
            for (int64_t i = 0; i < Line::kPoints; ++i) to[i] = at + i * to_point;
            transform(from, to, g_.inner, 0);
          }
        }
      }
    });
  }

  // And back, for the rows of the result: clamped, with bias and residual.
  void to_result(const T* points, const ConvCall<T>& call, T* own,
                 unsigned char* not_finite) const {
    const int64_t all = g_.groups * g_.rows, row = g_.out * g_.after;
    T lo, hi;
    clamp_range(call.activation, &lo, &hi);
    const bool plain = !call.residual && call.activation == Activation::none;
    parallel_for(b_.images * all, call.threads, [&](int64_t index, int thread) {
      const int64_t n = b_.image + index / all, k = index % all;
      const T* m = points + (index / all * Line::kPoints * all + k) * g_.pixels();
      T* const dropped = own + thread * own_;
      T* const turned = dropped + across();
      const ptrdiff_t first = ((n * all + k) * g_.before + b_.before) * row + b_.y * g_.after;
      T* const plane = call.result + first;
      const T bias = call.bias ? call.bias[k] : T(0);
      const T* from[Line::kPoints];
      T* to[Line::kStep];
      bool finite = true;
      for (int64_t o = 0; o < g_.outer; ++o) {
        for (int64_t t = 0; t < g_.tiles; ++t) {
          for (int64_t i = 0; i < Line::kPoints; ++i) {
            from[i] = m + i * all * g_.pixels() + (o * g_.tiles + t) * g_.inner;
          }
          for (int64_t i = 0; i < Line::kStep; ++i) {
            const int64_t y = Line::kStep * t + i;
            to[i] = g_.turned   ? turned + y * g_.inner
                    : y < b_.ys ? plane + o * row + y * g_.inner
                                : dropped;
          }
          finite &= table<T>().lines.output(from, to, g_.inner, bias);
        }
      }
      if (!finite) __atomic_store_n(not_finite + n, 1, __ATOMIC_RELAXED);
      if (g_.turned) turn_back(turned, turned + g_.segment() * g_.inner, plane);
      for (int64_t b = 0; !plain && b < b_.befores; ++b) {
        const T* add = call.residual ? call.residual + first + b * row : nullptr;
        of_type<T>(*kernels().gemm)
            .spread(plane + b * row, 1, add, b_.ys * g_.after, lo, hi, plane + b * row);
      }
    });
  }

  // Filters to points (point, group, row, part, channel), and gradients of them back.
  void filters_to_points(const T* w, T* points, T* own, int threads) const {
    const ptrdiff_t to_point = g_.groups * g_.rows * g_.parts * g_.channels;
    const int64_t blocks = ceil_div(g_.rows, kRows);
    parallel_for(g_.groups * blocks, threads, [&](int64_t index, int thread) {
      const int64_t group = index / blocks, r0 = index % blocks * kRows;
      const int64_t rows = std::min(kRows, g_.rows - r0);
      T* const zeros = own + thread * own_;
      T* const taps = zeros + across();  // [row][tap][channel]
      std::fill_n(zeros, g_.channels, T(0));
      take_taps(w + group * g_.rows * g_.channels * g_.taps, r0, rows, taps);
      for (int64_t r = 0; r < rows; ++r) {
        const T* row = taps + r * g_.taps * g_.channels;
        T* at = points + (group * g_.rows + r0 + r) * g_.parts * g_.channels;
        for (int64_t part = 0; part < g_.parts; ++part, at += g_.channels) {
          const T* from[3];
          T* to[Line::kPoints];
          for (int64_t i = 0; i < 3; ++i) {
            const int64_t tap = 3 * part + i;
            from[i] =
                tap >= g_.taps ? zeros : row + (g_.rotate ? g_.taps - 1 - tap : tap) * g_.channels;
          }
          for (int64_t i = 0; i < Line::kPoints; ++i) to[i] = at + i * to_point;
          table<T>().lines.filter(from, to, g_.channels, 0);
        }
      }
    });
  }

  bool to_filters(const T* points, T* w, T* own, int threads) const {
    const ptrdiff_t to_point = g_.groups * g_.rows * g_.parts * g_.channels;
    bool all_finite = true;
    parallel_for(g_.groups * g_.rows, threads, [&](int64_t index, int thread) {
      T* const dropped = own + thread * own_;
      T* const taps = dropped + across();
      bool finite = true;
      for (int64_t part = 0; part < g_.parts; ++part) {
        const T* from[Line::kPoints];
        T* to[3];
        for (int64_t i = 0; i < Line::kPoints; ++i) {
          from[i] = points + i * to_point + (index * g_.parts + part) * g_.channels;
        }
        for (int64_t i = 0; i < 3; ++i) {
          to[i] = 3 * part + i < g_.taps ? taps + (3 * part + i) * g_.channels : dropped;
        }
        finite &= table<T>().lines.filter_grad(from, to, g_.channels, 0);
      }
      put_taps(taps, w + index * g_.channels * g_.taps);
      if (!finite) __atomic_store_n(&all_finite, false, __ATOMIC_RELAXED);
    });
    return all_finite;
  }

 private:
  static constexpr int64_t kRows = 16;  // of filters at a time

  // Some rows of a group's filters, from (row, channel, tap), or if they are read backwards from
  // (channel, row, tap), to (row, tap, channel).
  void take_taps(const T* w, int64_t first, int64_t rows, T* taps) const {
    const auto& gemm = of_type<T>(*kernels().gemm);
    if (g_.rotate) {
      return gemm.transpose(w + first * g_.taps, g_.rows * g_.taps, g_.channels, rows * g_.taps,
                            taps, g_.channels);
    }
    StripRows<T> s{};
    s.src_row = s.dst_row = s.len = g_.channels * g_.taps;
    s.src = w + first * s.src_row;
    s.step = g_.taps;
    s.phases = ~uint64_t{0};
    s.dst = taps;
    s.dst_phase = s.count = g_.channels;
    s.planes = 1;
    s.rows = rows;
    gemm.fill_rows(s);
  }

  // A row of filters, from (tap, channel) to (channel, tap).
  void put_taps(const T* taps, T* w) const {
    const auto& gemm = of_type<T>(*kernels().gemm);
    if (g_.taps > kMostWoven) {
      return gemm.transpose(taps, g_.channels, g_.taps, g_.channels, w, g_.taps);
    }
    const T* columns[kMostWoven];
    for (int64_t i = 0; i < g_.taps; ++i) columns[i] = taps + i * g_.channels;
    const T infinity = std::numeric_limits<T>::infinity();
    gemm.weave(columns, static_cast<int>(g_.taps), nullptr, g_.channels * g_.taps, -infinity,
               infinity, w);
  }

  // A row of zeros, or of what is dropped.
  int64_t across() const { return std::max(g_.inner, g_.channels); }

  // Such a row; and turned positions with a padded row, or the taps of some rows of filters.
  static int64_t own_of(const Line& g) {
    const int64_t reach = std::max(input_of(g).reach(g), g.segment());
    const int64_t turned = g.turned ? reach * g.inner + g.segment() * g.segments + reach : 0;
    return std::max(g.inner, g.channels) + std::max(turned, kRows * g.taps * g.channels);
  }

  // The rows of a plane as positions that the tiles read, zero where there is nothing.
  void turn(const Source& s, const T* plane, T* turned, T* row) const {
    const auto& gemm = of_type<T>(*kernels().gemm);
    const int64_t reach = s.reach(g_), whole = g_.segment() * (g_.segments - 1) + reach;
    const int64_t start = b_.y + s.origin;  // of the source
    const int64_t lo = std::max<int64_t>(0, std::min(-start, whole));
    const int64_t hi = std::max(lo, std::min(s.length - start, whole));
    if (g_.segments == 1) {
      std::fill(turned, turned + lo * g_.inner, T(0));
      std::fill(turned + hi * g_.inner, turned + reach * g_.inner, T(0));
      if (hi == lo) return;
      return gemm.transpose(plane + lo + start, s.length, b_.befores, hi - lo,
                            turned + lo * g_.inner, g_.inner);
    }
    std::fill(row, row + lo, T(0));
    std::fill(row + hi, row + whole, T(0));
    for (int64_t b = 0; b < b_.befores; ++b, plane += s.length) {
      if (hi > lo) std::copy_n(plane + lo + start, hi - lo, row + lo);
      gemm.transpose(row, g_.segment(), g_.segments, reach, turned + b * g_.segments, g_.inner);
    }
  }

  void turn_back(const T* turned, T* row, T* plane) const {
    const auto& gemm = of_type<T>(*kernels().gemm);
    if (g_.segments == 1) {
      return gemm.transpose(turned, g_.inner, b_.ys, b_.befores, plane, g_.out);
    }
    for (int64_t b = 0; b < b_.befores; ++b, plane += g_.out) {
      gemm.transpose(turned + b * g_.segments, g_.inner, g_.segment(), g_.segments, row,
                     g_.segment());
      std::copy_n(row, b_.ys, plane);
    }
  }

  const Line g_;
  const Block b_;
  const int64_t own_;
};

}  // namespace fastconv::winograd
