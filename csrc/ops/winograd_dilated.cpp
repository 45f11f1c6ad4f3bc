// Dilated convolution by Winograd. Outputs a dilation apart read inputs a dilation apart: the image
// falls into d x d phases, each of which is convolved without dilation, as an image of its own. The
// phases are copied out with their padding, and their results woven into place.
#include <algorithm>

#include "memory.h"
#include "parallel.h"
#include "rows.h"
#include "winograd.h"

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

bool supports(const ConvProblem& p) {
  return p.unit_stride() && !p.unit_dilation() && winograd::supports(phases_of(p));
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
  size_t elements() const { return static_cast<size_t>(images * rows * cols * phase()); }
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
      if (w.cols == 2) {
        gemm.zip(column(0), column(1), add, w.width, lo, hi, planes + to);
        continue;
      }
      for (int64_t x = 0; x < w.cols && x < w.width; ++x) {
        gemm.spread(column(x), w.cols, add ? add + x : nullptr, ceil_div(w.width - x, w.cols), lo,
                    hi, planes + to + x);
      }
    }
  });
}

template <int M, Direction D>
const Algorithm& inner() {
  if constexpr (D == Direction::forward) {
    return M == 4 ? kWinogradForward : kWinograd2Forward;
  } else if constexpr (D == Direction::input) {
    return M == 4 ? kWinogradInput : kWinograd2Input;
  } else {
    return M == 4 ? kWinogradWeight : kWinograd2Weight;
  }
}

template <class T, int M, Direction D>
void run(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  const ConvProblem q = phases_of(p);
  const Weave in = input_weave(p, q), out = output_weave(p, q);
  Carver carver(call.scratch);
  T* const input = carver.take<T>(in.elements());
  T* const output = carver.take<T>(out.elements());
  ConvCall<T> phases = call;
  phases.p = &q;
  phases.input = input;
  phases.grad = output;
  phases.residual = nullptr;
  phases.activation = Activation::none;
  phases.scratch = carver.take<char>(0);
  T lo, hi;
  clamp_range(call.activation, &lo, &hi);
  if (D != Direction::input) take_apart(in, call.input, input, call.threads);
  if (D != Direction::forward) take_apart(out, call.grad, output, call.threads);
  if (D == Direction::forward) phases.result = output;
  if (D == Direction::input) phases.result = input;
  inner<M, D>().template runner<T>().run(phases);
  if (D == Direction::forward) {
    put_together(out, output, call.residual, lo, hi, call.result, call.threads);
  } else if (D == Direction::input) {
    put_together<T>(in, input, nullptr, lo, hi, call.result, call.threads);
  }
}

template <class T, int M, Direction D>
void prepare(const ConvProblem& p, const T* weight, void* prepared, int threads) {
  inner<M, D>().template runner<T>().prepare(phases_of(p), weight, prepared, threads);
}

template <int M, Direction D>
size_t workspace(const ConvProblem& p, size_t item, int threads, bool prepared) {
  const ConvProblem q = phases_of(p);
  const size_t in = input_weave(p, q).elements(), out = output_weave(p, q).elements();
  return (item == 4 ? Carver::bytes<float>(in) + Carver::bytes<float>(out)
                    : Carver::bytes<double>(in) + Carver::bytes<double>(out)) +
         Carver::bytes<char>(0) + inner<M, D>().workspace(q, item, threads, prepared);
}

template <int M, Direction D>
size_t prepared_bytes(const ConvProblem& p, size_t item) {
  return inner<M, D>().prepared_bytes(phases_of(p), item);
}

// Copies of a few cycles a vector where the dilation is 2, of one an element beyond.
template <int M, Direction D>
double cost(const ConvProblem& p, size_t item, bool prepared) {
  const ConvProblem q = phases_of(p);
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  const double copied =
      static_cast<double>(input_weave(p, q).elements() + output_weave(p, q).elements());
  return inner<M, D>().cost(q, item, prepared) + copied * (p.dil[2] > 2 ? 1.5 : 6 / lanes);
}

template <int M, Direction D>
constexpr Algorithm row(const char* name, const char* summary) {
  constexpr bool prepares = D == Direction::forward || D == Direction::input;
  return {name,
          D,
          summary,
          supports,
          cost<M, D>,
          workspace<M, D>,
          prepared_bytes<M, D>,
          {run<float, M, D>, prepares ? prepare<float, M, D> : nullptr},
          {run<double, M, D>, prepares ? prepare<double, M, D> : nullptr}};
}

constexpr const char* kSummary = "F(4x4, 3x3) of each phase of the dilation";
constexpr const char* kSummary2 = "F(2x2, 3x3) of each phase of the dilation";

}  // namespace

const Algorithm kDilatedForward = row<4, Direction::forward>("winograd_dilated", kSummary);
const Algorithm kDilatedInput = row<4, Direction::input>("winograd_dilated", kSummary);
const Algorithm kDilatedWeight = row<4, Direction::weight>("winograd_dilated", kSummary);
const Algorithm kDilated2Forward = row<2, Direction::forward>("winograd2_dilated", kSummary2);
const Algorithm kDilated2Input = row<2, Direction::input>("winograd2_dilated", kSummary2);
const Algorithm kDilated2Weight = row<2, Direction::weight>("winograd2_dilated", kSummary2);

}  // namespace fastconv
