// Pools over whole batches: planes are split between threads.
#pragma once

#include "../pool_problem.h"

namespace fastconv {

// What the sum of an average pool's window is divided by.
struct AverageRule {
  bool count_padding = true;  // padding counts as elements; overhang beyond it never does
  int64_t divisor = 0;        // if not 0, this instead of a count
};

// y = the largest element of each window; index (may be null) = its position in its plane. The
// first of equals wins; a NaN beats all, the last NaN wins; a window that meets no element gives
// -inf and -1.
template <class T>
void max_pool(const PoolProblem& p, const T* x, T* y, int64_t* index, int threads);

// dx = dy at the positions of index, summed; nowhere for -1. False, and dx is worthless, if a
// position is neither -1 nor inside the plane.
template <class T>
bool max_pool_backward(const PoolProblem& p, const T* dy, const int64_t* index, T* dx, int threads);

template <class T>
void average_pool(const PoolProblem& p, const AverageRule& rule, const T* x, T* y, int threads);
template <class T>
void average_pool_backward(const PoolProblem& p, const AverageRule& rule, const T* dy, T* dx,
                           int threads);

}  // namespace fastconv
