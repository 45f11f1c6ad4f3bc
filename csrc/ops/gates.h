// Slopes that are learnt, one for all or one a channel, and gated halves.
#pragma once

#include <cstdint>

namespace fastconv {

// Arrays (outer, c, inner) in C order with a slope for each of c channels.
struct SlopeShape {
  int64_t outer, c, inner;
};

// y = x where positive, else slope x.
template <class T>
void prelu(const SlopeShape& shape, const T* x, const T* slope, T* y, int threads);

// dx and dslope (c); sums in an order that depends on the shape alone.
template <class T>
void prelu_backward(const SlopeShape& shape, const T* g, const T* x, const T* slope, T* dx,
                    T* dslope, int threads);

// x is (outer, 2, inner), y (outer, inner): the first half times the sigmoid of the second.
template <class T>
void glu(int64_t outer, int64_t inner, const T* x, T* y, int threads);
template <class T>
void glu_backward(int64_t outer, int64_t inner, const T* g, const T* x, T* dx, int threads);

}  // namespace fastconv
