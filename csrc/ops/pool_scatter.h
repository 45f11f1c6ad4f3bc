// The gradient of a maximum, window by window: any geometry.
#pragma once

#include "pool.h"

namespace fastconv {

// dx = the gradients at what `where` says, summed; all arrays channels-last where `last`. False,
// and dx is worthless, if a position is neither -1 nor inside its plane.
template <class T>
bool scatter_windows(const PoolProblem& p, bool last, const T* dy, Where where, T* dx, int threads);

}  // namespace fastconv
