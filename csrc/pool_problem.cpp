#include "pool_problem.h"

namespace fastconv {
namespace {

[[noreturn]] void refuse(const PoolArgs& a, const std::string& what) {
  throw std::invalid_argument(std::string(a.name) + ": " + what);
}

const char* input_axes(int rank) {
  return rank == 1   ? "(N, C, L) or (C, L)"
         : rank == 2 ? "(N, C, H, W) or (C, H, W)"
                     : "(N, C, D, H, W) or (C, D, H, W)";
}

Shape user_shape(const PoolProblem& p, const int64_t (&spatial)[3]) {
  Shape shape;
  if (p.batched) shape.push_back(p.n);
  shape.push_back(p.c);
  for (int i = 3 - p.rank; i < 3; ++i) shape.push_back(spatial[i]);
  return shape;
}

void check_positive(const PoolArgs& a, const char* what, const Shape& v) {
  for (int64_t x : v) {
    if (x <= 0) refuse(a, std::string(what) + " must be positive, but got " + shape_text(v));
  }
}

int64_t effective(const PoolArgs& a, int axis) {
  return checked_add(checked_mul(a.dilation[axis], a.kernel[axis] - 1), 1);
}

// One amount for both sides may be half the window at most (PyTorch's rule); pairs may be anything
// that leaves every window something besides the padding of one side.
void check_padding(const PoolArgs& a) {
  const Shape &before = a.padding.before, &after = a.padding.after;
  const auto given = [&] {
    return a.padding.pairs ? shape_text(before) + " before and " + shape_text(after) + " after"
                           : shape_text(before);
  };
  Shape span;
  for (int i = 0; i < a.rank; ++i) span.push_back(effective(a, i));
  for (int i = 0; i < a.rank; ++i) {
    const int64_t most = before[i] > after[i] ? before[i] : after[i];
    if (before[i] < 0 || after[i] < 0)
      refuse(a, "padding must be non-negative, but got " + given());
    if (a.padding.pairs ? most >= span[i] : most > span[i] / 2) {
      refuse(a, std::string("padding must be ") +
                    (a.padding.pairs ? "smaller than" : "at most half of") +
                    " the effective kernel size " + shape_text(span) + ", but got " + given());
    }
  }
}

}  // namespace

Shape PoolProblem::input_shape() const {
  return user_shape(*this, in);
}
Shape PoolProblem::output_shape() const {
  return user_shape(*this, out);
}

int64_t pool_output_size(int64_t size, int64_t kernel, int64_t stride, int64_t before,
                         int64_t after, int64_t dilation, bool ceil) {
  const int64_t span = checked_add(checked_mul(dilation, kernel - 1), 1);
  const int64_t room = checked_add(checked_add(size, before), after) - span;
  int64_t windows = room / stride - (room % stride < 0) + 1;
  if (ceil && room % stride != 0 && checked_mul(windows, stride) < size + before) ++windows;
  return windows;
}

PoolProblem make_pool_problem(const PoolArgs& a) {
  const int rank = a.rank;
  const int dims = a.input.size();
  if (dims != rank + 1 && dims != rank + 2) {
    refuse(a, std::string("input must have shape ") + input_axes(rank) + ", but got shape " +
                  shape_text(a.input));
  }
  PoolProblem p;
  p.rank = rank;
  p.batched = dims == rank + 2;
  const int64_t* in = a.input.begin() + (p.batched ? 1 : 0);  // C, spatial...
  p.n = p.batched ? a.input[0] : 1;
  p.c = in[0];
  for (int i = 0; i <= rank; ++i) {
    if (in[i] <= 0) {
      refuse(a, "input must have at least one channel and a positive spatial size, but got shape " +
                    shape_text(a.input));
    }
  }
  check_positive(a, "kernel_size", a.kernel);
  check_positive(a, "stride", a.stride);
  check_positive(a, "dilation", a.dilation);
  try {
    check_padding(a);
    bool fits = true;
    Shape padded;
    for (int i = 0; i < rank; ++i) {
      const int d = 3 - rank + i;
      p.in[d] = in[1 + i];
      p.ker[d] = a.kernel[i];
      p.stride[d] = a.stride[i];
      p.dil[d] = a.dilation[i];
      p.pad_lo[d] = a.padding.before[i];
      p.pad_hi[d] = a.padding.after[i];
      p.out[d] = pool_output_size(p.in[d], p.ker[d], p.stride[d], p.pad_lo[d], p.pad_hi[d],
                                  p.dil[d], a.ceil);
      padded.push_back(checked_add(checked_add(p.in[d], p.pad_lo[d]), p.pad_hi[d]));
      fits = fits && p.out[d] > 0;
    }
    if (!fits) {
      refuse(a, "kernel_size " + shape_text(a.kernel) + " with dilation " + shape_text(a.dilation) +
                    " is larger than the padded input of size " + shape_text(padded));
    }
    // Every array must be addressable in bytes, and every position that a window touches must be
    // a number.
    checked_mul(checked_product(a.input), 16);
    checked_mul(checked_product(p.output_shape()), 16);
    for (int i = 0; i < rank; ++i) {
      const int d = 3 - rank + i;
      checked_add(checked_mul(p.out[d], p.stride[d]), checked_mul(p.ker[d], p.dil[d]));
    }
  } catch (const std::overflow_error&) {
    refuse(a, "sizes are too large: input of shape " + shape_text(a.input) + ", kernel_size " +
                  shape_text(a.kernel) + " with this padding, stride and dilation");
  }
  return p;
}

}  // namespace fastconv
