#include "last_conv.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "conv.h"
#include "last_runs.h"
#include "memory.h"
#include "parallel.h"

namespace fastconv {
namespace {

using T = float;

bool all_finite(const T* w, int64_t n) {
  const auto kernel = kernels().plane->f32.all_finite;  // not every instruction set has it
  return kernel ? kernel(w, n) : std::all_of(w, w + n, [](T v) { return std::isfinite(v); });
}

// A call's pictures, cut into bands of rows for the threads.
class Bands {
 public:
  Bands(const ConvProblem& p, int64_t rows, int threads)
      : rows_(p.out[1]), size_(std::clamp<int64_t>(rows, 1, p.out[1])) {
    if (threads > 1) {
      const int64_t share = ceil_div(p.n * p.out[1], 4 * threads);
      size_ = std::clamp<int64_t>(share, 1, size_);
    }
    parts_ = ceil_div(rows_, size_);
  }
  int64_t count(int64_t images) const { return images * parts_; }
  int64_t size() const { return size_; }
  // body(image, part of a run of rows): what a band has of each run.
  template <class Body>
  void each(int64_t band, const std::vector<TapRun>& runs, const Body& body) const {
    const int64_t lo = band % parts_ * size_, hi = std::min(rows_, lo + size_);
    for (TapRun run : runs) {
      run.begin = std::max(run.begin, lo);
      run.end = std::min(run.end, hi);
      if (run.begin < run.end) body(band / parts_, run);
    }
  }

 private:
  int64_t rows_, size_, parts_;
};

// ---- depthwise: sums a vector of channels at a time ----

void sum_channels(const ConvProblem& p, const T* x, const T* weight, const T* bias, T lo, T hi,
                  T* y, int threads) {
  const std::vector<TapRun> rows = runs_along(p, 1), columns = runs_along(p, 2);
  const int64_t c = p.c, whole = c / vector_lanes() * vector_lanes(), line = ceil_div(c, 16) * 16;
  // Weights [tap][channel]; runs of columns with fewer taps have theirs beside each other.
  int64_t taps = p.taps();
  for (const TapRun& q : columns) taps += p.ker[1] * (q.last - q.first);
  const Scratch scratch(static_cast<size_t>((taps + 1) * line) * sizeof(T));
  T* const all = reinterpret_cast<T*>(scratch.data());
  T* const start = all + taps * line;
  kernels().gemm->f32.transpose(weight, p.taps(), c, p.taps(), all, line);
  bias ? static_cast<void>(std::copy_n(bias, c, start))
       : static_cast<void>(std::fill_n(start, c, T(0)));
  std::vector<const T*> weights;
  T* next = all + p.taps() * line;
  for (const TapRun& q : columns) {
    weights.push_back(next);
    for (int64_t r = 0; r < p.ker[1]; ++r) {
      for (int64_t s = q.first; s < q.last; ++s, next += line) {
        std::copy_n(all + (r * p.ker[2] + s) * line, c, next);
      }
    }
  }
  const Bands bands(p, p.out[1], threads);
  const Scratch offsets(Carver::bytes<ptrdiff_t>(static_cast<size_t>(p.taps())) *
                        static_cast<size_t>(threads));
  parallel_for(bands.count(p.n), threads, [&](int64_t band, int thread) {
    auto* tap_off =
        reinterpret_cast<ptrdiff_t*>(offsets.data()) +
        static_cast<size_t>(thread) *
            (Carver::bytes<ptrdiff_t>(static_cast<size_t>(p.taps())) / sizeof(ptrdiff_t));
    bands.each(band, rows, [&](int64_t n, const TapRun& h) {
      for (size_t i = 0; i < columns.size(); ++i) {
        const TapRun& q = columns[i];
        const int64_t wide = q.last - q.first;
        LastSum g{};
        g.tap_off = tap_off;
        for (int64_t r = 0; r < h.last - h.first; ++r) {
          for (int64_t s = 0; s < wide; ++s) {
            tap_off[g.taps++] = (r * p.dil[1] * p.in[2] + s * p.dil[2]) * c;
          }
        }
        g.src_row = p.stride[1] * p.in[2] * c;
        g.src_step = p.stride[2] * c;
        g.w_tap = line;
        g.out_row = p.out[2] * c;
        g.out_step = c;
        g.rows = h.end - h.begin;
        g.width = q.end - q.begin;
        g.lo = lo;
        g.hi = hi;
        const auto channels = [&](int64_t first, int64_t count) {
          g.src = x + n * p.in_plane() * c + element(p, h.begin, q.begin, h.first, q.first) + first;
          g.w = weights[i] + h.first * wide * line + first;
          g.bias = start + first;
          g.out = y + ((n * p.out[1] + h.begin) * p.out[2] + q.begin) * c + first;
          g.channels = count;
          kernels().last->sum(g);
        };
        channels(0, whole);
        if (whole < c) channels(c - vector_lanes(), vector_lanes());  // some of them again
      }
    });
  });
}

// ---- all channels: products with panels of weights ----

// Weights (K, C, R, S) of outputs [k0, k0 + count) as panels [panel][r][s][c][lane].
void pack(const ConvProblem& p, const T* weight, int64_t k0, int64_t count, T* turned, T* to) {
  const int64_t nr = kernels().last->lanes, depth = p.reduction(), taps = p.taps();
  for (int64_t j = 0; j < count; j += nr, to += depth * nr) {
    const int64_t some = std::min(nr, count - j);
    T* const panel = taps == 1 ? to : turned;
    if (some < nr) std::fill_n(panel, depth * nr, T(0));
    kernels().gemm->f32.transpose(weight + (k0 + j) * depth, depth, some, depth, panel, nr);
    for (int64_t t = 0; taps > 1 && t < taps; ++t) {
      for (int64_t c = 0; c < p.c; ++c) {
        std::memcpy(to + (t * p.c + c) * nr, turned + (c * taps + t) * nr,
                    static_cast<size_t>(nr) * sizeof(T));
      }
    }
  }
}

void multiply(const ConvProblem& p, const T* x, const T* weight, const T* bias, T lo, T hi, T* y,
              int threads) {
  const std::vector<TapRun> rows = runs_along(p, 1), columns = runs_along(p, 2);
  const int64_t nr = kernels().last->lanes, depth = p.reduction(), c = p.c, k = p.k;
  const int64_t whole = k / vector_lanes() * vector_lanes(), panels = ceil_div(whole, nr) + 1;
  const bool merged = p.dil[2] == 1;  // the taps of a row lie side by side
  // Rows of outputs at a time, so that what they read stays in the second-level cache.
  const auto row_bytes = static_cast<int64_t>(sizeof(T)) * p.stride[1] * p.in[2] * c;
  const Bands bands(p, static_cast<int64_t>(l2_bytes() / 4) / row_bytes, threads);
  const size_t pixels = static_cast<size_t>(bands.size() * p.out[2]);
  const size_t own = 2 * Carver::bytes<ptrdiff_t>(pixels) +
                     Carver::bytes<LastPiece>(static_cast<size_t>(p.taps()));
  const auto panel = static_cast<size_t>(depth * nr);
  const Scratch scratch(common_size(
      Carver::bytes<T>(static_cast<size_t>(panels) * panel) + Carver::bytes<T>(panel) +
      Carver::bytes<T>(static_cast<size_t>(panels * nr)) + own * static_cast<size_t>(threads)));
  Carver carver(scratch.data());
  T* const b = carver.take<T>(static_cast<size_t>(panels) * panel);
  T* const turned = carver.take<T>(panel);
  T* const start = carver.take<T>(static_cast<size_t>(panels * nr));
  char* const others = carver.take<char>(0);
  std::fill_n(start, panels * nr, T(0));
  if (bias) std::copy_n(bias, k, start);
  pack(p, weight, 0, whole, turned, b);
  T* const last = b + (panels - 1) * depth * nr;  // the last outputs, some of them again
  if (whole < k) pack(p, weight, k - vector_lanes(), vector_lanes(), turned, last);
  parallel_for(bands.count(p.n), threads, [&](int64_t band, int thread) {
    Carver mine(others + static_cast<size_t>(thread) * own);
    auto* a_off = mine.take<ptrdiff_t>(pixels);
    auto* c_off = mine.take<ptrdiff_t>(pixels);
    auto* pieces = mine.take<LastPiece>(static_cast<size_t>(p.taps()));
    bands.each(band, rows, [&](int64_t n, const TapRun& h) {
      for (const TapRun& q : columns) {
        LastProduct g{};
        g.a = x + n * p.in_plane() * c + element(p, h.begin, q.begin, h.first, q.first);
        g.a_off = a_off;
        g.c = y + ((n * p.out[1] + h.begin) * p.out[2] + q.begin) * k;
        g.c_off = c_off;
        for (int64_t i = 0; i < h.end - h.begin; ++i) {
          for (int64_t j = 0; j < q.end - q.begin; ++j) {
            a_off[g.rows] = (i * p.stride[1] * p.in[2] + j * p.stride[2]) * c;
            c_off[g.rows++] = (i * p.out[2] + j) * k;
          }
        }
        g.pieces = pieces;
        g.depth = merged ? (q.last - q.first) * c : c;
        for (int64_t r = 0; r < h.last - h.first; ++r) {
          for (int64_t s = 0; s < (merged ? std::min<int64_t>(1, g.depth) : q.last - q.first);
               ++s) {
            pieces[g.count++] = {(r * p.dil[1] * p.in[2] + s * p.dil[2]) * c,
                                 ((h.first + r) * p.ker[2] + q.first + s) * c};
          }
        }
        g.b = b;
        g.b_panel = depth * nr;
        g.bias = start;
        g.outputs = whole;
        g.lo = lo;
        g.hi = hi;
        kernels().last->product(g);
        if (whole == k) continue;
        g.b = last;
        g.bias = start + k - vector_lanes();
        g.c += k - vector_lanes();
        g.outputs = vector_lanes();
        kernels().last->product(g);
      }
    });
  });
}

}  // namespace

bool runs_last(const ConvProblem& p, size_t item, int threads) {
  if (item != sizeof(T) || p.n * p.c * p.k * p.in_plane() == 0 || p.in[0] > 1 || p.ker[0] > 1 ||
      p.pad_lo[0] + p.pad_hi[0]) {
    return false;
  }
  if (is_depthwise(p)) return p.c >= vector_lanes() && p.taps() <= 121;
  if (p.groups > 1 || p.k < vector_lanes()) return false;
  // Packing the weights must not be more than what is saved.
  if (4 * p.n * p.out_plane() * (p.c + p.k) < p.k * p.reduction()) return false;
  const std::string way = choose(p, Direction::forward, "auto", item, threads, false, "conv").name;
  return way.rfind("winograd", 0) != 0;
}

bool last_forward(const ConvProblem& p, const T* x, const T* weight, const T* bias,
                  Activation activation, T* y, int threads) {
  if (p.padded() && !all_finite(weight, p.k * p.reduction())) return false;
  T lo, hi;
  clamp_range(activation, &lo, &hi);
  const auto way = is_depthwise(p) ? sum_channels : multiply;
  way(p, x, weight, bias, lo, hi, y, threads);
  if (activation > Activation::relu6) activate(activation, y, p.n * p.out_plane() * p.k, threads);
  return true;
}

}  // namespace fastconv
