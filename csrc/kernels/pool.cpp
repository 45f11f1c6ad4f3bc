// Compiled once per instruction set; exports one table.
#include "pool.h"

#include "pool_at.h"
#include "pool_backward.h"

namespace fastconv {
namespace {

template <class T>
constexpr PoolKernels<T> pool_table() {
  return {kLanes<T>,
          pool_rows<Max, T>,
          pool_rows<Sum, T>,
          max_rows_at<T>,
          pool_stack<Max, false, T>,
          max_stack_at<T>,
          max_stack_taps<T>,
          pool_stack<Sum, false, T>,
          pool_stack<Sum, true, T>,
          reduce_runs<Max, T>,
          reduce_runs<Sum, T>,
          select<T>,
          pick<T>,
          weave<T>};
}

}  // namespace

extern const PoolTable FASTCONV_TABLE(pool);
const PoolTable FASTCONV_TABLE(pool) = {pool_table<float>(), pool_table<double>()};
}  // namespace fastconv
