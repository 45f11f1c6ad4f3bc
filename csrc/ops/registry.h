// The algorithms: one row each. Selection, tests, benches and explain() walk the rows.
#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "../isa.h"
#include "../problem.h"

namespace fastconv {

enum class Direction { forward, input, weight };  // the output, and the two gradients

enum class Activation { none, relu, relu6, leaky_relu, hardswish, silu, gelu };

// Activations that are a clamp are fused into kernels; the others run over the finished rows.
template <class T>
void clamp_range(Activation a, T* lo, T* hi) {
  const bool relu = a == Activation::relu || a == Activation::relu6;
  *lo = relu ? T(0) : -std::numeric_limits<T>::infinity();
  *hi = a == Activation::relu6 ? T(6) : std::numeric_limits<T>::infinity();
}

// One convolution to run, on dense arrays in C order:
//   forward: input (N, C, Z, H, W), weight (K, C/g, T, R, S)      -> result (N, K, Z', P, Q)
//   input:   grad (N, K, Z', P, Q), weight                        -> result like input
//   weight:  grad, input                                          -> result like weight
template <class T>
struct ConvCall {
  const ConvProblem* p = nullptr;
  const T* input = nullptr;
  const T* weight = nullptr;
  const T* grad = nullptr;
  const T* bias = nullptr;      // forward: (K,) or null
  const T* residual = nullptr;  // forward: like result, added before the activation, or null
  Activation activation = Activation::none;
  T* result = nullptr;
  int64_t first_group = 0, last_group = -1;  // those to do, for rows that takes_groups() names
  T* bias_grad = nullptr;          // weight: (K,) sums of grad, from rows with sums_bias, or null
  const void* prepared = nullptr;  // what the row's prepare made of the weight, or null
  int threads = 1;
  char* scratch = nullptr;  // as many bytes as the row's workspace() said
};

template <class T>
struct Runner {
  void (*run)(const ConvCall<T>&);
  // Weights brought into the form that run() likes, once: plans keep it. Null if there is none. The
  // form depends on the weight and its geometry alone, not on the image's size.
  void (*prepare)(const ConvProblem&, const T* weight, void* prepared, int threads);
};

struct Algorithm {
  const char* name;
  Direction direction;
  const char* summary;  // one line for explain()
  bool (*supports)(const ConvProblem&);
  // Predicted time in units of one core's fused multiply-adds at full vector speed.
  double (*cost)(const ConvProblem&, size_t item, bool prepared);
  size_t (*workspace)(const ConvProblem&, size_t item, int threads, bool prepared);
  size_t (*prepared_bytes)(const ConvProblem&, size_t item);  // 0: nothing to prepare
  Runner<float> f32;
  Runner<double> f64;
  bool sums_bias = false;  // weight: sums bias_grad too, on its way

  template <class T>
  const Runner<T>& runner() const {
    if constexpr (sizeof(T) == 4) {
      return f32;
    } else {
      return f64;
    }
  }
};

const std::vector<const Algorithm*>& algorithms();

std::vector<std::string> algorithm_names(Direction direction);

// The row called `name`, or for "auto" the cheapest that supports the problem within the workspace
// limit. Throws std::invalid_argument, prefixed with `caller`, listing the rows that would do.
const Algorithm& choose(const ConvProblem& p, Direction direction, const std::string& name,
                        size_t item, int threads, bool prepared, const char* caller);

}  // namespace fastconv
