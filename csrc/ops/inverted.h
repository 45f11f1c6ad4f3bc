// MobileNet's and EfficientNet's block as one step: a 1x1 convolution that widens, a depthwise
// one, squeeze and excitation (or none), a 1x1 convolution that narrows. The channels lie
// last in between, a few rows of the picture at a time, so that what is wide never leaves the
// caches.
#pragma once

#include <memory>

#include "plan.h"

namespace fastconv {

class Program;

struct InvertedPlans {
  Plan* expand = nullptr;
  Plan* depthwise = nullptr;
  std::shared_ptr<const Program> gate;  // from the channels' means to what scales them; or null
  Plan* project = nullptr;
};

class Inverted {
 public:
  // Null where the layers are not of this kind. The plans must outlive the block.
  static std::shared_ptr<const Inverted> of(const InvertedPlans& plans, const Shape& input);

  virtual ~Inverted() = default;
  // x, y and residual (or null) are dense, as the plans' inputs and outputs.
  virtual void run(const void* x, const void* residual, void* y) const = 0;
};

}  // namespace fastconv
