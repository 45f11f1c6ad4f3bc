// Dilated convolution by Winograd. Outputs a dilation apart read inputs a dilation apart: the image
// falls into d x d phases, each of which is convolved without dilation, as an image of its own. The
// phases are copied out with their padding, and their results woven into place.
#include <algorithm>
#include <limits>

#include "parallel.h"
#include "winograd_lowered.h"

namespace fastconv {
namespace {

// The problem of the phases, as a batch: [image][row phase][column phase].
ConvProblem phases_of(const ConvProblem& p) {
  ConvProblem q = p;
  q.n = p.n * p.dil[1] * p.dil[2];
  for (int i = 1; i < 3; ++i) {
    q.out[i] = ceil_div(p.out[i], p.dil[i]);
    q.in[i] = q.out[i] + p.ker[i] - 1;
    q.dil[i] = 1;
    q.pad_lo[i] = q.pad_hi[i] = 0;
  }
  return q;
}

// Planes of height x width beside their phases: element (y, x) of the plane is element ((y + top) /
// rows, (x + left) / cols) of phase ((y + top) % rows, (x + left) % cols).
struct Weave {
  int64_t images, channels, height, width;
  int64_t rows, cols, top, left;
  int64_t phase_height, phase_width;

  ptrdiff_t plane() const { return height * width; }
  ptrdiff_t phase_plane() const { return phase_height * phase_width; }
  ptrdiff_t phase() const { return channels * phase_plane(); }  // to the next one
};

Weave input_weave(const ConvProblem& p, const ConvProblem& q) {
  return {p.n,      p.c,         p.in[1],     p.in[2], p.dil[1],
          p.dil[2], p.pad_lo[1], p.pad_lo[2], q.in[1], q.in[2]};
}

Weave output_weave(const ConvProblem& p, const ConvProblem& q) {
  return {p.n, p.k, p.out[1], p.out[2], p.dil[1], p.dil[2], 0, 0, q.out[1], q.out[2]};
}

// Planes to phases, zero where a phase has no element of its plane.
template <class T>
void take_apart(const Weave& w, const T* planes, T* phases, int threads) {
  parallel_for(w.images * w.channels, threads, [&](int64_t index, int) {
    const int64_t image = index / w.channels, channel = index % w.channels;
    T* const to = phases + image * w.rows * w.cols * w.phase() + channel * w.phase_plane();
    StripRows<T> s{};
    s.src_row = w.rows * w.width;
    s.len = w.width;
    s.first = -w.left;
    s.step = w.cols;
    s.phases = ~uint64_t{0};
    s.dst_row = w.phase_width;
    s.dst_phase = w.phase();
    s.planes = 1;
    s.count = w.phase_width;
    for (int64_t f = 0; f < w.rows; ++f) {
      // Rows [lo, hi) of the phase are row i * rows + f - top of the plane, inside it.
      const int64_t lo =
          std::min(std::max<int64_t>(0, ceil_div(w.top - f, w.rows)), w.phase_height);
      const int64_t end = ceil_div(w.height + w.top - f, w.rows);
      const int64_t hi = std::max(lo, std::min(end, w.phase_height));
      s.src = planes + index * w.plane() + (lo * w.rows + f - w.top) * w.width;
      s.dst = to + f * w.cols * w.phase();
      s.above = lo;
      s.rows = hi - lo;
      s.below = w.phase_height - hi;
      of_type<T>(*kernels().gemm).fill_rows(s);
    }
  });
}

// And back: planes = clamp(phases + residual).
template <class T>
void put_together(const Weave& w, const T* phases, const T* residual, T lo, T hi, T* planes,
                  int threads) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  parallel_for(w.images * w.channels, threads, [&](int64_t index, int) {
    const int64_t image = index / w.channels, channel = index % w.channels;
    const T* from = phases + image * w.rows * w.cols * w.phase() + channel * w.phase_plane();
    for (int64_t y = 0; y < w.height; ++y) {
      const int64_t at = y + w.top;
      const T* row = from + at % w.rows * w.cols * w.phase() + at / w.rows * w.phase_width;
      const ptrdiff_t to = index * w.plane() + y * w.width;
      const T* add = residual ? residual + to : nullptr;
      // Where column x lies, and every cols-th after it.
      const auto column = [&](int64_t x) {
        return row + (x + w.left) % w.cols * w.phase() + (x + w.left) / w.cols;
      };
      if (w.cols > 1 && w.cols <= kMostWoven) {
        const T* columns[kMostWoven];
        for (int64_t x = 0; x < w.cols; ++x) columns[x] = column(x);
        gemm.weave(columns, static_cast<int>(w.cols), add, w.width, lo, hi, planes + to);
        continue;
      }
      for (int64_t x = 0; x < w.cols && x < w.width; ++x) {
        gemm.spread(column(x), w.cols, add ? add + x : nullptr, ceil_div(w.width - x, w.cols), lo,
                    hi, planes + to + x);
      }
    }
  });
}

struct Dilated {
  static ConvProblem problem(const ConvProblem& p) { return phases_of(p); }
  static bool supports(const ConvProblem& p) {
    return p.unit_stride() && !p.unit_dilation() && winograd::supports(phases_of(p));
  }
  // A few cycles a vector where the dilation is 2, more than one an element beyond.
  static double copy_cost(const ConvProblem& p, double lanes) {
    return p.dil[2] > 2 ? 2.8 : 10 / lanes;
  }
  template <class T>
  static void take_input(const ConvProblem& p, const ConvProblem& q, const T* input, T* to,
                         int threads) {
    take_apart(input_weave(p, q), input, to, threads);
  }
  template <class T>
  static void take_grad(const ConvProblem& p, const ConvProblem& q, const T* grad, T* to,
                        int threads) {
    take_apart(output_weave(p, q), grad, to, threads);
  }
  template <class T>
  static void put_output(const ConvProblem& p, const ConvProblem& q, const T* from,
                         const T* residual, T lo, T hi, T* result, int threads) {
    put_together(output_weave(p, q), from, residual, lo, hi, result, threads);
  }
  template <class T>
  static void put_input(const ConvProblem& p, const ConvProblem& q, const T* from, T* result,
                        int threads) {
    const T infinity = std::numeric_limits<T>::infinity();
    put_together<T>(input_weave(p, q), from, nullptr, -infinity, infinity, result, threads);
  }
};

}  // namespace

const Directions kDilated = winograd::lowered_rows<Dilated, 4>(
    "winograd_dilated", "F(4x4, 3x3) of each phase of the dilation");
const Directions kDilated2 = winograd::lowered_rows<Dilated, 2>(
    "winograd2_dilated", "F(2x2, 3x3) of each phase of the dilation");

}  // namespace fastconv
