// Compiled once per instruction set; exports one table.
#include "pool_at.h"

namespace fastconv {
extern const PoolTable FASTCONV_TABLE(pool);
const PoolTable FASTCONV_TABLE(pool) = {pool_table<float>(), pool_table<double>()};
}  // namespace fastconv
