// The im2col rows, forward and input gradient: panels packed straight from the image, one matrix
// product per group. And the direct rows: the same product without packing, for few channels.
#include <algorithm>

#include "memory.h"
#include "parallel.h"
#include "rows.h"
#include "tap_conv.h"
#include "tap_cost.h"
#include "tap_lower.h"

namespace fastconv {
namespace {

template <class T>
void run_forward(const ConvCall<T>& call, bool packed) {
  TapConv<T> t = lower_forward<T>(*call.p);
  t.packed = packed;
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
  const ConvProblem& p = *call.p;
  const bool fills = fills_up(p);
  TapConv<T> t = lower_input<T>(fills ? filled_up(p) : p);
  t.packed = packed;
  t.src = call.grad;
  t.w = call.weight;
  t.dst = call.result;
  clamp_range(Activation::none, &t.lo, &t.hi);
  Carver carver(call.scratch);
  if (fills) {
    const ConvProblem q = filled_up(p);
    T* const filters = carver.take<T>(q.k * q.ker[2]);
    for (int64_t k = 0; k < p.k; ++k) {
      T* const to = std::fill_n(filters + k * q.ker[2], q.pad_lo[2] - p.pad_lo[2], T(0));
      T* const end = std::copy_n(call.weight + k * p.ker[2], p.ker[2], to);
      std::fill(end, filters + (k + 1) * q.ker[2], T(0));
    }
    t.w = filters;
  }
  tap_conv(t, carver.take<char>(0), call.threads);
}

bool any_problem(const ConvProblem&) {
  return true;
}
size_t nothing(const ConvProblem&, size_t) {
  return 0;
}

template <Direction D, bool packed>
double cost(const ConvProblem& p, size_t item, bool) {
  return packed ? im2col_cost(p, D, item) : direct_cost(p, D, item);
}
template <class T>
size_t bytes(TapConv<T> t, bool packed, int threads) {
  t.packed = packed;
  return tap_conv_bytes(t, threads);
}
template <bool packed>
size_t bytes_forward(const ConvProblem& p, size_t item, int threads, bool) {
  return item == 4 ? bytes(lower_forward<float>(p), packed, threads)
                   : bytes(lower_forward<double>(p), packed, threads);
}
template <bool packed>
size_t bytes_input(const ConvProblem& given, size_t item, int threads, bool) {
  const bool fills = fills_up(given);
  const ConvProblem p = fills ? filled_up(given) : given;
  const size_t own = Carver::bytes<char>(0) +
                     (fills ? Carver::bytes<char>(p.k * p.ker[2] * static_cast<int64_t>(item)) : 0);
  return own + (item == 4 ? bytes(lower_input<float>(p), packed, threads)
                          : bytes(lower_input<double>(p), packed, threads));
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
                                  cost<Direction::forward, true>,
                                  bytes_forward<true>,
                                  nothing,
                                  {forward<float, true>, nullptr},
                                  {forward<double, true>, nullptr}};
const Algorithm kIm2colInput = {"im2col",
                                Direction::input,
                                "implicit GEMM over the phases of the stride",
                                any_problem,
                                cost<Direction::input, true>,
                                bytes_input<true>,
                                nothing,
                                {input<float, true>, nullptr},
                                {input<double, true>, nullptr}};
const Algorithm kDirectForward = {"direct",
                                  Direction::forward,
                                  "register tiles over padded rows, for few channels",
                                  any_problem,
                                  cost<Direction::forward, false>,
                                  bytes_forward<false>,
                                  nothing,
                                  {forward<float, false>, nullptr},
                                  {forward<double, false>, nullptr}};
const Algorithm kDirectInput = {"direct",
                                Direction::input,
                                "register tiles over padded rows of the gradient",
                                any_problem,
                                cost<Direction::input, false>,
                                bytes_input<false>,
                                nothing,
                                {input<float, false>, nullptr},
                                {input<double, false>, nullptr}};

}  // namespace fastconv
