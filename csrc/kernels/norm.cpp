// Compiled once per instruction set; exports one table.
#include "norm.h"

#include "norm_last.h"

namespace fastconv {
extern const NormTable FASTCONV_TABLE(norm);
const NormTable FASTCONV_TABLE(norm) = {norm_table<float>(), norm_table<double>(),
                                        norm_last_table<float>(), norm_last_table<double>()};
}  // namespace fastconv
