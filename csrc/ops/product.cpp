#include "product.h"

#include <stdexcept>

#include "conv.h"
#include "parallel.h"

namespace fastconv {
namespace {

// One image, in each group `c` channels of `length` pixels through `k` filters of one pixel.
ConvProblem pointwise_problem(int64_t groups, int64_t c, int64_t length, int64_t k) {
  ConvArgs args;
  args.name = "matmul";
  args.rank = 1;
  args.groups = groups;
  for (const int64_t extent : {int64_t{1}, checked_mul(groups, c), length}) {
    args.input.push_back(extent);
  }
  for (const int64_t extent : {checked_mul(groups, k), c, int64_t{1}}) {
    args.weight.push_back(extent);
  }
  args.stride = args.dilation = Shape(1, 1);
  args.padding.before = args.padding.after = Shape(0, 1);
  return make_conv_problem(args);
}

template <class T>
void run(const ConvProblem& p, Direction direction, ConvCall<T> call) {
  call.p = &p;
  call.threads = useful_threads(p, num_threads());
  convolve(call, choose(p, direction, "auto", sizeof(T), call.threads, false, "matmul"));
}

}  // namespace

template <class T>
void matrix_product(const T* a, Lies a_lies, const T* b, Lies b_lies, int64_t batch, int64_t m,
                    int64_t n, int64_t k, T* out) {
  ConvCall<T> call;
  call.result = out;
  if (a_lies == Lies::columns) {
    // a is the transpose of (K, M): filters over M channels, and b a gradient at their K outputs.
    if (b_lies == Lies::columns) throw std::invalid_argument("matmul: both lie by columns");
    call.weight = a;
    call.grad = b;
    run(pointwise_problem(batch, m, n, k), Direction::input, call);
  } else if (b_lies == Lies::columns) {
    // b is the transpose of (N, K): N channels of K pixels beside M gradients of K pixels.
    call.grad = a;
    call.input = b;
    run(pointwise_problem(batch, n, k, m), Direction::weight, call);
  } else {
    call.weight = a;
    call.input = b;
    run(pointwise_problem(batch, k, n, m), Direction::forward, call);
  }
}

template void matrix_product(const float*, Lies, const float*, Lies, int64_t, int64_t, int64_t,
                             int64_t, float*);
template void matrix_product(const double*, Lies, const double*, Lies, int64_t, int64_t, int64_t,
                             int64_t, double*);

}  // namespace fastconv
