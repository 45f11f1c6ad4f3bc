// Vectors divided by their length along one axis.
#pragma once

#include <cstdint>

namespace fastconv {

// Arrays (outer, d, inner) in C order, vectors of d values. y = x scale with scale, one for each
// vector, 1 / max(length, eps), or for the root mean square 1 / sqrt(length^2 / d + eps).
struct VectorShape {
  int64_t outer, d, inner;
  bool rms;
};

template <class T>
void normalize(const VectorShape& shape, double eps, const T* x, T* y, T* scale, int threads);

// dx = scale (g - y <g, y>), without the second part where eps was the divisor, and with <g, y> / d
// for the root mean square.
template <class T>
void normalize_backward(const VectorShape& shape, double eps, const T* g, const T* y,
                        const T* scale, T* dx, int threads);

}  // namespace fastconv
