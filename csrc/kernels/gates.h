// Elementwise functions of two rows: slopes that are learnt, and gates.
#pragma once

#include "row.h"
#include "unary.h"

namespace fastconv {
namespace {

template <class T>
T leaky_backward(const T* g, const T* x, T* dx, ptrdiff_t n, T a) {
  const Params<T> p{splat(a), Vec<T>{}};
  Vec<T> sum{};
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    const Vec<T> gv = get(g + i, lanes), xv = get(x + i, lanes);  // lanes that are not there: 0
    sum += xv > 0 ? Vec<T>{} : gv * xv;
    put(dx + i, LeakyRelu<T>::dx(gv, xv, p), lanes);
  });
  return total<T>(sum);
}

template <class T>
void prelu(const T* x, const T* a, T* y, ptrdiff_t n) {
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    const Vec<T> v = get(x + i, lanes);
    put(y + i, LeakyRelu<T>::f(v, {get(a + i, lanes), Vec<T>{}}), lanes);
  });
}

template <class T>
void prelu_backward(const T* g, const T* x, const T* a, T* dx, T* da, ptrdiff_t n) {
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    const Vec<T> gv = get(g + i, lanes), xv = get(x + i, lanes);
    put(da + i, get(da + i, lanes) + (xv > 0 ? Vec<T>{} : gv * xv), lanes);
    put(dx + i, LeakyRelu<T>::dx(gv, xv, {get(a + i, lanes), Vec<T>{}}), lanes);
  });
}

template <class T>
void glu(const T* x, const T* gate, T* y, ptrdiff_t n) {
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    put(y + i, get(x + i, lanes) * sigmoid<T>(get(gate + i, lanes)), lanes);
  });
}

template <class T>
void glu_backward(const T* g, const T* x, const T* gate, T* dx, T* dgate, ptrdiff_t n) {
  each_vector<T>(n, [&](ptrdiff_t i, int lanes) {
    const Vec<T> s = sigmoid<T>(get(gate + i, lanes)), gs = get(g + i, lanes) * s;
    put(dx + i, gs, lanes);
    put(dgate + i, gs * get(x + i, lanes) * (splat(T(1)) - s), lanes);
  });
}

}  // namespace
}  // namespace fastconv
