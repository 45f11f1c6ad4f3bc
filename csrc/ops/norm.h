// Normalisations over arrays (N, C, S) in C order, S the spatial extent: one mechanism for batch,
// group and instance norm, which differ in the set of rows that shares its statistics. And layer
// norm over rows.
#pragma once

#include <cstdint>

namespace fastconv {

// groups = 0: batch norm, one set per channel, all images together. groups = g: one set per image
// and group of channels (1: all channels, C: instance norm).
struct NormShape {
  int64_t n, c, s, groups;
  int64_t sets() const { return groups ? n * groups : c; }
};

// mean and var (biased) of each set.
template <class T>
void norm_statistics(const NormShape& shape, const T* x, T* mean, T* var, int threads);

// y = clamp((x - mean) / sqrt(var + eps) * weight[c] + bias[c] + residual); weight, bias, residual
// may be null.
template <class T>
void norm_apply(const NormShape& shape, const T* x, const T* mean, const T* var, const T* weight,
                const T* bias, const T* residual, double eps, T lo, T hi, T* y, int threads);

// Both one after the other, each set while it is in cache; groups are not 0. No clamp.
template <class T>
void norm_sets(const NormShape& shape, const T* x, const T* weight, const T* bias, double eps,
               T* mean, T* var, T* y, int threads);

// y = x * scale[row], for rows of s elements: each channel of each image by a number of its own.
template <class T>
void scale_rows(int64_t rows, int64_t s, const T* x, const T* scale, T* y, int threads);

// Gradients of norm_apply over groups, without clamp (batch_norm.h has those over channels). sums
// is scratch for 2 n c values. dx, dweight and dbias may be null.
template <class T>
void norm_backward(const NormShape& shape, const T* g, const T* x, const T* mean, const T* var,
                   const T* weight, double eps, T* dx, T* dweight, T* dbias, T* sums, int threads);

// Rows of d elements, weight and bias (d) or null; mean and rstd (rows) are kept for the backward.
template <class T>
void layer_norm(int64_t rows, int64_t d, const T* x, const T* weight, const T* bias, double eps,
                T* y, T* mean, T* rstd, int threads);
template <class T>
void layer_norm_backward(int64_t rows, int64_t d, const T* g, const T* x, const T* weight,
                         const T* mean, const T* rstd, T* dx, T* dweight, T* dbias, int threads);

}  // namespace fastconv
