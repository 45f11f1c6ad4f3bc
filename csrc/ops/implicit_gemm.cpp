// The im2col rows, forward and input gradient: panels packed straight from the image, one matrix
// product per group. And the direct rows: the same product without packing, for few channels.
#include <algorithm>
#include <cmath>

#include "memory.h"
#include "parallel.h"
#include "rows.h"
#include "tap_conv.h"

namespace fastconv {
namespace {

void set(Dims& to, const Dims& from) {
  for (int i = 0; i < 3; ++i) to[i] = from[i];
}

template <class T>
TapConv<T> lower_forward(const ConvProblem& p, bool packed) {
  TapConv<T> t;
  t.packed = packed;
  t.images = p.n;
  t.groups = p.groups;
  t.channels = p.cg();
  t.rows = p.kg();
  set(t.dims, p.in);
  set(t.out, p.out);
  for (int i = 0; i < 3; ++i) t.step[i] = p.out[i] > 1 ? p.stride[i] : 1;
  const ptrdiff_t in_plane = p.in_plane(), out_plane = p.out_plane();
  if (p.taps() == 1 && p.unit_stride() && !p.padded()) {
    // Pointwise: the image is one long row.
    t.dims[0] = t.dims[1] = t.out[0] = t.out[1] = 1;
    t.dims[2] = t.out[2] = in_plane;
  }
  t.src_image = p.c * in_plane;
  t.src_group = p.cg() * in_plane;
  t.w_channel = p.taps();
  t.w_row = p.cg() * p.taps();
  t.w_group = p.kg() * t.w_row;
  t.dst_image = p.k * out_plane;
  t.dst_group = p.kg() * out_plane;
  t.dst_row = out_plane;
  t.taps.reserve(p.taps());
  t.terms.reserve(p.taps());
  for (int64_t z = 0; z < p.ker[0]; ++z) {
    for (int64_t r = 0; r < p.ker[1]; ++r) {
      for (int64_t s = 0; s < p.ker[2]; ++s) {
        const int64_t tap = static_cast<int64_t>(t.taps.size());
        t.terms.push_back({tap, tap});
        t.taps.push_back(
            {{z * p.dil[0] - p.pad_lo[0], r * p.dil[1] - p.pad_lo[1], s * p.dil[2] - p.pad_lo[2]}});
      }
    }
  }
  t.first = {0, p.taps()};
  return t;
}

// One axis of the input gradient, which sums weight[r] * grad[(x + pad - r * dil) / stride] where
// that division leaves no rest. Input positions of one phase, x = phase (mod stride), use the same
// taps at consecutive gradient positions: a stride-1 convolution per phase, no multiplication with
// an inserted zero and no scatter-add.
struct PhaseTap {
  int64_t position;  // index into positions
  int64_t kernel;    // index along the kernel
};
struct PhaseAxis {
  std::vector<int64_t> positions;             // of the gradient, for the phase's position 0
  std::vector<std::vector<PhaseTap>> phases;  // sorted by position
};

PhaseAxis phase_axis(const ConvProblem& p, int i) {
  PhaseAxis axis;
  const int64_t stride = p.stride[i];
  const auto position = [&](int64_t phase, int64_t r, int64_t* at) {
    const int64_t x = phase + p.pad_lo[i] - r * p.dil[i];
    *at = x / stride;
    return x % stride == 0;
  };
  axis.phases.resize(std::min(stride, p.in[i]));
  auto& known = axis.positions;
  int64_t at;
  for (size_t f = 0; f < axis.phases.size(); ++f) {
    for (int64_t r = 0; r < p.ker[i]; ++r) {
      if (position(f, r, &at)) known.push_back(at);
    }
  }
  std::sort(known.begin(), known.end());
  known.erase(std::unique(known.begin(), known.end()), known.end());
  for (size_t f = 0; f < axis.phases.size(); ++f) {
    for (int64_t r = p.ker[i] - 1; r >= 0; --r) {
      if (!position(f, r, &at)) continue;
      axis.phases[f].push_back(
          {std::lower_bound(known.begin(), known.end(), at) - known.begin(), r});
    }
  }
  return axis;
}

template <class T>
TapConv<T> lower_input(const ConvProblem& p, bool packed) {
  TapConv<T> t;
  t.packed = packed;
  t.images = p.n;
  t.groups = p.groups;
  t.channels = p.kg();
  t.rows = p.cg();
  set(t.dims, p.out);
  set(t.out, p.in);
  const ptrdiff_t in_plane = p.in_plane(), out_plane = p.out_plane();
  t.src_image = p.k * out_plane;
  t.src_group = p.kg() * out_plane;
  t.w_row = p.taps();
  t.w_channel = p.cg() * p.taps();
  t.w_group = p.kg() * t.w_channel;
  t.dst_image = p.c * in_plane;
  t.dst_group = p.cg() * in_plane;
  t.dst_row = in_plane;
  if (p.taps() == 1 && p.unit_stride() && !p.padded()) {
    t.dims[0] = t.dims[1] = t.out[0] = t.out[1] = 1;
    t.dims[2] = t.out[2] = out_plane;
  }
  const PhaseAxis z = phase_axis(p, 0), y = phase_axis(p, 1), x = phase_axis(p, 2);
  const int64_t ny = static_cast<int64_t>(y.positions.size());
  const int64_t nx = static_cast<int64_t>(x.positions.size());
  for (const int64_t az : z.positions) {
    for (const int64_t ay : y.positions) {
      for (const int64_t ax : x.positions) t.taps.push_back({{az, ay, ax}});
    }
  }
  const PhaseAxis* axes[3] = {&z, &y, &x};
  for (int i = 0; i < 3; ++i) t.ways[i] = static_cast<int64_t>(axes[i]->phases.size());
  t.first.push_back(0);
  t.terms.reserve(p.taps());
  for (const auto& fz : z.phases) {
    for (const auto& fy : y.phases) {
      for (const auto& fx : x.phases) {
        for (const PhaseTap& a : fz) {
          for (const PhaseTap& b : fy) {
            for (const PhaseTap& c : fx) {
              t.terms.push_back({(a.position * ny + b.position) * nx + c.position,
                                 (a.kernel * p.ker[1] + b.kernel) * p.ker[2] + c.kernel});
            }
          }
        }
        t.first.push_back(static_cast<int64_t>(t.terms.size()));
      }
    }
  }
  return t;
}

template <class T>
void run_forward(const ConvCall<T>& call, bool packed) {
  TapConv<T> t = lower_forward<T>(*call.p, packed);
  t.src = call.input;
  t.w = call.weight;
  t.dst = call.result;
  t.bias = call.bias;
  t.residual = call.residual;
  clamp_range(call.activation, &t.lo, &t.hi);
  tap_conv(t, call.scratch, call.threads);
}

template <class T>
void run_input(const ConvCall<T>& call, bool packed) {
  TapConv<T> t = lower_input<T>(*call.p, packed);
  t.src = call.grad;
  t.w = call.weight;
  t.dst = call.result;
  clamp_range(Activation::none, &t.lo, &t.hi);
  tap_conv(t, call.scratch, call.threads);
}

// Cycles of one core at two vector FMAs a cycle, roughly: the products, the packing and a constant.
double product_cost(double rows, double depth, double vectors) {
  const auto& gemm = kernels().gemm->f32;
  const double groups = std::ceil(rows / gemm.mr);
  const double filled = rows / groups;              // rows of a tile that are in use
  const double slow = filled < 4 ? 4 / filled : 1;  // too few accumulators to hide the latency
  return rows * depth * vectors * 0.5 * slow;
}

double forward_cost(const ConvProblem& p, size_t item, bool packed) {
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  const double q = static_cast<double>(p.out[2]), rows = static_cast<double>(p.out_plane()) / q;
  const double depth = static_cast<double>(p.reduction());
  const double filled = rows * std::ceil(q / lanes);  // vectors when every row starts one
  const double dense = std::ceil(rows * q / lanes);
  // Every row of the strip is a call.
  const double strip_rows = static_cast<double>(p.in[0] * p.in[1] * p.stride[2]);
  const bool as_it_lies = packed && p.taps() == 1 && p.unit_stride() && !p.padded();
  const double strip = as_it_lies
                           ? 0
                           : static_cast<double>(p.cg()) *
                                 (static_cast<double>(p.in_plane()) / lanes * 2 + strip_rows * 40);
  // A panel of narrow rows is packed piece by piece.
  const double pieces = 2 * lanes / q + 1;
  const double pack = p.taps() == 1 && p.unit_stride() ? 1.6 : std::max(1.6, 0.8 * pieces);
  const double per_group =
      packed
          ? product_cost(static_cast<double>(p.kg()), depth, dense) + depth * dense * pack + strip
          : product_cost(static_cast<double>(p.kg()), depth, filled) * (depth > 320 ? 1.3 : 1.0) +
                rows * 40 + strip;
  return static_cast<double>(p.n * p.groups) * per_group;
}

double input_cost(const ConvProblem& p, size_t item, bool packed) {
  ConvProblem mirrored = p;  // the gradient has the forward's work with the channels exchanged
  mirrored.c = p.k;
  mirrored.k = p.c;
  return forward_cost(mirrored, item, packed);
}

bool any_problem(const ConvProblem&) {
  return true;
}
size_t nothing(const ConvProblem&, size_t) {
  return 0;
}

template <bool packed>
double cost_forward(const ConvProblem& p, size_t item, bool) {
  return forward_cost(p, item, packed);
}
template <bool packed>
double cost_input(const ConvProblem& p, size_t item, bool) {
  return input_cost(p, item, packed);
}
template <bool packed>
size_t bytes_forward(const ConvProblem& p, size_t item, int threads, bool) {
  return item == 4 ? tap_conv_bytes(lower_forward<float>(p, packed), threads)
                   : tap_conv_bytes(lower_forward<double>(p, packed), threads);
}
template <bool packed>
size_t bytes_input(const ConvProblem& p, size_t item, int threads, bool) {
  return item == 4 ? tap_conv_bytes(lower_input<float>(p, packed), threads)
                   : tap_conv_bytes(lower_input<double>(p, packed), threads);
}
template <class T, bool packed>
void forward(const ConvCall<T>& call) {
  run_forward(call, packed);
}
template <class T, bool packed>
void input(const ConvCall<T>& call) {
  run_input(call, packed);
}

}  // namespace

const Algorithm kIm2colForward = {"im2col",
                                  Direction::forward,
                                  "implicit GEMM: pixels packed into cache-sized panels",
                                  any_problem,
                                  cost_forward<true>,
                                  bytes_forward<true>,
                                  nothing,
                                  {forward<float, true>, nullptr},
                                  {forward<double, true>, nullptr}};
const Algorithm kIm2colInput = {"im2col",
                                Direction::input,
                                "implicit GEMM over the phases of the stride",
                                any_problem,
                                cost_input<true>,
                                bytes_input<true>,
                                nothing,
                                {input<float, true>, nullptr},
                                {input<double, true>, nullptr}};
const Algorithm kDirectForward = {"direct",
                                  Direction::forward,
                                  "register tiles over padded rows, for few channels",
                                  any_problem,
                                  cost_forward<false>,
                                  bytes_forward<false>,
                                  nothing,
                                  {forward<float, false>, nullptr},
                                  {forward<double, false>, nullptr}};
const Algorithm kDirectInput = {"direct",
                                Direction::input,
                                "register tiles over padded rows of the gradient",
                                any_problem,
                                cost_input<false>,
                                bytes_input<false>,
                                nothing,
                                {input<float, false>, nullptr},
                                {input<double, false>, nullptr}};

}  // namespace fastconv
