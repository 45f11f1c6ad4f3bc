// Activations and optimiser steps over whole arrays, split between threads.
#pragma once

#include <cstdint>

#include "../isa.h"

namespace fastconv {

// The row of the table called `name`; throws std::invalid_argument listing the names.
int unary_index(const char* name);

// y[i] = f(x[i]); y may be x.
template <class T>
void unary_forward(int index, const T* x, T* y, int64_t n, double a, double b, int threads);

// dx[i] = g[i] * f'(x[i])
template <class T>
void unary_backward(int index, const T* g, const T* x, T* dx, int64_t n, double a, double b,
                    int threads);

template <class T>
void sgd_step(T* p, const T* grad, T* velocity, int64_t n, const SgdStep<T>& step, int threads);

template <class T>
void adam_step(T* p, const T* grad, T* m, T* v, T* most, int64_t n, const AdamStep<T>& step,
               int threads);

// Threads for rows bound by memory: `bytes` in and out.
int memory_threads(double bytes, int threads);

}  // namespace fastconv
