// The direct row of the weight gradient: pixels in lanes, for few outputs. A tile holds some output
// channels times some kernel positions, each a vector of partial sums; rows of the gradient and of
// x are read as they lie, once for a whole tile.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "parallel.h"
#include "rows.h"
#include "weight_gradient.h"

namespace fastconv {
namespace {

constexpr int64_t kMostOutputs = 16384;  // of a group: each is a vector of sums
constexpr int64_t kRun = 256;            // products summed in one lane before they are folded

struct Cut {
  PixelCut pixels;
  int64_t sums;  // parts of the sum that are kept apart
  int64_t tasks(const ConvProblem& p) const { return p.groups * sums; }
};

template <class T>
Cut cut(const ConvProblem& p) {
  // A block of x and of the gradient stays in the first-level cache.
  const int64_t item = static_cast<int64_t>(sizeof(T));
  const int64_t reach = 1 + (p.ker[1] - 1) * p.dil[1] / std::max<int64_t>(1, 4 * p.stride[1]);
  const int64_t per_pixel =
      (p.kg() + p.cg() * p.stride[0] * p.stride[1] * p.stride[2] * reach) * item;
  Cut c;
  c.pixels = cut_pixels(p, std::max(int64_t{24 << 10} / per_pixel, 2 * p.out[2]));
  // Every part clears and folds all sums: not for fewer steps than half a run.
  const int64_t lanes = kernels().vector_bytes / item;
  const int64_t steps = p.n * p.out[0] * p.out[1] * ceil_div(p.out[2], lanes);
  c.sums = std::min(c.pixels.count(), 2 * steps / kRun);
  c.sums = std::min<int64_t>(8, std::max<int64_t>(1, c.sums));
  return c;
}

struct Sizes {
  size_t parts, offsets, segments, strip, sums;
  size_t per_thread() const { return offsets + 2 * segments + strip + sums; }
};

template <class T>
Sizes sizes(const ConvProblem& p, const Cut& c) {
  const int64_t outputs = p.kg() * p.reduction();
  const int64_t lanes = kernels().vector_bytes / static_cast<int64_t>(sizeof(T));
  Sizes s{};
  s.parts = Carver::bytes<T>(c.sums * (p.groups * outputs + p.k));
  s.offsets = Carver::bytes<ptrdiff_t>(p.reduction());
  s.segments = Carver::bytes<ptrdiff_t>(c.pixels.pixels());
  if (c.pixels.strip) s.strip = Carver::bytes<T>(c.pixels.images * p.cg() * c.pixels.shape.plane());
  s.sums = Carver::bytes<T>(outputs * lanes);
  return s;
}

template <class T>
size_t bytes(const ConvProblem& p, int threads) {
  const Cut c = cut<T>(p);
  const Sizes s = sizes<T>(p, c);
  const int64_t team = std::max<int64_t>(1, std::min<int64_t>(threads, c.tasks(p)));
  return s.parts + static_cast<size_t>(team) * s.per_thread();
}

template <class T>
void run_task(const ConvCall<T>& call, const Cut& c, int64_t task, T* parts, char* scratch) {
  const ConvProblem& p = *call.p;
  const auto& gemm = of_type<T>(*kernels().gemm);
  const int64_t lanes = kernels().vector_bytes / static_cast<int64_t>(sizeof(T));
  const PixelView view(p, c.pixels, p.cg());
  const int64_t outputs = p.kg() * p.reduction(), plane = p.out_plane();
  const int64_t sum = task % c.sums, group = task / c.sums;

  Carver own(scratch);
  ptrdiff_t* b_off = own.take<ptrdiff_t>(p.reduction());
  ptrdiff_t* a_seg = own.take<ptrdiff_t>(c.pixels.pixels());
  ptrdiff_t* b_seg = own.take<ptrdiff_t>(c.pixels.pixels());
  T* strip =
      c.pixels.strip ? own.take<T>(c.pixels.images * p.cg() * c.pixels.shape.plane()) : nullptr;
  T* sums = own.take<T>(outputs * lanes);
  T* out = parts + (sum * p.groups + group) * outputs;
  std::memset(out, 0, outputs * sizeof(T));
  std::memset(sums, 0, outputs * lanes * sizeof(T));
  T* const bias = parts + c.sums * p.groups * outputs + sum * p.k + group * p.kg();
  std::memset(bias, 0, p.kg() * sizeof(T));
  for (int64_t ch = 0, j = 0; ch < p.cg(); ++ch) {
    for (int64_t tap = 0; tap < p.taps(); ++tap, ++j) {
      b_off[j] = ch * view.plane + tap_offset(p, c.pixels, tap);
    }
  }

  DotBlock<T> d{};
  d.a_row = plane;
  d.a_seg = a_seg;
  d.b_off = b_off;
  d.b_seg = b_seg;
  d.rows = p.kg();
  d.cols = p.reduction();
  d.sums = sums;
  const int64_t blocks = c.pixels.count();
  const int64_t first = blocks * sum / c.sums, last = blocks * (sum + 1) / c.sums;
  int64_t run = 0;
  for (int64_t i = first; i < last; ++i) {
    const Block b = pixel_block(p, c.pixels, i);
    // Rows of pixels that follow each other in memory, in both arrays, are one segment.
    const bool joined = view.row == b.extent(2) && b.extent(2) == p.out[2];
    const int64_t height = joined ? 1 : b.extent(1);
    d.width = joined ? b.extent(1) * b.extent(2) : b.extent(2);
    d.segments = 0;
    for (int64_t n = 0; n < b.images; ++n) {
      for (int64_t z = 0; z < b.extent(0); ++z) {
        for (int64_t h = 0; h < height; ++h, ++d.segments) {
          a_seg[d.segments] = n * p.k * plane + (z * p.out[1] + h) * p.out[2];
          b_seg[d.segments] = n * view.image + z * view.slab + h * view.row;
        }
      }
    }
    const int64_t steps = d.segments * ceil_div(d.width, lanes);
    if (run > 0 && run + steps > kRun) {
      gemm.fold(sums, outputs, out);
      std::memset(sums, 0, outputs * lanes * sizeof(T));
      run = 0;
    }
    run += steps;
    d.a = call.grad + (b.image * p.k + group * p.kg()) * plane +
          (b.lo[0] * p.out[1] + b.lo[1]) * p.out[2] + b.lo[2];
    d.b = view_block(p, c.pixels, view, call.input + group * p.cg() * p.in_plane(), 0, p.cg(), b,
                     strip);
    gemm.dot(d);
    if (call.bias_grad) sum_rows(p, d.a, b, p.kg(), true, bias);
  }
  gemm.fold(sums, outputs, out);
}

template <class T>
void run(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  const Cut c = cut<T>(p);
  const Sizes s = sizes<T>(p, c);
  T* parts = reinterpret_cast<T*>(call.scratch);
  parallel_for(c.tasks(p), call.threads, [&](int64_t task, int thread) {
    run_task(call, c, task, parts, call.scratch + s.parts + thread * s.per_thread());
  });
  const int64_t outputs = p.k * p.reduction();
  add_parts(parts, c.sums, outputs, outputs, call.result);
  if (call.bias_grad) add_parts(parts + c.sums * outputs, c.sums, p.k, p.k, call.bias_grad);
}

bool few_outputs(const ConvProblem& p) {
  return p.kg() * p.reduction() <= kMostOutputs;
}

double cost(const ConvProblem& p, size_t item, bool) {
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  const double tile = kernels().gemm->f32.mr > 6 ? 5 : 3;
  const double rows = static_cast<double>(p.kg()), cols = static_cast<double>(p.reduction());
  const double r = rows / std::ceil(rows / tile), k = cols / std::ceil(cols / tile);
  const double width = static_cast<double>(p.taps() == 1 ? p.out_plane() : p.out[2]);
  const double pixels = static_cast<double>(p.n * p.out_plane());
  const double vectors = pixels * std::ceil(width / lanes) / width;
  // A tile's loads, those of x across cache lines, against its products; and every block fetches
  // and puts back all sums.
  const double step = std::max(0.8 * r * k, 0.7 * (r + 2 * k)) / (r * k);
  const double blocks = static_cast<double>(cut<float>(p).pixels.count());
  const double sums = rows * cols * kernels().vector_bytes > 32 << 10 ? 4 : 2;
  // A group also costs its calls: some 800 cycles, which rules out many groups of small planes.
  return static_cast<double>(p.groups) *
         (800 + rows * cols * (vectors * step + blocks * sums + 16) + pixels * cols / lanes * 0.5);
}

size_t workspace(const ConvProblem& p, size_t item, int threads, bool) {
  return item == 4 ? bytes<float>(p, threads) : bytes<double>(p, threads);
}

size_t nothing(const ConvProblem&, size_t) {
  return 0;
}

}  // namespace

const Algorithm kDirectWeight = {"direct",
                                 Direction::weight,
                                 "dot products along rows of pixels, for few channels",
                                 few_outputs,
                                 cost,
                                 workspace,
                                 nothing,
                                 {run<float>, nullptr},
                                 {run<double>, nullptr},
                                 true};

}  // namespace fastconv
