// Pools over whole batches: planes are split between threads.
#pragma once

#include "../pool_problem.h"

namespace fastconv {

// What the sum of an average pool's window is divided by.
struct AverageRule {
  bool count_padding = true;  // padding counts as elements; overhang beyond it never does
  int64_t divisor = 0;        // if not 0, this instead of a count
};

// Where the largest elements of windows are, in integers of `size` bytes. Of one byte: which tap of
// its window, in row-major order, 255 if the window meets no element. Of 4 or 8: the position in
// its plane, -1 if there is none.
struct Where {
  void* at = nullptr;
  int size = 0;
};

// The least size that serves.
int where_size(const PoolProblem& p);

// y = the largest element of each window; `where` (may be null) = where it is. The first of equals
// wins; a NaN beats all, the last NaN wins; a window that meets no element gives -inf.
template <class T>
void max_pool(const PoolProblem& p, const T* x, T* y, Where where, int threads);

// dx = dy at the positions of index, summed; nowhere for -1. False, and dx is worthless, if a
// position is neither -1 nor inside the plane. All arrays are channels-last where `last`.
template <class T>
bool max_pool_backward(const PoolProblem& p, bool last, const T* dy, const int64_t* index, T* dx,
                       int threads);

// The same from what max_pool or max_pool_last itself said, which is not checked.
template <class T>
void max_pool_taped_backward(const PoolProblem& p, bool last, const T* dy, Where where, T* dx,
                             int threads);

template <class T>
void average_pool(const PoolProblem& p, const AverageRule& rule, const T* x, T* y, int threads);
template <class T>
void average_pool_backward(const PoolProblem& p, const AverageRule& rule, const T* dy, T* dx,
                           int threads);

}  // namespace fastconv
