#include "conv.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "memory.h"
#include "parallel.h"
#include "pointwise.h"
#include "rows.h"

namespace fastconv {
namespace {

constexpr struct {
  const char* name;
  Activation value;
} kActivations[] = {
    {"relu", Activation::relu},
    {"relu6", Activation::relu6},
    {"leaky_relu", Activation::leaky_relu},
    {"hardswish", Activation::hardswish},
    {"silu", Activation::silu},
    {"gelu", Activation::gelu},
};

}  // namespace

Activation parse_activation(const char* fn, const char* name) {
  std::string choices;
  for (const auto& a : kActivations) {
    if (!std::strcmp(a.name, name)) return a.value;
    choices += std::string(choices.empty() ? "'" : ", '") + a.name + "'";
  }
  throw std::invalid_argument(std::string(fn) + ": activation must be None or one of " + choices +
                              ", but got '" + name + "'");
}

template <class T>
void activate(Activation activation, T* y, int64_t n, int threads) {
  switch (activation) {
    case Activation::leaky_relu:
      return unary_forward(unary_index("leaky_relu"), y, y, n, 0.01, 0.0, threads);
    case Activation::hardswish:
      return unary_forward(unary_index("hardswish"), y, y, n, 0.0, 0.0, threads);
    case Activation::silu:
      return unary_forward(unary_index("silu"), y, y, n, 0.0, 0.0, threads);
    case Activation::gelu:
      return unary_forward(unary_index("gelu"), y, y, n, 0.0, 0.0, threads);
    default:
      return;
  }
}

template <class T>
void convolve(ConvCall<T> call, const Algorithm& algorithm) {
  const ConvProblem& p = *call.p;
  const bool prepared = call.prepared != nullptr;
  const size_t bytes = algorithm.workspace(p, sizeof(T), call.threads, prepared);
  // The same memory for both gradients, as long as that wastes little.
  constexpr size_t kLarge = 16 << 20;
  const Scratch scratch(bytes < kLarge ? common_size(bytes) : bytes);
  call.scratch = scratch.data();
  algorithm.runner<T>().run(call);
  activate(call.activation, call.result, p.n * p.k * p.out_plane(), call.threads);
}

template <class T>
void convolve_back(ConvCall<T> call, const Algorithm& input, const Algorithm& weight, T* dx,
                   T* dw) {
  const ConvProblem& p = *call.p;
  T* const bias_grad = call.bias_grad;
  int64_t parts = 1;
  if (takes_groups(input, p, sizeof(T)) && takes_groups(weight, p, sizeof(T))) {
    const int64_t bytes =
        (2 * p.c * p.in_plane() + p.k * p.out_plane()) * static_cast<int64_t>(sizeof(T));
    const int64_t near = static_cast<int64_t>(l2_bytes() / 2) * call.threads;
    parts = std::min(p.groups, bytes > 2 * near ? ceil_div(bytes, near) : 1);
  }
  for (int64_t part = 0; part < parts; ++part) {
    if (parts > 1) {
      call.first_group = p.groups * part / parts;
      call.last_group = p.groups * (part + 1) / parts;
    }
    call.result = dx;
    call.bias_grad = nullptr;
    convolve(call, input);
    call.result = dw;
    call.bias_grad = bias_grad;
    convolve(call, weight);
  }
}

int useful_threads(const ConvProblem& p, int threads) {
  // Where sums are short, moving the elements takes the time, and where pixels are few, the
  // weights: measured, as much as 20 operations each.
  const double elements =
      static_cast<double>(p.n) * static_cast<double>(p.c * p.in_plane() + p.k * p.out_plane()) +
      static_cast<double>(p.k) * static_cast<double>(p.reduction());
  return useful_threads(std::max(p.flops(), 20 * elements), threads);
}

template <class T>
void bias_gradient(const ConvProblem& p, const T* grad, T* out, int threads) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  const int64_t plane = p.out_plane();
  parallel_for(p.k, threads, [&](int64_t k, int) {
    T total = 0;
    for (int64_t n = 0; n < p.n; ++n) total += gemm.sum(grad + (n * p.k + k) * plane, plane);
    out[k] = total;
  });
}

template void activate<float>(Activation, float*, int64_t, int);
template void activate<double>(Activation, double*, int64_t, int);
template void convolve<float>(ConvCall<float>, const Algorithm&);
template void convolve<double>(ConvCall<double>, const Algorithm&);
template void convolve_back<float>(ConvCall<float>, const Algorithm&, const Algorithm&, float*,
                                   float*);
template void convolve_back<double>(ConvCall<double>, const Algorithm&, const Algorithm&, double*,
                                    double*);
template void bias_gradient<float>(const ConvProblem&, const float*, float*, int);
template void bias_gradient<double>(const ConvProblem&, const double*, double*, int);

}  // namespace fastconv
