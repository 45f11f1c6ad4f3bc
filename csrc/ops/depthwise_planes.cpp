// Depthwise and grouped convolution of planes that are read where they lie.
#include <algorithm>
#include <cstring>
#include <limits>

#include "../isa.h"
#include "depthwise.h"
#include "memory.h"
#include "parallel.h"

namespace fastconv {
namespace {

template <class T>
const T* copied(const T* from, int64_t count, T* to) {
  std::memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
  return to;
}

// The part of the kernel's work that is the same for every unit.
template <class T>
PlaneSum<T> plane_sum_of(const ConvProblem& p, bool input_gradient) {
  PlaneSum<T> g{};
  const int64_t* in = input_gradient ? p.out : p.in;
  const int64_t* out = input_gradient ? p.in : p.out;
  g.taps.rows = static_cast<int>(p.ker[1]);
  g.taps.cols = static_cast<int>(p.ker[2]);
  g.taps.top = p.pad_lo[1];
  g.taps.left = p.pad_lo[2];
  g.taps.step = static_cast<int>(p.stride[1]);
  g.in_rows = in[1];
  g.in_cols = in[2];
  g.out_rows = out[1];
  g.out_cols = out[2];
  g.row_hi = out[1];
  g.sources = p.cg();
  g.results = p.kg();
  g.w_source = p.taps();
  g.w_result = p.cg() * p.taps();
  g.w_row = p.ker[2];
  g.w_col = 1;
  if (input_gradient) {
    std::swap(g.sources, g.results);
    std::swap(g.w_source, g.w_result);
  }
  if (input_gradient && p.unit_stride()) {  // the forward direction with the taps in reverse
    g.taps.top = p.ker[1] - 1 - p.pad_lo[1];
    g.taps.left = p.ker[2] - 1 - p.pad_lo[2];
    g.w_row = -g.w_row;
    g.w_col = -1;
  }
  g.next_src = g.sources * g.in_rows * g.in_cols;
  g.next_out = g.results * g.out_rows * g.out_cols;
  g.next_w = p.kg() * p.cg() * p.taps();
  g.next_bias = g.results;
  return g;
}

// A task is a run of units, or some rows of one where there are few.
template <class T>
struct PlanePlan {
  PlaneSum<T> g;
  int64_t units, run;  // (image, group) pairs, and those of a task
  int64_t row_block;   // output rows of a task
  int64_t reach;       // elements beside the planes of a unit that may be read
  size_t copy;         // bytes of a unit's sources with the reach on either side
};

template <class T>
PlanePlan<T> plan_planes(const ConvProblem& p, bool input_gradient, int threads) {
  const auto& kernel = of_type<T>(*kernels().plane);
  PlanePlan<T> t;
  t.g = plane_sum_of<T>(p, input_gradient);
  t.units = p.n * p.groups;
  t.row_block = t.g.out_rows;
  // Tasks of some 20 microseconds, and enough of them.
  const int64_t work = t.g.next_out * t.g.sources * p.taps() / (kernels().vector_bytes / 4) + 100;
  t.run = std::max<int64_t>(1, std::min(t.units, 150000 / work));
  if (threads > 1) {
    const int64_t want = 4 * threads;
    t.run = std::max<int64_t>(1, std::min(t.run, t.units / want));
    if (t.units < want && !kernel.whole_planes(t.g)) {
      const int64_t rows = ceil_div(t.g.out_rows * t.units, want);
      t.row_block = std::min(t.g.out_rows, ceil_div(rows, 8) * 8);
    }
  }
  t.reach = kernel.reach(t.g);
  t.copy = Carver::bytes<T>(static_cast<size_t>(t.g.next_src + 2 * t.reach));
  return t;
}

}  // namespace

bool reads_planes(const ConvProblem& p, bool input_gradient, size_t item) {
  const auto fits = [&](const auto& kernel) {
    if (p.ker[0] != 1 || p.in[0] != 1 || p.out[0] != 1 || !p.unit_dilation()) return false;
    if (p.ker[1] != 3 && p.ker[1] != 5 && (p.ker[1] != 7 || p.stride[1] > 1)) return false;
    if (p.ker[2] > kernel.most_cols || p.ker[2] < p.stride[2]) return false;
    if (p.stride[1] != p.stride[2] || p.stride[1] > 2) return false;
    const bool spread = input_gradient && p.stride[1] == 2;
    if (spread && p.ker[1] != p.ker[2]) return false;
    for (int i = 1; i < 3; ++i) {
      if (p.pad_lo[i] >= p.ker[i] || p.pad_hi[i] >= p.ker[i]) return false;
      if (spread && (p.pad_lo[i] != p.ker[i] / 2 || p.out[i] * 2 < p.in[i])) return false;
    }
    if ((input_gradient ? p.in : p.out)[2] > kernel.most_width) return false;
    // The units at either end are copied, which must be little beside the others.
    const int64_t bytes = (input_gradient ? p.kg() * p.out_plane() : p.cg() * p.in_plane()) *
                          static_cast<int64_t>(item);
    return bytes <= (p.n * p.groups < 16 ? 16 << 10 : 1 << 20);
  };
  return item == 4 ? fits(kernels().plane->f32) : fits(kernels().plane->f64);
}

size_t plane_bytes(const ConvProblem& p, bool input_gradient, size_t item, int threads) {
  const size_t copy = item == 4 ? plan_planes<float>(p, input_gradient, threads).copy
                                : plan_planes<double>(p, input_gradient, threads).copy;
  return static_cast<size_t>(threads) * copy;
}

template <class T>
bool finite_weights(const ConvProblem& p, const T* w) {
  return of_type<T>(*kernels().plane).all_finite(w, p.k * p.cg() * p.taps());
}

template <class T>
void run_planes(const ConvProblem& p, bool input_gradient, const RowData<T>& data, char* scratch,
                int threads) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const auto& kernel = of_type<T>(*kernels().plane);
  const PlanePlan<T> t = plan_planes<T>(p, input_gradient, threads);
  const bool spread = input_gradient && !p.unit_stride();
  // Units [safe, units - safe) may be read beyond.
  const int64_t safe = ceil_div(t.reach, t.g.next_src);
  const int64_t begin = data.first, end = data.last < 0 ? t.units : data.last;
  const int64_t runs = ceil_div(end - begin, t.run);
  parallel_for(runs * ceil_div(t.g.out_rows, t.row_block), threads, [&](int64_t task, int thread) {
    PlaneSum<T> g = t.g;
    T* const copy = reinterpret_cast<T*>(scratch + static_cast<size_t>(thread) * t.copy) + t.reach;
    g.row_lo = task / runs * t.row_block;
    g.row_hi = std::min(g.row_lo + t.row_block, g.out_rows);
    g.lo = data.lo;
    g.hi = data.hi;
    g.clamped = data.lo > -infinity || data.hi < infinity;
    const int64_t first = begin + task % runs * t.run, last = std::min(first + t.run, end);
    for (int64_t unit = first; unit < last; unit += g.units) {
      const int64_t group = unit % p.groups;
      g.src = data.src + unit * g.next_src;
      if (unit < safe || unit >= t.units - safe) {
        g.units = 1;
        g.src = copied(g.src, g.next_src, copy);
      } else {
        g.units = std::min({last, t.units - safe, unit - group + p.groups}) - unit;
      }
      g.w = data.w + group * g.next_w + (input_gradient && !spread ? p.taps() - 1 : 0);
      g.out = data.dst + unit * g.next_out;
      g.bias = data.bias ? data.bias + group * g.next_bias : nullptr;
      g.residual = data.residual ? data.residual + unit * g.next_out : nullptr;
      spread ? kernel.spread(g) : kernel.sum(g);
    }
  });
}

// The weight gradient, by runs of groups, or of some results of one where groups are few. Images
// follow each other, so the result does not depend on the number of threads.
namespace {

template <class T>
struct DotPlan {
  PlaneDots<T> g;
  int64_t run, batch;       // groups of a task, and of a call
  int64_t results;          // of a task
  int64_t reach;            // elements beside the planes of a unit that may be read
  size_t src_copy, copies;  // bytes of a unit's planes with the reach on either side
};

template <class T>
DotPlan<T> plan_dots(const ConvProblem& p, int threads) {
  DotPlan<T> t;
  PlaneDots<T>& g = t.g;
  const PlaneSum<T> sum = plane_sum_of<T>(p, false);
  g = {};
  g.taps = sum.taps;
  g.in_rows = sum.in_rows;
  g.in_cols = sum.in_cols;
  g.sources = sum.sources;
  g.out_rows = sum.out_rows;
  g.out_cols = sum.out_cols;
  g.results = sum.results;
  g.w_result = sum.w_result;
  g.next_src = sum.next_src;
  g.next_grad = sum.next_out;
  g.next_w = sum.next_w;
  // As many units a call as stay in the nearest cache while tile follows tile.
  const int64_t bytes = (g.next_src + g.next_grad) * static_cast<int64_t>(sizeof(T));
  t.batch = std::max<int64_t>(1, (16 << 10) / bytes);
  const int64_t want = threads > 1 ? 4 * threads : 1;
  t.run = std::max<int64_t>(1, std::min<int64_t>(p.groups / want, 64));
  t.results = g.results;
  if (p.groups < want) t.results = ceil_div(ceil_div(g.results * p.groups, want), 2) * 2;
  t.reach = of_type<T>(*kernels().plane).dot_reach(g);
  t.src_copy = Carver::bytes<T>(static_cast<size_t>(g.next_src + 2 * t.reach));
  t.copies = t.src_copy + Carver::bytes<T>(static_cast<size_t>(g.next_grad + 2 * t.reach));
  return t;
}

}  // namespace

bool reads_planes_for_weight(const ConvProblem& p, size_t item) {
  if (p.n == 0 || !reads_planes(p, false, item)) return false;
  // Every gradient meets a tap inside the plane, so one that is not finite shows in the result.
  for (int i = 1; i < 3; ++i) {
    if ((p.out[i] - 1) * p.stride[i] >= p.in[i]) return false;
  }
  return true;
}

size_t plane_weight_bytes(const ConvProblem& p, size_t item, int threads) {
  const size_t copies =
      item == 4 ? plan_dots<float>(p, threads).copies : plan_dots<double>(p, threads).copies;
  return static_cast<size_t>(threads) * copies;
}

template <class T>
bool run_plane_weight(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  const auto& kernel = of_type<T>(*kernels().plane);
  const DotPlan<T> t = plan_dots<T>(p, call.threads);
  const int64_t begin = call.first_group, end = call.last_group < 0 ? p.groups : call.last_group;
  const int64_t runs = ceil_div(end - begin, t.run), parts = ceil_div(t.g.results, t.results);
  const int64_t units = p.n * p.groups, plane = p.out_plane();
  const auto& gemm = of_type<T>(*kernels().gemm);
  const int64_t safe = ceil_div(t.reach, std::min(t.g.next_src, t.g.next_grad));
  parallel_for(runs * parts, call.threads, [&](int64_t task, int thread) {
    PlaneDots<T> g = t.g;
    char* const scratch = call.scratch + static_cast<size_t>(thread) * t.copies;
    const int64_t first = begin + task % runs * t.run, last = std::min(first + t.run, end);
    const int64_t result = task / runs * t.results;
    g.results = std::min(t.results, t.g.results - result);
    for (int64_t from = first; from < last; from += t.batch) {
      const int64_t to = std::min(from + t.batch, last);
      for (int64_t image = 0; image < p.n; ++image) {
        g.add = image > 0;
        for (int64_t group = from; group < to; group += g.units) {
          const int64_t unit = image * p.groups + group;
          const T* src = call.input + unit * g.next_src;
          const T* grad = call.grad + unit * g.next_grad;
          if (unit < safe || unit >= units - safe) {
            g.units = 1;
            src = copied(src, g.next_src, reinterpret_cast<T*>(scratch) + t.reach);
            grad = copied(grad, g.next_grad, reinterpret_cast<T*>(scratch + t.src_copy) + t.reach);
          } else {
            g.units = std::min(to - group, units - safe - unit);
          }
          g.src = src;
          g.grad = grad + result * g.out_rows * g.out_cols;
          g.dw = call.result + group * g.next_w + result * g.w_result;
          kernel.dot(g);
          for (int64_t r = 0; call.bias_grad && r < g.units * g.results; ++r) {
            const int64_t u = r / g.results, o = r % g.results;
            T* const sum = call.bias_grad + (group + u) * t.g.results + result + o;
            const T plane_sum = gemm.sum(g.grad + u * g.next_grad + o * plane, plane);
            *sum = g.add ? *sum + plane_sum : plane_sum;
          }
        }
      }
    }
  });
  return kernel.all_finite(call.result + begin * t.g.next_w, (end - begin) * t.g.next_w);
}

template bool finite_weights<float>(const ConvProblem&, const float*);
template bool finite_weights<double>(const ConvProblem&, const double*);
template bool run_plane_weight<float>(const ConvCall<float>&);
template bool run_plane_weight<double>(const ConvCall<double>&);
template void run_planes<float>(const ConvProblem&, bool, const RowData<float>&, char*, int);
template void run_planes<double>(const ConvProblem&, bool, const RowData<double>&, char*, int);

}  // namespace fastconv
