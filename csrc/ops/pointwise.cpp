#include "pointwise.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "parallel.h"

namespace fastconv {
namespace {

constexpr int64_t kPiece = 16384;  // elements: a task, small enough for the caches

// body(first element, elements) for every piece of n elements.
template <class Body>
void pieces(int64_t n, int threads, const Body& body) {
  parallel_for((n + kPiece - 1) / kPiece, threads, [&](int64_t piece, int) {
    const int64_t at = piece * kPiece;
    body(at, std::min(kPiece, n - at));
  });
}

}  // namespace

int memory_threads(double bytes, int threads) {
  // A core moves a byte in the time of more than a dozen operations.
  return useful_threads(12 * bytes, threads);
}

int unary_index(const char* name) {
  const auto& table = kernels().pointwise->f32.unary;
  std::string choices;
  for (int i = 0; i < kUnaryCount; ++i) {
    if (!std::strcmp(table[i].name, name)) return i;
    choices += std::string(i ? ", " : "") + table[i].name;
  }
  throw std::invalid_argument("unary: unknown function '" + std::string(name) +
                              "'; known: " + choices);
}

template <class T>
void unary_forward(int index, const T* x, T* y, int64_t n, double a, double b, int threads) {
  const auto& kernel = of_type<T>(*kernels().pointwise).unary[index];
  pieces(n, threads, [&](int64_t at, int64_t len) {
    kernel.forward(x + at, y + at, len, static_cast<T>(a), static_cast<T>(b));
  });
}

template <class T>
void unary_backward(int index, const T* g, const T* x, T* dx, int64_t n, double a, double b,
                    int threads) {
  const auto& kernel = of_type<T>(*kernels().pointwise).unary[index];
  pieces(n, threads, [&](int64_t at, int64_t len) {
    kernel.backward(g + at, x + at, dx + at, len, static_cast<T>(a), static_cast<T>(b));
  });
}

template <class T>
void sgd_step(T* p, const T* grad, T* velocity, int64_t n, const SgdStep<T>& step, int threads) {
  const auto& kernel = of_type<T>(*kernels().update);
  pieces(n, threads, [&](int64_t at, int64_t len) {
    kernel.sgd(p + at, grad + at, velocity ? velocity + at : nullptr, len, step);
  });
}

template <class T>
void adam_step(T* p, const T* grad, T* m, T* v, T* most, int64_t n, const AdamStep<T>& step,
               int threads) {
  const auto& kernel = of_type<T>(*kernels().update);
  pieces(n, threads, [&](int64_t at, int64_t len) {
    kernel.adam(p + at, grad + at, m + at, v + at, most ? most + at : nullptr, len, step);
  });
}

#define FASTCONV_INSTANTIATE(T)                                                               \
  template void unary_forward<T>(int, const T*, T*, int64_t, double, double, int);            \
  template void unary_backward<T>(int, const T*, const T*, T*, int64_t, double, double, int); \
  template void sgd_step<T>(T*, const T*, T*, int64_t, const SgdStep<T>&, int);               \
  template void adam_step<T>(T*, const T*, T*, T*, T*, int64_t, const AdamStep<T>&, int);
FASTCONV_INSTANTIATE(float)
FASTCONV_INSTANTIATE(double)

}  // namespace fastconv
