#include "normalize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "../isa.h"
#include "parallel_batches.h"

namespace fastconv {
namespace {

template <class T>
const auto& columns_of() {
  if constexpr (sizeof(T) == 4) {
    return kernels().norm->last32;
  } else {
    return kernels().norm->last64;
  }
}

// In the elements' type: for a few channels, a root and a quotient of doubles were half the time.
template <class T>
T scale_of(const VectorShape& v, T squares, double eps) {
  const T least = static_cast<T>(eps);
  if (v.rms) return T(1) / std::sqrt(squares / static_cast<T>(v.d) + least);
  const T length = std::sqrt(squares);
  return T(1) / (length < least ? least : length);
}

// The factor of y in the gradient, from <g, y>.
template <class T>
T back_of(const VectorShape& v, T scale, T dot, double eps) {
  if (v.rms) return -scale * dot / static_cast<T>(v.d);
  const bool clipped = scale >= T(1) / static_cast<T>(eps);
  return clipped ? T(0) : -scale * dot;
}

}  // namespace

template <class T>
void normalize(const VectorShape& v, double eps, const T* x, T* y, T* scale, int threads) {
  const T infinity = std::numeric_limits<T>::infinity();
  if (v.inner == 1) {
    const auto& norm = of_type<T>(*kernels().norm);
    parallel_batches(v.outer, v.d, threads, [&](int64_t row, int) {
      const T* from = x + row * v.d;
      if (v.d < 8) {  // shorter than the calls of kernels
        T squares = 0;
        for (int64_t i = 0; i < v.d; ++i) squares += from[i] * from[i];
        const T own = scale_of(v, squares, eps);
        for (int64_t i = 0; i < v.d; ++i) y[row * v.d + i] = from[i] * own;
        scale[row] = own;
        return;
      }
      scale[row] = scale_of(v, norm.squares(from, v.d, T(0)), eps);
      norm.affine(from, nullptr, y + row * v.d, v.d, scale[row], T(0), -infinity, infinity);
    });
    return;
  }
  const auto& columns = columns_of<T>();
  const std::vector<T> zeros(static_cast<size_t>(v.inner));
  parallel_for(v.outer, threads, [&](int64_t o, int) {
    const T* from = x + o * v.d * v.inner;
    T* own = scale + o * v.inner;
    columns.squares(from, zeros.data(), v.d, v.inner, v.inner, own);
    for (int64_t i = 0; i < v.inner; ++i) own[i] = scale_of(v, own[i], eps);
    columns.affine(from, nullptr, y + o * v.d * v.inner, v.d, v.inner, v.inner, own, zeros.data(),
                   -infinity, infinity);
  });
}

template <class T>
void normalize_backward(const VectorShape& v, double eps, const T* g, const T* y, const T* scale,
                        T* dx, int threads) {
  if (v.inner == 1) {
    const auto& norm = of_type<T>(*kernels().norm);
    parallel_batches(v.outer, v.d, threads, [&](int64_t row, int) {
      const int64_t at = row * v.d;
      T sums[2] = {};
      norm.dots(g + at, y + at, v.d, T(0), nullptr, sums);
      const T b = back_of(v, scale[row], sums[1], eps);
      norm.affine2(g + at, y + at, dx + at, v.d, scale[row], b, T(0), nullptr);
    });
    return;
  }
  const auto& columns = columns_of<T>();
  const size_t each = static_cast<size_t>(4 * v.inner);  // zeros, two sums, factors of y
  std::vector<T> numbers(each * static_cast<size_t>(threads));
  parallel_for(v.outer, threads, [&](int64_t o, int thread) {
    T* zeros = numbers.data() + each * static_cast<size_t>(thread);
    T *sums = zeros + v.inner, *b = zeros + 3 * v.inner;
    const int64_t at = o * v.d * v.inner;
    const T* own = scale + o * v.inner;
    columns.dots(g + at, y + at, zeros, v.d, v.inner, v.inner, nullptr, sums);
    for (int64_t i = 0; i < v.inner; ++i) {
      b[i] = back_of(v, own[i], sums[v.inner + i], eps);
    }
    columns.affine2(g + at, y + at, dx + at, v.d, v.inner, v.inner, own, b, zeros, nullptr);
  });
}

#define FASTCONV_INSTANTIATE(T)                                                                 \
  template void normalize<T>(const VectorShape&, double, const T*, T*, T*, int);                \
  template void normalize_backward<T>(const VectorShape&, double, const T*, const T*, const T*, \
                                      T*, int);
FASTCONV_INSTANTIATE(float)
FASTCONV_INSTANTIATE(double)

}  // namespace fastconv
