// The geometry of one pooling problem, validated once. As in problem.h, 1-D and 2-D are 3-D with
// leading axes of extent 1.
#pragma once

#include "contracts/pool.h"
#include "problem.h"

namespace fastconv {

// Arguments as given, one value per spatial axis.
struct PoolArgs {
  const char* name = "max_pool2d";  // of the public function, for messages
  int rank = 2;
  Shape input;  // the full shape, batched or not
  Shape kernel, stride, dilation;
  Padding padding;
  bool ceil = false;  // round the number of windows up
};

struct PoolProblem : PoolWindows {
  int rank = 2;
  int64_t n = 1;  // images
  int64_t c = 1;  // channels
  bool batched = true;

  int64_t planes() const { return n * c; }
  int64_t in_plane() const { return in[0] * in[1] * in[2]; }
  int64_t out_plane() const { return out[0] * out[1] * out[2]; }
  // The user's shapes: (N, C, spatial...) without the axes that the user did not give.
  Shape input_shape() const;
  Shape output_shape() const;
};

// Throws std::invalid_argument, naming the argument, what was expected and what came.
PoolProblem make_pool_problem(const PoolArgs& args);

// The number of windows along one axis. Rounding up may add a last window that hangs over the
// padding after the input, but that window has to begin inside the input or the padding before it.
// Not positive where the window does not fit. Checked.
int64_t pool_output_size(int64_t size, int64_t kernel, int64_t stride, int64_t before,
                         int64_t after, int64_t dilation, bool ceil);

}  // namespace fastconv
