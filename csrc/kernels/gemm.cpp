// Compiled once per instruction set; exports one table.
#include "gemm.h"

namespace fastconv {
extern const GemmTable FASTCONV_TABLE(gemm);
const GemmTable FASTCONV_TABLE(gemm) = {gemm_table<float>(), gemm_table<double>()};
}  // namespace fastconv
