// Pools of channels-last arrays: (N, spatial..., C) in memory. Every element of a window is a row
// of channels, so a window is one stack of rows and nothing is copied.
#pragma once

#include "pool.h"

namespace fastconv {

// Whether these functions do a problem.
bool fits_channels_last(const PoolProblem& p);

// As the functions of pool.h, all arrays channels-last.
template <class T>
void max_pool_last(const PoolProblem& p, const T* x, T* y, Where where, int threads);
template <class T>
void average_pool_last(const PoolProblem& p, const AverageRule& rule, const T* x, T* y,
                       int threads);
template <class T>
void average_pool_backward_last(const PoolProblem& p, const AverageRule& rule, const T* dy, T* dx,
                                int threads);

}  // namespace fastconv
