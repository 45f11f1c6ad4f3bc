#include "problem.h"

namespace fastconv {

int64_t checked_add(int64_t a, int64_t b) {
  int64_t r;
  if (__builtin_add_overflow(a, b, &r)) throw std::overflow_error("size too large");
  return r;
}

int64_t checked_mul(int64_t a, int64_t b) {
  int64_t r;
  if (__builtin_mul_overflow(a, b, &r)) throw std::overflow_error("size too large");
  return r;
}

int64_t checked_product(const Shape& shape) {
  int64_t r = 1;
  for (int64_t s : shape) r = checked_mul(r, s);
  return r;
}

std::string shape_text(const Shape& shape) {
  std::string s = "(";
  for (int i = 0; i < shape.size(); ++i) {
    if (i) s += ", ";
    s += std::to_string(shape[i]);
  }
  return s + (shape.size() == 1 ? ",)" : ")");
}

bool ConvProblem::padded() const {
  for (int i = 0; i < 3; ++i) {
    if (pad_lo[i] || pad_hi[i]) return true;
  }
  return false;
}

double ConvProblem::flops() const {
  return 2.0 * static_cast<double>(n) * static_cast<double>(k) * static_cast<double>(out_plane()) *
         static_cast<double>(reduction());
}

namespace {

Shape user_shape(const ConvProblem& p, int64_t channels, const Dims& spatial) {
  Shape shape;
  if (p.batched) shape.push_back(p.n);
  shape.push_back(channels);
  for (int i = 3 - p.rank; i < 3; ++i) shape.push_back(spatial[i]);
  return shape;
}

}  // namespace

Shape ConvProblem::input_shape() const {
  return user_shape(*this, c, in);
}
Shape ConvProblem::output_shape() const {
  return user_shape(*this, k, out);
}

Shape ConvProblem::weight_shape() const {
  Shape shape;
  shape.push_back(k);
  shape.push_back(cg());
  for (int i = 3 - rank; i < 3; ++i) shape.push_back(ker[i]);
  return shape;
}

int64_t conv_output_size(int64_t size, int64_t kernel, int64_t stride, int64_t before,
                         int64_t after, int64_t dilation) {
  const int64_t span = checked_add(checked_mul(dilation, kernel - 1), 1);
  const int64_t padded = checked_add(checked_add(size, before), after);
  if (padded < span) return 0;
  return (padded - span) / stride + 1;
}

namespace {

[[noreturn]] void refuse(const ConvArgs& a, const std::string& what) {
  throw std::invalid_argument(std::string(a.name) + ": " + what);
}

const char* input_axes(int rank) {
  return rank == 1   ? "(N, C, L) or (C, L)"
         : rank == 2 ? "(N, C, H, W) or (C, H, W)"
                     : "(N, C, D, H, W) or (C, D, H, W)";
}

const char* weight_axes(int rank) {
  return rank == 1   ? "(out_channels, in_channels/groups, kL)"
         : rank == 2 ? "(out_channels, in_channels/groups, kH, kW)"
                     : "(out_channels, in_channels/groups, kD, kH, kW)";
}

void check_channels(const ConvArgs& a, int64_t channels) {
  const int64_t k = a.weight[0], cg = a.weight[1];
  if (a.groups <= 0)
    refuse(a, "groups must be a positive integer, but got " + std::to_string(a.groups));
  if (k <= 0)
    refuse(a,
           "weight must have at least one output channel, but got shape " + shape_text(a.weight));
  if (k % a.groups) {
    refuse(a, "weight has " + std::to_string(k) + " output channels, which groups=" +
                  std::to_string(a.groups) + " does not divide");
  }
  if (channels % a.groups || channels / a.groups != cg) {
    refuse(a, "weight has " + std::to_string(cg) + " input channels per group, but input has " +
                  std::to_string(channels) + " channels and groups=" + std::to_string(a.groups));
  }
  if (a.has_bias && (a.bias.size() != 1 || a.bias[0] != k)) {
    refuse(a, "bias must have shape (" + std::to_string(k) + ",), but got shape " +
                  shape_text(a.bias));
  }
}

void check_positive(const ConvArgs& a, const char* what, const Shape& v) {
  for (int64_t x : v) {
    if (x <= 0) refuse(a, std::string(what) + " must be positive, but got " + shape_text(v));
  }
}

// Total padding of "same" is dilation * (kernel - 1), the odd one at the end (PyTorch). With a
// stride, same_upper and same_lower take what the ceil(size / stride) windows need (ONNX,
// TensorFlow).
void same_padding(const ConvArgs& a, int axis, int64_t size, int64_t* lo, int64_t* hi) {
  const int64_t span = checked_mul(a.dilation[axis], a.weight[2 + axis] - 1);
  int64_t total = span;
  if (a.padding.mode == Padding::same) {
    if (a.stride[axis] != 1) {
      refuse(a, "padding='same' needs stride 1, but got stride " + shape_text(a.stride) +
                    " (see padding='same_upper' and 'same_lower')");
    }
  } else {
    const int64_t s = a.stride[axis];
    const int64_t windows = size / s + (size % s != 0);
    total = checked_add(checked_mul(windows - 1, s), span + 1) - size;
    if (total < 0) total = 0;
  }
  const bool lower = a.padding.mode == Padding::same_lower;
  *lo = lower ? total - total / 2 : total / 2;
  *hi = total - *lo;
}

}  // namespace

ConvProblem make_conv_problem(const ConvArgs& a) {
  const int rank = a.rank;
  const int dims = a.input.size();
  if (dims != rank + 1 && dims != rank + 2) {
    refuse(a, std::string("input must have shape ") + input_axes(rank) + ", but got shape " +
                  shape_text(a.input));
  }
  if (a.weight.size() != rank + 2) {
    refuse(a, std::string("weight must have shape ") + weight_axes(rank) + ", but got shape " +
                  shape_text(a.weight));
  }
  ConvProblem p;
  p.rank = rank;
  p.batched = dims == rank + 2;
  const int64_t* in = a.input.begin() + (p.batched ? 1 : 0);  // C, spatial...
  p.n = p.batched ? a.input[0] : 1;
  p.c = in[0];
  p.k = a.weight[0];
  p.groups = a.groups;
  check_channels(a, p.c);
  check_positive(a, "stride", a.stride);
  check_positive(a, "dilation", a.dilation);
  for (int i = 0; i < rank; ++i) {
    if (a.weight[2 + i] <= 0) {
      refuse(a, "kernel size must be greater than zero, but got weight of shape " +
                    shape_text(a.weight));
    }
    if (in[1 + i] <= 0) {
      refuse(a, "input must have a positive spatial size, but got shape " + shape_text(a.input));
    }
  }
  if (a.padding.mode == Padding::explicit_) {
    for (int i = 0; i < rank; ++i) {
      if (a.padding.before[i] < 0 || a.padding.after[i] < 0) {
        refuse(a, "padding must be non-negative, but got " +
                      shape_text(a.padding.before[i] < 0 ? a.padding.before : a.padding.after));
      }
    }
  }
  try {
    for (int i = 0; i < rank; ++i) {
      const int d = 3 - rank + i;
      p.in[d] = in[1 + i];
      p.ker[d] = a.weight[2 + i];
      p.stride[d] = a.stride[i];
      p.dil[d] = a.dilation[i];
      if (a.padding.mode == Padding::explicit_) {
        p.pad_lo[d] = a.padding.before[i];
        p.pad_hi[d] = a.padding.after[i];
      } else {
        same_padding(a, i, p.in[d], &p.pad_lo[d], &p.pad_hi[d]);
      }
      p.out[d] =
          conv_output_size(p.in[d], p.ker[d], p.stride[d], p.pad_lo[d], p.pad_hi[d], p.dil[d]);
    }
    for (int d = 3 - rank; d < 3; ++d) {
      if (p.out[d] > 0) continue;
      Shape padded, kernel, dilation;
      for (int e = 3 - rank; e < 3; ++e) {
        padded.push_back(p.in[e] + p.pad_lo[e] + p.pad_hi[e]);
        kernel.push_back(p.ker[e]);
        dilation.push_back(p.dil[e]);
      }
      refuse(a, "kernel of size " + shape_text(kernel) + " with dilation " + shape_text(dilation) +
                    " is larger than the padded input of size " + shape_text(padded));
    }
    // Every array and every padded plane must be addressable in bytes, whatever the element type.
    checked_mul(checked_product(a.input), 16);
    checked_mul(checked_product(a.weight), 16);
    checked_mul(checked_product(p.output_shape()), 16);
    int64_t plane = 16;
    for (int d = 0; d < 3; ++d) {
      plane = checked_mul(plane, checked_add(checked_add(p.in[d], p.pad_lo[d]), p.pad_hi[d]));
    }
    checked_mul(checked_mul(p.c ? p.c : 1, plane), p.taps());
  } catch (const std::overflow_error&) {
    refuse(a, "sizes are too large: input of shape " + shape_text(a.input) + ", weight of shape " +
                  shape_text(a.weight) + " with this padding, stride and dilation");
  }
  return p;
}

}  // namespace fastconv
