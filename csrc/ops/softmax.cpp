#include "softmax.h"

#include <algorithm>

#include "../isa.h"
#include "memory.h"
#include "parallel_batches.h"

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

// Short rows are turned into columns, some rows at a time.
constexpr int64_t kShort = 32;
constexpr int64_t kTurned = 64;

bool short_rows(const SoftmaxShape& shape) {
  return shape.inner == 1 && shape.d > 1 && shape.d <= kShort && shape.outer >= 8;
}

// columns[j][i] = rows[i][j], and back.
template <class T>
void to_columns(const T* rows, int64_t count, int64_t d, T* columns) {
  if (d > 4) return of_type<T>(*kernels().gemm).transpose(rows, d, count, d, columns, kTurned);
  T* to[4];
  for (int64_t j = 0; j < d; ++j) to[j] = columns + j * kTurned;
  of_type<T>(*kernels().resample).unravel(static_cast<int>(d), rows, count, to);
}

template <class T>
void to_rows(const T* columns, int64_t count, int64_t d, T* rows) {
  if (d > 4) return of_type<T>(*kernels().gemm).transpose(columns, kTurned, d, count, rows, d);
  const T* from[4];
  for (int64_t j = 0; j < d; ++j) from[j] = columns + j * kTurned;
  of_type<T>(*kernels().resample).weave(static_cast<int>(d), from, count, rows);
}

// body(first element, rows, carver) for some rows at a time; scratch of `arrays` turned pieces.
template <class T, class Body>
void turned_tasks(const SoftmaxShape& shape, size_t arrays, int threads, const Body& body) {
  const size_t piece = static_cast<size_t>(shape.d * kTurned),
               each = arrays * Carver::bytes<T>(piece);
  const Scratch scratch(each * static_cast<size_t>(threads));
  constexpr int64_t kTask = 16;  // pieces
  parallel_for((shape.outer + kTask * kTurned - 1) / (kTask * kTurned), threads,
               [&](int64_t task, int thread) {
                 const int64_t end = std::min(shape.outer, (task + 1) * kTask * kTurned);
                 for (int64_t row = task * kTask * kTurned; row < end; row += kTurned) {
                   Carver carver(scratch.data() + each * static_cast<size_t>(thread));
                   body(row * shape.d, std::min(kTurned, end - row), carver);
                 }
               });
}

}  // namespace

template <class T>
void softmax(const SoftmaxShape& shape, bool logarithm, const T* x, T* y, int threads) {
  const auto& norm = of_type<T>(*kernels().norm);
  const int64_t d = shape.d;
  if (short_rows(shape)) {
    turned_tasks<T>(shape, 2, threads, [&](int64_t at, int64_t rows, Carver& carver) {
      T* turned = carver.take<T>(static_cast<size_t>(d * kTurned));
      T* wait = carver.take<T>(static_cast<size_t>(d * kTurned));
      to_columns(x + at, rows, d, turned);
      norm.softmax_columns(turned, turned, d, kTurned, rows, wait, logarithm);
      to_rows(turned, rows, d, y + at);
    });
    return;
  }
  if (shape.inner == 1) {
    parallel_batches(shape.outer, d, threads, [&](int64_t row, int) {
      norm.softmax(x + row * d, y + row * d, d, logarithm);
    });
    return;
  }
  const size_t each = Carver::bytes<T>(static_cast<size_t>(d * 2 * kMostLanes));
  const Scratch scratch(each * static_cast<size_t>(threads));
  column_tasks(shape, threads, [&](int64_t at, int64_t columns, int thread) {
    Carver carver(scratch.data() + each * static_cast<size_t>(thread));
    T* wait = carver.take<T>(static_cast<size_t>(d * 2 * kMostLanes));
    norm.softmax_columns(x + at, y + at, d, shape.inner, columns, wait, logarithm);
  });
}

template <class T>
void softmax_backward(const SoftmaxShape& shape, bool logarithm, const T* g, const T* y, T* dx,
                      int threads) {
  const auto& norm = of_type<T>(*kernels().norm);
  const int64_t d = shape.d;
  if (short_rows(shape)) {
    turned_tasks<T>(shape, 2, threads, [&](int64_t at, int64_t rows, Carver& carver) {
      T* tg = carver.take<T>(static_cast<size_t>(d * kTurned));
      T* ty = carver.take<T>(static_cast<size_t>(d * kTurned));
      to_columns(g + at, rows, d, tg);
      to_columns(y + at, rows, d, ty);
      norm.softmax_backward_columns(tg, ty, tg, d, kTurned, rows, logarithm);
      to_rows(tg, rows, d, dx + at);
    });
    return;
  }
  if (shape.inner == 1) {
    parallel_batches(shape.outer, d, threads, [&](int64_t row, int) {
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
