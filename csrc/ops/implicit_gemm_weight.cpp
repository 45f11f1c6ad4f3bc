// The im2col row of the weight gradient: a matrix product whose depth is pixels, with either of its
// sides in lanes.
#include <algorithm>
#include <cmath>

#include "rows.h"
#include "weight_gradient.h"

namespace fastconv {
namespace {

// Cycles at two vector FMAs each, roughly: products, packing, and what happens to dw.
double product_cost(double rows, double vectors, double pixels) {
  const auto& gemm = kernels().gemm->f32;
  const double filled = rows / std::ceil(rows / gemm.mr);  // rows of a tile that are in use
  const double slow = filled * std::min(vectors, 4.0) < 8
                          ? 8 / (filled * std::min(vectors, 4.0))
                          : 1.0;  // too few sums to hide the latency
  // Half a tile and more goes along the runs of a row.
  const double loads = (filled < gemm.mr / 2 ? 1.2 : 0.6) / filled;
  return rows * vectors * pixels * 0.5 * std::max(slow, 1 + loads);
}

// Padded or strided, x comes through a strip; split by column phase it comes more slowly.
double fill_cost(const ConvProblem& p, double lanes) {
  if (!p.padded() && p.stride[2] == 1) return 0;
  return static_cast<double>(p.n * p.cg() * p.in_plane()) / lanes * (p.stride[2] > 1 ? 14 : 5);
}

double positions_cost(const ConvProblem& p, double lanes) {
  const double pixels = static_cast<double>(p.n * p.out_plane());
  const double vectors = std::ceil(static_cast<double>(p.reduction()) / lanes);
  const double width = static_cast<double>(p.taps() == 1 ? p.out_plane() : p.out[2]);
  const double turn = vectors * std::ceil(width / lanes) * lanes / width * pixels * 5;
  return product_cost(static_cast<double>(p.kg()), vectors, pixels) + turn + fill_cost(p, lanes);
}

double outputs_cost(const ConvProblem& p, double lanes) {
  const double pixels = static_cast<double>(p.n * p.out_plane());
  const double vectors = std::ceil(static_cast<double>(p.kg()) / lanes);
  const double taps = static_cast<double>(p.taps());
  // A lone vector of outputs loads as often as it multiplies.
  const double lone = vectors == 1 ? 1.35 : 1;
  const double product = product_cost(static_cast<double>(p.cg()), vectors, pixels);
  return lone * taps * product + vectors * pixels * 4 +
         static_cast<double>(p.reduction()) * vectors * 12 + fill_cost(p, lanes);
}

bool by_positions(const ConvProblem& p, size_t item) {
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  return positions_cost(p, lanes) < outputs_cost(p, lanes);
}

template <class T>
void run(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  if (p.n * p.out_plane() == 0) {
    std::fill_n(call.result, p.k * p.reduction(), T(0));
    if (call.bias_grad) std::fill_n(call.bias_grad, p.k, T(0));
  } else if (by_positions(p, sizeof(T))) {
    weight_by_positions(call);
  } else {
    weight_by_outputs(call);
  }
}

bool any_problem(const ConvProblem&) {
  return true;
}

double cost(const ConvProblem& p, size_t item, bool) {
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  const double best = std::min(positions_cost(p, lanes), outputs_cost(p, lanes));
  return static_cast<double>(p.groups) * best + 4500;
}

size_t workspace(const ConvProblem& p, size_t item, int threads, bool) {
  if (by_positions(p, item)) {
    return item == 4 ? weight_by_positions_bytes<float>(p, threads)
                     : weight_by_positions_bytes<double>(p, threads);
  }
  return item == 4 ? weight_by_outputs_bytes<float>(p, threads)
                   : weight_by_outputs_bytes<double>(p, threads);
}

size_t nothing(const ConvProblem&, size_t) {
  return 0;
}

}  // namespace

const Algorithm kIm2colWeight = {
    "im2col", Direction::weight,     "implicit GEMM over pixels", any_problem, cost, workspace,
    nothing,  {run<float>, nullptr}, {run<double>, nullptr},      true};

}  // namespace fastconv
