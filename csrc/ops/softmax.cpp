#include "softmax.h"

#include <algorithm>

#include "../isa.h"
#include "memory.h"
#include "parallel.h"

namespace fastconv {
namespace {

constexpr int64_t kColumns = 128;  // of a task, whole vectors
constexpr int64_t kMostLanes = 16;

// body(first element, columns, thread) for every stretch of columns.
template <class Body>
void column_tasks(const SoftmaxShape& shape, int threads, const Body& body) {
  const int64_t stretches = (shape.inner + kColumns - 1) / kColumns;
  parallel_for(shape.outer * stretches, threads, [&](int64_t task, int thread) {
    const int64_t at = task % stretches * kColumns;
    body(task / stretches * shape.d * shape.inner + at, std::min(kColumns, shape.inner - at),
         thread);
  });
}

}  // namespace

template <class T>
void softmax(const SoftmaxShape& shape, bool logarithm, const T* x, T* y, int threads) {
  const auto& norm = of_type<T>(*kernels().norm);
  const int64_t d = shape.d;
  if (shape.inner == 1) {
    parallel_for(shape.outer, threads,
                 [&](int64_t row, int) { norm.softmax(x + row * d, y + row * d, d, logarithm); });
    return;
  }
  const size_t each = Carver::bytes<T>(static_cast<size_t>(d * kMostLanes));
  const Scratch scratch(each * static_cast<size_t>(threads));
  column_tasks(shape, threads, [&](int64_t at, int64_t columns, int thread) {
    Carver carver(scratch.data() + each * static_cast<size_t>(thread));
    T* wait = carver.take<T>(static_cast<size_t>(d * kMostLanes));
    norm.softmax_columns(x + at, y + at, d, shape.inner, columns, wait, logarithm);
  });
}

template <class T>
void softmax_backward(const SoftmaxShape& shape, bool logarithm, const T* g, const T* y, T* dx,
                      int threads) {
  const auto& norm = of_type<T>(*kernels().norm);
  const int64_t d = shape.d;
  if (shape.inner == 1) {
    parallel_for(shape.outer, threads, [&](int64_t row, int) {
      norm.softmax_backward(g + row * d, y + row * d, dx + row * d, d, logarithm);
    });
    return;
  }
  column_tasks(shape, threads, [&](int64_t at, int64_t columns, int) {
    norm.softmax_backward_columns(g + at, y + at, dx + at, d, shape.inner, columns, logarithm);
  });
}

#define FASTCONV_INSTANTIATE(T)                                           \
  template void softmax<T>(const SoftmaxShape&, bool, const T*, T*, int); \
  template void softmax_backward<T>(const SoftmaxShape&, bool, const T*, const T*, T*, int);
FASTCONV_INSTANTIATE(float)
FASTCONV_INSTANTIATE(double)

}  // namespace fastconv
