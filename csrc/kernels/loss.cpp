// Compiled once per instruction set; exports one table.
#include "loss.h"

namespace fastconv {
extern const LossTable FASTCONV_TABLE(loss);
const LossTable FASTCONV_TABLE(loss) = {loss_table<float>(), loss_table<double>()};
}  // namespace fastconv
