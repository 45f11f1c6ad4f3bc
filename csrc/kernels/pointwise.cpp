// Compiled once per instruction set; exports one table.
#include "pointwise.h"

namespace fastconv {
extern const PointwiseTable FASTCONV_TABLE(pointwise);
const PointwiseTable FASTCONV_TABLE(pointwise) = {pointwise_table<float>(),
                                                  pointwise_table<double>()};
}  // namespace fastconv
