// A convolution that Winograd computes as another one, on copies of its arrays. A lowering L says
// which, and how arrays come to it and back:
//
// - problem(p): the problem that is run, q; its weights are p's as they lie.
// - copy_cost(p, lanes): of one element, in cycles.
// - take_input(p, q, input, to, threads): p's input as q's.
// - take_grad(p, q, grad, to, threads): the gradient of the output likewise.
// - put_output(p, q, from, residual, lo, hi, result, threads): result = clamp(from + residual).
// - put_input(p, q, from, result, threads): the input's gradient.
#pragma once

#include "memory.h"
#include "rows.h"
#include "winograd.h"

namespace fastconv::winograd {

template <int M, Direction D>
const Algorithm& plain_row() {
  if constexpr (D == Direction::forward) {
    return M == 4 ? kWinogradForward : kWinograd2Forward;
  } else if constexpr (D == Direction::input) {
    return M == 4 ? kWinogradInput : kWinograd2Input;
  } else {
    return M == 4 ? kWinogradWeight : kWinograd2Weight;
  }
}

inline size_t input_count(const ConvProblem& q) {
  return static_cast<size_t>(q.n * q.c * q.in_plane());
}
inline size_t output_count(const ConvProblem& q) {
  return static_cast<size_t>(q.n * q.k * q.out_plane());
}

template <class L, class T, int M, Direction D>
void run_lowered(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  const ConvProblem q = L::problem(p);
  Carver carver(call.scratch);
  T* const input = carver.take<T>(input_count(q));
  T* const output = carver.take<T>(output_count(q));
  ConvCall<T> lowered = call;
  lowered.p = &q;
  lowered.input = input;
  lowered.grad = output;
  lowered.residual = nullptr;
  lowered.activation = Activation::none;
  lowered.scratch = carver.take<char>(0);
  if (D != Direction::input) L::take_input(p, q, call.input, input, call.threads);
  if (D != Direction::forward) L::take_grad(p, q, call.grad, output, call.threads);
  if (D == Direction::forward) lowered.result = output;
  if (D == Direction::input) lowered.result = input;
  plain_row<M, D>().template runner<T>().run(lowered);
  if (D == Direction::forward) {
    T lo, hi;
    clamp_range(call.activation, &lo, &hi);
    L::put_output(p, q, output, call.residual, lo, hi, call.result, call.threads);
  } else if (D == Direction::input) {
    L::put_input(p, q, input, call.result, call.threads);
  }
}

template <class L, class T, int M, Direction D>
void prepare_lowered(const ConvProblem& p, const T* weight, void* prepared, int threads) {
  plain_row<M, D>().template runner<T>().prepare(L::problem(p), weight, prepared, threads);
}

template <class L, int M, Direction D>
size_t lowered_bytes(const ConvProblem& p, size_t item, int threads, bool prepared) {
  const ConvProblem q = L::problem(p);
  const size_t in = input_count(q), out = output_count(q);
  return (item == 4 ? Carver::bytes<float>(in) + Carver::bytes<float>(out)
                    : Carver::bytes<double>(in) + Carver::bytes<double>(out)) +
         Carver::bytes<char>(0) + plain_row<M, D>().workspace(q, item, threads, prepared);
}

template <class L, int M, Direction D>
size_t lowered_prepared_bytes(const ConvProblem& p, size_t item) {
  return plain_row<M, D>().prepared_bytes(L::problem(p), item);
}

template <class L, int M, Direction D>
double lowered_cost(const ConvProblem& p, size_t item, bool prepared) {
  const ConvProblem q = L::problem(p);
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  const double copied = static_cast<double>(input_count(q) + output_count(q));
  return plain_row<M, D>().cost(q, item, prepared) + copied * L::copy_cost(p, lanes);
}

template <class L, int M, Direction D>
constexpr Algorithm lowered_row(const char* name, const char* summary) {
  constexpr bool prepares = D != Direction::weight;
  return {name,
          D,
          summary,
          L::supports,
          lowered_cost<L, M, D>,
          lowered_bytes<L, M, D>,
          lowered_prepared_bytes<L, M, D>,
          {run_lowered<L, float, M, D>, prepares ? prepare_lowered<L, float, M, D> : nullptr},
          {run_lowered<L, double, M, D>, prepares ? prepare_lowered<L, double, M, D> : nullptr},
          D == Direction::weight};
}

template <class L, int M>
constexpr Directions lowered_rows(const char* name, const char* summary) {
  return {lowered_row<L, M, Direction::forward>(name, summary),
          lowered_row<L, M, Direction::input>(name, summary),
          lowered_row<L, M, Direction::weight>(name, summary)};
}

}  // namespace fastconv::winograd
