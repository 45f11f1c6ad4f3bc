// Compiled once per instruction set; exports one table.
#include "resample.h"

namespace fastconv {
extern const ResampleTable FASTCONV_TABLE(resample);
const ResampleTable FASTCONV_TABLE(resample) = {resample_table<float>(), resample_table<double>()};
}  // namespace fastconv
