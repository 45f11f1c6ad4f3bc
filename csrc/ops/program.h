// A chain of operators in evaluation mode, each reading what the one before it wrote, for one input
// shape: everything is checked and sized when it is put together, and a call runs the whole chain
// between two pieces of scratch that stay in the caches.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "../pool_problem.h"
#include "few_pixels.h"
#include "inverted.h"
#include "norm_conv.h"
#include "plan.h"
#include "pool.h"

namespace fastconv {

// Dense arrays that lie side by side along the channels: (N, channels, ...).
struct Part {
  const void* data;
  int64_t channels;
};

class Program {
 public:
  // Of arrays of this shape whose elements have `item` bytes (4 or 8).
  Program(const Shape& input, size_t item);

  // Each adds a step, and throws what the operator would. The plan must outlive the program.
  void convolve(Plan& plan);
  void linear(Plan& plan);  // on (N, C), by a plan of rank 1 whose window is one element
  // Only the shapes of a convolution: the program then tells its output's shape and cannot run.
  void outline(ConvArgs args);
  void max_pool(PoolArgs args);
  void average_pool(PoolArgs args, const AverageRule& rule);
  // Equal windows side by side, `sizes` of them along each spatial axis; 0 keeps an extent.
  void adaptive_average_pool(const Shape& sizes);
  // y = activation(x * scale[c] + shift[c]); activation: none, relu or relu6.
  void normalize(const std::vector<double>& scale, const std::vector<double>& shift,
                 Activation activation);
  void unary(int index, double a, double b);
  void flatten(int first, int last);  // these axes as one
  // Every channel times what `gate` makes of the means of an image's channels, (1, C, 1, ...) both.
  void excite(std::shared_ptr<const Program> gate);
  // Steps that are quicker as one become one. After the last step.
  void fuse();

  const Shape& input_shape() const { return input_; }
  const Shape& output_shape() const { return shape_; }
  size_t item() const { return item_; }
  bool runnable() const { return runnable_ && !steps_.empty(); }
  bool takes_residual() const { return !steps_.empty() && steps_.back().takes_residual; }
  // Whether the result may take the residual's place, even if the input lies there too.
  bool adds_in_place() const { return steps_.size() > 1 && steps_.back().adds_in_place; }

  // parts: the input, in one piece or cut along the channels. residual, dense, of the output's
  // shape or null: added before the activation of the last step where that takes one. y: dense.
  void run(const std::vector<Part>& parts, const void* residual, void* y) const;

 private:
  using Rows = std::vector<const char*>;
  struct Step {
    std::function<void(const void* x, const void* residual, void* y)> run;
    // Instead, on an input whose channels may lie anywhere: a pointer for each of each image.
    std::function<void(const Rows& x, const void* residual, void* y)> scattered;
    ChannelNorm norm;  // of a batch norm
    bool in_place = false;
    bool takes_residual = false;
    bool adds_in_place = false;  // the residual may be where the result is to be
    size_t bytes = 0;            // of the result
    Shape input;
    Plan* plan = nullptr;                 // of a convolution
    std::shared_ptr<const Program> gate;  // of an excitation
  };
  void add(Step step, const Shape& output);
  std::shared_ptr<const Inverted> inverted_at(size_t i, size_t* used) const;
  std::shared_ptr<const NormConv> norm_conv_at(size_t i) const;
  std::shared_ptr<const FewPixels> few_at(size_t i) const;
  std::shared_ptr<const NormConv> conv_at(size_t i) const;
  static Rows rows_of(const std::vector<Part>& parts, int64_t images, size_t plane);
  template <class T>
  void add_normalize(const std::vector<double>& scale, const std::vector<double>& shift,
                     Activation activation);

  Shape input_, shape_;
  size_t item_;
  bool runnable_ = true;
  std::vector<Step> steps_;
};

}  // namespace fastconv
