// The normalisations of norm.h for channels-last arrays (N, S, C): the same sets and the same
// arguments, sums over rows of channels.
#pragma once

#include "norm.h"

namespace fastconv {

template <class T>
void norm_statistics_last(const NormShape& shape, const T* x, T* mean, T* var, int threads);

template <class T>
void norm_apply_last(const NormShape& shape, const T* x, const T* mean, const T* var,
                     const T* weight, const T* bias, const T* residual, double eps, T lo, T hi,
                     T* y, int threads);

template <class T>
void norm_sets_last(const NormShape& shape, const T* x, const T* weight, const T* bias, double eps,
                    T* mean, T* var, T* y, int threads);

template <class T>
void norm_backward_last(const NormShape& shape, const T* g, const T* x, const T* mean, const T* var,
                        const T* weight, double eps, bool fixed, T* dx, T* dweight, T* dbias,
                        int threads);

}  // namespace fastconv
