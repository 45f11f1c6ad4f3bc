// A batch norm and the 1x1 convolution behind it, as in DenseNet, some pixels at a time: what lies
// between them never leaves the caches. Also a 1x1 convolution alone that makes few channels of
// many, by shares of the pixels.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "plan.h"

namespace fastconv {

// y = the norm of `count` elements x of channel c.
using ChannelNorm = std::function<void(const void* x, int64_t c, int64_t count, void* y)>;

class NormConv {
 public:
  // norm: or none. Null where the convolution is not of this kind. The plan must outlive it.
  static std::shared_ptr<const NormConv> of(const ChannelNorm& norm, Plan& plan,
                                            const Shape& input);

  virtual ~NormConv() = default;
  // rows: where each channel of each image lies; without a norm, where the dense input lies.
  // residual (or null) and y are dense, as the plan's output.
  virtual void run(const std::vector<const char*>& rows, const void* residual, void* y) const = 0;
};

}  // namespace fastconv
