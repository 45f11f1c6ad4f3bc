// The depthwise rows (one input channel a group) and the grouped rows (a few): the same kernels.
#include "depthwise.h"

#include <cmath>
#include <limits>

#include "../isa.h"
#include "memory.h"
#include "rows.h"

namespace fastconv {
namespace {

template <class T>
void run(const ConvCall<T>& call, bool input_gradient, const RowData<T>& data) {
  const ConvProblem& p = *call.p;
  const bool lanes = reads_plane_lanes(p, input_gradient, sizeof(T));
  const bool planes = lanes || reads_planes(p, input_gradient, sizeof(T));
  if (planes && finite_weights(p, call.weight)) {
    const auto way = lanes ? run_lane_planes<T> : run_planes<T>;
    return way(p, input_gradient, data, call.scratch, call.threads);
  }
  const RowPlan plan = plan_rows(p, input_gradient, sizeof(T), call.threads);
  if (!planes) return run_rows(plan, data, call.scratch, call.threads);
  const Scratch scratch(row_bytes(plan, sizeof(T), call.threads));
  run_rows(plan, data, scratch.data(), call.threads);
}

template <class T>
void forward(const ConvCall<T>& call) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const Activation a = call.activation;
  RowData<T> data{call.input, call.weight, call.result};
  data.bias = call.bias;
  data.residual = call.residual;
  // Activations that are a clamp are fused; the others run over the finished result.
  data.lo = a == Activation::relu || a == Activation::relu6 ? T(0) : -infinity;
  data.hi = a == Activation::relu6 ? T(6) : infinity;
  run(call, false, data);
}

template <class T>
void input(const ConvCall<T>& call) {
  RowData<T> data{call.grad, call.weight, call.result};
  data.lo = -std::numeric_limits<T>::infinity();
  data.hi = std::numeric_limits<T>::infinity();
  data.first = call.first_group;
  data.last = call.last_group;
  run(call, true, data);
}

template <class T>
void weight(const ConvCall<T>& call) {
  if (!reads_planes_for_weight(*call.p, sizeof(T))) return band_weight(call);
  if (run_plane_weight(call)) return;
  const Scratch scratch(band_weight_bytes(*call.p, sizeof(T), call.threads));
  ConvCall<T> again = call;
  again.scratch = scratch.data();
  band_weight(again);
}

bool depthwise(const ConvProblem& p) {
  return p.cg() == 1;
}
bool grouped(const ConvProblem& p) {
  return p.cg() > 1 && p.cg() <= 32 && p.kg() <= 32;
}

size_t nothing(const ConvProblem&, size_t) {
  return 0;
}
template <bool input_gradient>
size_t workspace(const ConvProblem& p, size_t item, int threads, bool) {
  if (reads_plane_lanes(p, input_gradient, item)) {
    return lane_plane_bytes(p, input_gradient, threads);
  }
  if (reads_planes(p, input_gradient, item)) return plane_bytes(p, input_gradient, item, threads);
  return row_bytes(plan_rows(p, input_gradient, item, threads), item, threads);
}
size_t weight_workspace(const ConvProblem& p, size_t item, int threads, bool) {
  if (reads_planes_for_weight(p, item)) return plane_weight_bytes(p, item, threads);
  return band_weight_bytes(p, item, threads);
}

// Measured on AVX-512: cycles of a vector product with its share of loads, of a vector of results
// (moves; more through the phases of a stride), of a vector copied into the strip, of a plane.
constexpr double kProduct = 0.85, kInputProduct = 1, kResult = 5, kInterleaved = 13, kCopied = 3,
                 kPlane = 60;

// Vectors of a plane whose rows each begin one.
double vectors_of(const Dims& d, double lanes) {
  return static_cast<double>(d[0] * d[1]) * std::ceil(static_cast<double>(d[2]) / lanes);
}

double lanes_of(size_t item) {
  return kernels().vector_bytes / static_cast<double>(item);
}

double fill_cost(int64_t planes, const Dims& d, double lanes) {
  return static_cast<double>(planes) * (vectors_of(d, lanes) * kCopied + kPlane);
}

// Against the rows of tiles, whose costs are bounds that they miss by more, measured.
constexpr double kBesideTiles = 0.75;
constexpr double kLaneCycle = 0.8;  // of lane_plane_cycles

// Planes read where they lie: narrow rows share a vector, there is no strip to fill.
double plane_cost(const ConvProblem& p, const Dims& out, double pairs, double product, double rest,
                  double lanes) {
  const double cols = static_cast<double>(out[2]), rows = static_cast<double>(out[1]);
  const double packed = p.unit_stride() && p.in[2] == p.out[2] && 2 * cols <= lanes ? 2 : 1;
  const double vectors = std::ceil(rows / packed) * std::ceil(cols / lanes);
  const double taps = static_cast<double>(p.taps());
  return kBesideTiles * pairs * static_cast<double>(p.n) * (vectors * taps * product + rest);
}

double sum_cost(const ConvProblem& p, bool input_gradient, double lanes) {
  const Dims& out = input_gradient ? p.in : p.out;
  const double results = static_cast<double>(input_gradient ? p.c : p.k);
  // A phase of the stride has its share of the taps; columns read two apart take as long again.
  const double product = p.unit_stride() ? 0.75 : input_gradient ? 0.2 : 1.8;
  return plane_cost(p, out, static_cast<double>(p.k * p.cg()), product, 0, lanes) +
         kBesideTiles * static_cast<double>(p.n) * results * vectors_of(out, lanes) * kResult;
}

double forward_cost(const ConvProblem& p, size_t item, bool) {
  const double lanes = lanes_of(item), products = static_cast<double>(p.reduction());
  if (reads_plane_lanes(p, false, item)) return kLaneCycle * lane_plane_cycles(p, false);
  if (reads_planes(p, false, item)) return sum_cost(p, false, lanes);
  const double split = p.stride[2] > 1 ? 1.5 : 1;  // columns of phases, beside each other
  return kBesideTiles * (static_cast<double>(p.n * p.k) * vectors_of(p.out, lanes) *
                             (products * kProduct * split + 2 * kResult) +
                         2 * fill_cost(p.n * p.c, p.in, lanes));
}

double input_cost(const ConvProblem& p, size_t item, bool) {
  const double lanes = lanes_of(item);
  if (reads_plane_lanes(p, true, item)) return kLaneCycle * lane_plane_cycles(p, true);
  if (reads_planes(p, true, item)) return sum_cost(p, true, lanes);
  const double share = static_cast<double>(p.stride[0] * p.stride[1] * p.stride[2]);
  const double products = static_cast<double>(p.kg() * p.taps()) / share;
  // Every phase of the stride takes its share of every plane by itself.
  const double calls = share > 1 ? 200 * share * static_cast<double>(p.n * p.k * p.cg()) : 0;
  return calls +
         static_cast<double>(p.n * p.c) * vectors_of(p.in, lanes) *
             (products * kInputProduct + (p.stride[2] > 1 ? kInterleaved : 2 * kResult)) +
         2 * fill_cost(p.n * p.k, p.out, lanes);
}

double weight_cost(const ConvProblem& p, size_t item, bool) {
  const double lanes = lanes_of(item), taps = static_cast<double>(p.taps());
  const double pairs = static_cast<double>(p.k * p.cg());
  // Every tap of a pair of planes ends as the sum of a vector's lanes.
  if (reads_planes_for_weight(p, item)) return plane_cost(p, p.out, pairs, 0.9, taps * 4, lanes);
  // A lone row of the gradient is loaded for every few taps.
  const double product = kProduct * (p.out[1] == 1 ? 3 : 1);
  return pairs * (static_cast<double>(p.n) * vectors_of(p.out, lanes) * (taps * product + 2) +
                  taps * 8 + kPlane) +
         fill_cost(p.n * p.c, p.in, lanes);
}

}  // namespace

#define FASTCONV_ROWS(Name, name, summary, supports)               \
  const Algorithm k##Name##Forward = {name,                        \
                                      Direction::forward,          \
                                      summary,                     \
                                      supports,                    \
                                      forward_cost,                \
                                      workspace<false>,            \
                                      nothing,                     \
                                      {forward<float>, nullptr},   \
                                      {forward<double>, nullptr}}; \
  const Algorithm k##Name##Input = {name,                          \
                                    Direction::input,              \
                                    summary,                       \
                                    supports,                      \
                                    input_cost,                    \
                                    workspace<true>,               \
                                    nothing,                       \
                                    {input<float>, nullptr},       \
                                    {input<double>, nullptr}};     \
  const Algorithm k##Name##Weight = {name,                         \
                                     Direction::weight,            \
                                     summary,                      \
                                     supports,                     \
                                     weight_cost,                  \
                                     weight_workspace,             \
                                     nothing,                      \
                                     {weight<float>, nullptr},     \
                                     {weight<double>, nullptr},    \
                                     true};

FASTCONV_ROWS(Depthwise, "depthwise", "rows shifted and summed, plane by plane", depthwise)
FASTCONV_ROWS(Grouped, "grouped", "rows shifted and summed over the few planes of a group", grouped)

bool takes_groups(const Algorithm& row, const ConvProblem& p, size_t item) {
  if (p.n != 1) return false;
  if (&row == &kDepthwiseInput || &row == &kGroupedInput) {
    return reads_planes(p, true, item) && !reads_plane_lanes(p, true, item);
  }
  return (&row == &kDepthwiseWeight || &row == &kGroupedWeight) && reads_planes_for_weight(p, item);
}

}  // namespace fastconv
