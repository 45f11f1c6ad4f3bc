// Depthwise convolution with channels in the lanes: small planes, where a row would not fill a
// vector, and large kernels, most of whose taps fall into the padding.
#include <algorithm>
#include <cmath>
#include <limits>

#include "../isa.h"
#include "depthwise.h"
#include "memory.h"
#include "parallel.h"

namespace fastconv {
namespace {

template <class T>
PlaneLanes<T> plane_lanes_of(const ConvProblem& p, bool input_gradient) {
  PlaneLanes<T> g{};
  const Dims& in = input_gradient ? p.out : p.in;
  const Dims& out = input_gradient ? p.in : p.out;
  g.taps.rows = static_cast<int>(p.ker[1]);
  g.taps.cols = static_cast<int>(p.ker[2]);
  g.taps.top = input_gradient ? p.ker[1] - 1 - p.pad_lo[1] : p.pad_lo[1];
  g.taps.left = input_gradient ? p.ker[2] - 1 - p.pad_lo[2] : p.pad_lo[2];
  g.taps.step = static_cast<int>(p.stride[1]);
  g.reversed = input_gradient;
  g.in_rows = in[1];
  g.in_cols = in[2];
  g.out_rows = out[1];
  g.out_cols = out[2];
  return g;
}

// Vectors of a block of channels: source, weights and result.
template <class T>
int64_t vectors(const PlaneLanes<T>& g) {
  return g.in_rows * g.in_cols + g.taps.rows * g.taps.cols + g.out_rows * g.out_cols;
}

// Taps inside the plane, of all positions along an axis.
int64_t inside(int64_t in, int64_t out, int64_t taps, int64_t before, int64_t step) {
  int64_t sum = 0;
  for (int64_t i = 0; i < out; ++i) {
    const int64_t at = i * step - before;
    sum += std::max<int64_t>(0, std::min(taps, in - at) - std::max<int64_t>(0, -at));
  }
  return sum;
}

size_t block_bytes(const PlaneLanes<float>& g) {
  return Carver::bytes<char>(static_cast<size_t>(vectors(g) * kernels().vector_bytes));
}

}  // namespace

double lane_plane_cycles(const ConvProblem& p, bool input_gradient) {
  const PlaneLanes<float> g = plane_lanes_of<float>(p, input_gradient);
  const int64_t lanes = kernels().vector_bytes / 4;
  const int64_t products = inside(g.in_rows, g.out_rows, g.taps.rows, g.taps.top, g.taps.step) *
                           inside(g.in_cols, g.out_cols, g.taps.cols, g.taps.left, g.taps.step);
  // Measured on AVX-512: a vector that is transposed, and one that is multiplied.
  const double block = 8.5 * static_cast<double>(vectors(g)) + 0.8 * static_cast<double>(products);
  return static_cast<double>(p.n * ceil_div(p.groups, lanes)) * block;
}

bool reads_plane_lanes(const ConvProblem& p, bool input_gradient, size_t item) {
  if (item != 4 || !kernels().plane->f32.lanes) return false;
  if (p.cg() != 1 || p.kg() != 1 || p.ker[0] != 1 || p.in[0] != 1 || p.out[0] != 1) return false;
  if (!p.unit_dilation() || p.pad_lo[0] > 0 || p.pad_hi[0] > 0) return false;
  if (p.stride[1] != p.stride[2] || p.stride[1] > (input_gradient ? 1 : 2)) return false;
  const PlaneLanes<float> g = plane_lanes_of<float>(p, input_gradient);
  if (block_bytes(g) > l2_bytes() / 3) return false;
  // What the other ways take: a vector multiplied, and a plane.
  const double lanes = kernels().vector_bytes / 4.0, cols = static_cast<double>(g.out_cols);
  const bool planes = reads_planes(p, input_gradient, item);
  const bool packed = planes && g.taps.rows == 3 && g.taps.step == 1 && g.in_cols == g.out_cols &&
                      2 * cols <= lanes;
  const double rows = std::ceil(static_cast<double>(g.out_rows) / (packed ? 2 : 1));
  const double other = rows * std::ceil(cols / lanes) * static_cast<double>(p.taps()) *
                           (planes ? (g.taps.step == 1 ? 0.75 : 1.4) : 0.8) +
                       40 * g.taps.step;
  return lane_plane_cycles(p, input_gradient) < other * static_cast<double>(p.n * p.groups);
}

size_t lane_plane_bytes(const ConvProblem& p, bool input_gradient, int threads) {
  return static_cast<size_t>(threads) * block_bytes(plane_lanes_of<float>(p, input_gradient));
}

template <class T>
void run_lane_planes(const ConvProblem& p, bool input_gradient, const RowData<T>& data,
                     char* scratch, int threads) {
  const PlaneLanes<T> all = plane_lanes_of<T>(p, input_gradient);
  const int64_t lanes = kernels().vector_bytes / static_cast<int64_t>(sizeof(T));
  const int64_t blocks = ceil_div(p.groups, lanes);
  const size_t own = block_bytes(plane_lanes_of<float>(p, input_gradient));
  parallel_for(p.n * blocks, threads, [&](int64_t task, int thread) {
    PlaneLanes<T> g = all;
    const int64_t channel = task % blocks * lanes, plane = task / blocks * p.groups + channel;
    g.channels = std::min(lanes, p.groups - channel);
    g.src = data.src + plane * g.in_rows * g.in_cols;
    g.w = data.w + channel * p.taps();
    g.out = data.dst + plane * g.out_rows * g.out_cols;
    g.bias = data.bias ? data.bias + channel : nullptr;
    g.residual = data.residual ? data.residual + plane * g.out_rows * g.out_cols : nullptr;
    g.lo = data.lo;
    g.hi = data.hi;
    g.scratch = reinterpret_cast<T*>(scratch + static_cast<size_t>(thread) * own);
    of_type<T>(*kernels().plane).lanes(g);
  });
}

template void run_lane_planes<float>(const ConvProblem&, bool, const RowData<float>&, char*, int);
template void run_lane_planes<double>(const ConvProblem&, bool, const RowData<double>&, char*, int);

}  // namespace fastconv
