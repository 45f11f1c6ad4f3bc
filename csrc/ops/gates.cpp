#include "gates.h"

#include <algorithm>
#include <vector>

#include "../isa.h"
#include "parallel_batches.h"
#include "pointwise.h"

namespace fastconv {
namespace {

constexpr int64_t kRows = 64;      // channels-last rows of a partial sum
constexpr int64_t kPiece = 16384;  // elements of a task

}  // namespace

template <class T>
void prelu(const SlopeShape& shape, const T* x, const T* slope, T* y, int threads) {
  const auto& table = of_type<T>(*kernels().pointwise);
  const auto leaky = table.unary[unary_index("leaky_relu")].forward;
  if (shape.inner == 1) {
    parallel_batches(shape.outer, shape.c, threads, [&](int64_t row, int) {
      table.prelu(x + row * shape.c, slope, y + row * shape.c, shape.c);
    });
    return;
  }
  parallel_batches(shape.outer * shape.c, shape.inner, threads, [&](int64_t row, int) {
    const int64_t at = row * shape.inner;
    leaky(x + at, y + at, shape.inner, slope[row % shape.c], T(0));
  });
}

template <class T>
void prelu_backward(const SlopeShape& shape, const T* g, const T* x, const T* slope, T* dx,
                    T* dslope, int threads) {
  const auto& table = of_type<T>(*kernels().pointwise);
  const bool last = shape.inner == 1;
  const int64_t parts = last ? (shape.outer + kRows - 1) / kRows : shape.outer;
  std::vector<T> sums(static_cast<size_t>(parts * shape.c));
  if (last) {
    parallel_for(parts, threads, [&](int64_t part, int) {
      for (int64_t row = part * kRows; row < std::min(shape.outer, (part + 1) * kRows); ++row) {
        const int64_t at = row * shape.c;
        table.prelu_backward(g + at, x + at, slope, dx + at, sums.data() + part * shape.c, shape.c);
      }
    });
  } else {
    parallel_batches(parts * shape.c, shape.inner, threads, [&](int64_t row, int) {
      const int64_t at = row * shape.inner;
      sums[static_cast<size_t>(row)] =
          table.leaky_backward(g + at, x + at, dx + at, shape.inner, slope[row % shape.c]);
    });
  }
  for (int64_t c = 0; c < shape.c; ++c) {
    double total = 0;
    for (int64_t part = 0; part < parts; ++part) {
      total += static_cast<double>(sums[static_cast<size_t>(part * shape.c + c)]);
    }
    dslope[c] = static_cast<T>(total);
  }
}

template <class T>
void glu(int64_t outer, int64_t inner, const T* x, T* y, int threads) {
  const auto& table = of_type<T>(*kernels().pointwise);
  const int64_t pieces = (inner + kPiece - 1) / kPiece;
  parallel_for(outer * pieces, threads, [&](int64_t task, int) {
    const int64_t o = task / pieces, at = task % pieces * kPiece;
    const T* first = x + 2 * o * inner + at;
    table.glu(first, first + inner, y + o * inner + at, std::min(kPiece, inner - at));
  });
}

template <class T>
void glu_backward(int64_t outer, int64_t inner, const T* g, const T* x, T* dx, int threads) {
  const auto& table = of_type<T>(*kernels().pointwise);
  const int64_t pieces = (inner + kPiece - 1) / kPiece;
  parallel_for(outer * pieces, threads, [&](int64_t task, int) {
    const int64_t o = task / pieces, at = task % pieces * kPiece, both = 2 * o * inner + at;
    table.glu_backward(g + o * inner + at, x + both, x + both + inner, dx + both, dx + both + inner,
                       std::min(kPiece, inner - at));
  });
}

#define FASTCONV_INSTANTIATE(T)                                                                  \
  template void prelu<T>(const SlopeShape&, const T*, const T*, T*, int);                        \
  template void prelu_backward<T>(const SlopeShape&, const T*, const T*, const T*, T*, T*, int); \
  template void glu<T>(int64_t, int64_t, const T*, T*, int);                                     \
  template void glu_backward<T>(int64_t, int64_t, const T*, const T*, T*, int);
FASTCONV_INSTANTIATE(float)
FASTCONV_INSTANTIATE(double)

}  // namespace fastconv
