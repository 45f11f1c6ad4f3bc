// The depthwise rows (one input channel a group) and the grouped rows (a few): the same kernels.
#include "depthwise.h"

#include <algorithm>
#include <limits>

#include "../isa.h"
#include "rows.h"

namespace fastconv {
namespace {

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
  run_rows(plan_rows(*call.p, false, sizeof(T), call.threads), data, call.scratch, call.threads);
}

template <class T>
void input(const ConvCall<T>& call) {
  RowData<T> data{call.grad, call.weight, call.result};
  data.lo = -std::numeric_limits<T>::infinity();
  data.hi = std::numeric_limits<T>::infinity();
  run_rows(plan_rows(*call.p, true, sizeof(T), call.threads), data, call.scratch, call.threads);
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
  return row_bytes(plan_rows(p, input_gradient, item, threads), item, threads);
}
size_t weight_workspace(const ConvProblem& p, size_t item, int threads, bool) {
  return band_weight_bytes(p, item, threads);
}

// Pairs of planes, and for each the vectors of a plane and the products of a vector.
struct Work {
  double pairs, planes, vectors, taps;
};

Work work_of(const ConvProblem& p, size_t item) {
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  Work w;
  w.pairs = static_cast<double>(p.n * p.k * p.cg());
  w.planes = static_cast<double>(p.n * p.c);
  w.vectors = static_cast<double>(p.out[0] * p.out[1]) *
              static_cast<double>((p.out[2] + static_cast<int64_t>(lanes) - 1) /
                                  static_cast<int64_t>(lanes));
  w.taps = static_cast<double>(p.taps());
  return w;
}

double forward_cost(const ConvProblem& p, size_t item, bool) {
  const Work w = work_of(p, item);
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  const double fill = static_cast<double>(p.in_plane()) / lanes * 2 + 40;
  return w.pairs * w.vectors * (w.taps * 0.7 + 2) + w.planes * fill;
}

double input_cost(const ConvProblem& p, size_t item, bool) {
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  const Work w = work_of(p, item);
  const double moves = p.unit_stride() ? 3 : 6;
  return w.pairs * w.vectors * w.taps * 0.8 +
         static_cast<double>(p.n * p.c * p.in_plane()) / lanes * moves + w.planes * 80;
}

double weight_cost(const ConvProblem& p, size_t item, bool) {
  const Work w = work_of(p, item);
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  const double fill = static_cast<double>(p.in_plane()) / lanes * 2 + 80;
  // Measured without groups: every pair of planes reads both again.
  const double again = p.groups == 1 && p.cg() > 1 ? 1.7 : 1.0;
  return w.pairs * w.vectors * (w.taps * 0.7 + 2) * again + w.planes * fill +
         static_cast<double>(p.k * p.cg()) * w.taps * 8;
}

}  // namespace

#define FASTCONV_ROWS(Name, name, summary, supports)                \
  const Algorithm k##Name##Forward = {name,                         \
                                      Direction::forward,           \
                                      summary,                      \
                                      supports,                     \
                                      forward_cost,                 \
                                      workspace<false>,             \
                                      nothing,                      \
                                      {forward<float>, nullptr},    \
                                      {forward<double>, nullptr}};  \
  const Algorithm k##Name##Input = {name,                           \
                                    Direction::input,               \
                                    summary,                        \
                                    supports,                       \
                                    input_cost,                     \
                                    workspace<true>,                \
                                    nothing,                        \
                                    {input<float>, nullptr},        \
                                    {input<double>, nullptr}};      \
  const Algorithm k##Name##Weight = {name,                          \
                                     Direction::weight,             \
                                     summary,                       \
                                     supports,                      \
                                     weight_cost,                   \
                                     weight_workspace,              \
                                     nothing,                       \
                                     {band_weight<float>, nullptr}, \
                                     {band_weight<double>, nullptr}};

FASTCONV_ROWS(Depthwise, "depthwise", "rows shifted and summed, plane by plane", depthwise)
FASTCONV_ROWS(Grouped, "grouped", "rows shifted and summed over the few planes of a group", grouped)

}  // namespace fastconv
