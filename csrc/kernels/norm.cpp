// Compiled once per instruction set; exports one table.
#include "norm.h"

namespace fastconv {
extern const NormTable FASTCONV_TABLE(norm);
const NormTable FASTCONV_TABLE(norm) = {norm_table<float>(), norm_table<double>()};
}  // namespace fastconv
