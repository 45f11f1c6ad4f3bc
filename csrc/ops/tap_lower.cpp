// Convolutions as tap_conv describes them.
#include "tap_lower.h"

#include <algorithm>

namespace fastconv {
namespace {

void set(Dims& to, const Dims& from) {
  for (int i = 0; i < 3; ++i) to[i] = from[i];
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
  std::vector<int64_t> positions;  // of the gradient, for the phase's position 0
  std::vector<PhaseTap> taps;      // of one phase after the other, sorted by position
  std::vector<int64_t> first;      // where each phase's begin
  int64_t phases() const { return static_cast<int64_t>(first.size()) - 1; }
};

PhaseAxis phase_axis(const ConvProblem& p, int i) {
  PhaseAxis axis;
  const int64_t stride = p.stride[i], phases = std::min(stride, p.in[i]);
  // use(phase, position, r) for r from the last to the first: positions of a phase rise.
  const auto each = [&](const auto& use) {
    for (int64_t r = p.ker[i] - 1; r >= 0; --r) {
      // The phase f that the division of f + pad - r * dil leaves no rest for.
      const int64_t x = r * p.dil[i] - p.pad_lo[i], f = (x % stride + stride) % stride;
      if (f < phases) use(f, (f - x) / stride, r);
    }
  };
  int64_t lo = 0, hi = -1;
  axis.first.assign(phases + 1, 0);
  each([&](int64_t f, int64_t at, int64_t) {
    lo = lo > hi ? at : std::min(lo, at);
    hi = std::max(hi, at);
    ++axis.first[f + 1];
  });
  for (int64_t f = 0; f < phases; ++f) axis.first[f + 1] += axis.first[f];
  std::vector<int64_t> index(hi - lo + 1, 0), next(axis.first);
  each([&](int64_t, int64_t at, int64_t) { index[at - lo] = 1; });
  for (int64_t at = lo; at <= hi; ++at) {
    if (!index[at - lo]) continue;
    index[at - lo] = static_cast<int64_t>(axis.positions.size());
    axis.positions.push_back(at);
  }
  axis.taps.resize(axis.first[phases]);
  each([&](int64_t f, int64_t at, int64_t r) { axis.taps[next[f]++] = {index[at - lo], r}; });
  return axis;
}

}  // namespace

template <class T>
TapConv<T> lower_forward(const ConvProblem& p) {
  TapConv<T> t;
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

template <class T>
TapConv<T> lower_input(const ConvProblem& p) {
  TapConv<T> t;
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
  for (int i = 0; i < 3; ++i) t.ways[i] = axes[i]->phases();
  t.first.reserve(t.phases() + 1);
  t.first.push_back(0);
  t.terms.reserve(p.taps());
  for (int64_t fz = 0; fz < z.phases(); ++fz) {
    for (int64_t fy = 0; fy < y.phases(); ++fy) {
      for (int64_t fx = 0; fx < x.phases(); ++fx) {
        for (int64_t a = z.first[fz]; a < z.first[fz + 1]; ++a) {
          for (int64_t b = y.first[fy]; b < y.first[fy + 1]; ++b) {
            for (int64_t c = x.first[fx]; c < x.first[fx + 1]; ++c) {
              t.terms.push_back(
                  {(z.taps[a].position * ny + y.taps[b].position) * nx + x.taps[c].position,
                   (z.taps[a].kernel * p.ker[1] + y.taps[b].kernel) * p.ker[2] + x.taps[c].kernel});
            }
          }
        }
        t.first.push_back(static_cast<int64_t>(t.terms.size()));
      }
    }
  }
  return t;
}

ConvProblem filled_up(const ConvProblem& p) {
  ConvProblem q = p;
  const int64_t stride = p.stride[2];
  q.pad_lo[2] = ceil_div(p.pad_lo[2], stride) * stride;
  const int64_t before = q.pad_lo[2] - p.pad_lo[2];
  q.ker[2] = ceil_div(p.ker[2] + before, stride) * stride;
  q.pad_hi[2] = p.pad_hi[2] + q.ker[2] - p.ker[2] - before;
  return q;
}

bool fills_up(const ConvProblem& p) {
  const int64_t stride = p.stride[2];
  return p.cg() == 1 && p.kg() >= 4 && stride > 1 && p.dil[2] == 1 &&
         p.ker[0] * p.ker[1] * p.stride[0] * p.stride[1] == 1 &&
         (p.ker[2] % stride != 0 || p.pad_lo[2] % stride != 0) &&
         filled_up(p).ker[2] <= 3 * p.ker[2];
}

template TapConv<float> lower_forward<float>(const ConvProblem&);
template TapConv<double> lower_forward<double>(const ConvProblem&);
template TapConv<float> lower_input<float>(const ConvProblem&);
template TapConv<double> lower_input<double>(const ConvProblem&);

}  // namespace fastconv
