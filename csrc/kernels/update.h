// One step of an optimiser over one parameter, everything in a single pass.
#pragma once

#include "../kernels.h"
#include "norm.h"

namespace fastconv {
namespace {

// PyTorch's SGD: g += decay p; v = momentum v + fresh g (v = g the first time);
// g = nesterov ? g + momentum v : v; p -= rate g. Without momentum v is null.
template <class T>
void sgd(T* p, const T* grad, T* velocity, ptrdiff_t n, const SgdStep<T>& s) {
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    const Vec<T> pv = get(p + i, lanes);
    Vec<T> g = get(grad + i, lanes);
    if (s.maximize) g = -g;
    g = fma(splat(s.decay), pv, g);
    if (velocity) {
      const Vec<T> v =
          s.first ? g : fma(splat(s.momentum), get(velocity + i, lanes), g * splat(s.fresh));
      put(velocity + i, v, lanes);
      g = s.nesterov ? fma(splat(s.momentum), v, g) : v;
    }
    put(p + i, pv - splat(s.rate) * g, lanes);
  });
}

template <class T>
FC_INLINE Vec<T> root(Vec<T> v) {
  FC_UNROLL for (int i = 0; i < kLanes<T>; ++i) {
    if constexpr (sizeof(T) == 4) {
      v[i] = __builtin_sqrtf(v[i]);
    } else {
      v[i] = __builtin_sqrt(v[i]);
    }
  }
  return v;
}

// Kingma and Ba, arXiv 1412.6980; decoupled decay: Loshchilov and Hutter, arXiv 1711.05101.
// m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; p -= rate / c1 * m / (sqrt(v) / sqrt(c2) + eps),
// c1 and c2 the bias corrections 1 - b^t. The factors are rounded once, from doubles. With amsgrad
// the largest v so far takes v's place.
template <class T>
void adam(T* p, const T* grad, T* m, T* v, T* most, ptrdiff_t n, const AdamStep<T>& s) {
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    Vec<T> pv = get(p + i, lanes), g = get(grad + i, lanes);
    if (s.maximize) g = -g;
    pv *= splat(s.shrink);
    g = fma(splat(s.decay), pv, g);
    const Vec<T> mv = fma(splat(s.beta1), get(m + i, lanes), g * splat(s.fresh1));
    Vec<T> vv = fma(splat(s.beta2), get(v + i, lanes), g * g * splat(s.fresh2));
    put(m + i, mv, lanes);
    put(v + i, vv, lanes);
    if (most) {
      vv = larger<T>(get(most + i, lanes), vv);
      put(most + i, vv, lanes);
    }
    const Vec<T> scale = fma(root<T>(vv), splat(s.correction), splat(s.eps));
    put(p + i, pv - splat(s.rate) * mv / scale, lanes);
  });
}

template <class T>
constexpr UpdateKernels<T> update_table() {
  return {sgd<T>, adam<T>};
}

}  // namespace
}  // namespace fastconv
