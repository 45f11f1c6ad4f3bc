// A 1x1 convolution of pictures of few pixels, channels last in between: vectors of outputs, and
// pixels one by one, of which none is left over. The weights come from memory once, fetched ahead.
#pragma once

#include <memory>

#include "plan.h"

namespace fastconv {

class FewPixels {
 public:
  // Null where the convolution is not of this kind. The plan must outlive it.
  static std::shared_ptr<const FewPixels> of(Plan& plan, const Shape& input);

  virtual ~FewPixels() = default;
  // x, y and residual (or null) are dense, as the plan's input and output.
  virtual void run(const void* x, const void* residual, void* y) const = 0;
};

}  // namespace fastconv
