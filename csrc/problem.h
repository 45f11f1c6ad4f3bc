// The geometry of one convolution, validated once. 1-D and 2-D are 3-D with leading axes of
// extent 1, so no loop below knows about ranks.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace fastconv {

inline int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

using Dims = int64_t[3];  // (depth, height, width); unused leading axes are 1

// The extents of an array, without touching the heap. NumPy allows 64 axes.
struct Shape {
  int n = 0;
  int64_t v[64];
  Shape() = default;
  Shape(int64_t fill, int count) : n(count) {
    for (int i = 0; i < count; ++i) v[i] = fill;
  }
  void push_back(int64_t x) { v[n++] = x; }
  int size() const { return n; }
  int64_t operator[](int i) const { return v[i]; }
  int64_t& operator[](int i) { return v[i]; }
  const int64_t* begin() const { return v; }
  const int64_t* end() const { return v + n; }
  bool operator==(const Shape& o) const {
    if (n != o.n) return false;
    for (int i = 0; i < n; ++i) {
      if (v[i] != o.v[i]) return false;
    }
    return true;
  }
};

// A wrong type where a wrong value would be std::invalid_argument (TypeError, ValueError).
struct type_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Arithmetic that throws std::overflow_error instead of wrapping around.
int64_t checked_add(int64_t a, int64_t b);
int64_t checked_mul(int64_t a, int64_t b);
int64_t checked_product(const Shape& shape);

// "(1, 3, 8, 8)", and "(3,)" for one value, as Python prints them.
std::string shape_text(const Shape& shape);

// How the user gave padding: explicit amounts before and after each axis, or "same" in one of its
// three senses.
struct Padding {
  enum Mode { explicit_, same, same_upper, same_lower } mode = explicit_;
  Shape before, after;  // one value per axis; used by explicit_
  bool pairs = false;   // given as (before, after) pairs
};

// Arguments as given, one value per spatial axis.
struct ConvArgs {
  const char* name = "conv2d";  // of the public function, for messages
  int rank = 2;
  Shape input, weight;  // full shapes; input batched or not
  bool has_bias = false;
  Shape bias;
  Shape stride, dilation;
  Padding padding;
  int64_t groups = 1;
};

struct ConvProblem {
  int rank = 2;
  int64_t n = 1;  // images
  int64_t c = 1;  // input channels, all groups
  int64_t k = 1;  // output channels, all groups
  int64_t groups = 1;
  Dims in{1, 1, 1};   // input extent
  Dims ker{1, 1, 1};  // kernel extent: T, R, S
  Dims out{1, 1, 1};  // output extent: Z, P, Q
  Dims stride{1, 1, 1};
  Dims dil{1, 1, 1};
  Dims pad_lo{0, 0, 0};
  Dims pad_hi{0, 0, 0};
  bool batched = true;  // whether the user's input had a batch axis

  int64_t cg() const { return c / groups; }
  int64_t kg() const { return k / groups; }
  int64_t taps() const { return ker[0] * ker[1] * ker[2]; }
  int64_t in_plane() const { return in[0] * in[1] * in[2]; }
  int64_t out_plane() const { return out[0] * out[1] * out[2]; }
  int64_t reduction() const { return cg() * taps(); }
  bool unit_stride() const { return stride[0] * stride[1] * stride[2] == 1; }
  bool unit_dilation() const { return dil[0] * dil[1] * dil[2] == 1; }
  bool padded() const;
  double flops() const;  // multiplications and additions of the definition

  // The user's shapes: (N, C, spatial...) without the axes that the user did not give.
  Shape input_shape() const;
  Shape output_shape() const;
  Shape weight_shape() const;
};

// Throws std::invalid_argument, naming the argument, what was expected and what came.
ConvProblem make_conv_problem(const ConvArgs& args);

// floor((size + before + after - (dilation * (kernel - 1) + 1)) / stride) + 1, checked.
int64_t conv_output_size(int64_t size, int64_t kernel, int64_t stride, int64_t before,
                         int64_t after, int64_t dilation);

}  // namespace fastconv
