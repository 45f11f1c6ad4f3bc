#include "norm.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "../isa.h"
#include "memory.h"
#include "parallel_batches.h"

namespace fastconv {
namespace {

// The rows (n, c) of a set: first row, number of rows, distance between them.
struct Rows {
  int64_t first, count, step;
};

Rows rows_of(const NormShape& shape, int64_t set) {
  if (shape.groups == 0) return {set, shape.n, shape.c};
  const int64_t per = shape.c / shape.groups;
  return {set * per, per, 1};
}

// body(first element, elements) for every stretch of memory of a set.
template <class Body>
void each_stretch(const NormShape& shape, int64_t set, const Body& body) {
  const Rows rows = rows_of(shape, set);
  if (rows.step == 1) return body(rows.first * shape.s, rows.count * shape.s);
  for (int64_t i = 0; i < rows.count; ++i) body((rows.first + i * rows.step) * shape.s, shape.s);
}

int64_t set_of(const NormShape& shape, int64_t row) {
  return shape.groups == 0 ? row % shape.c : row / (shape.c / shape.groups);
}

template <class T>
T rstd(T var, double eps) {
  return static_cast<T>(1.0 / std::sqrt(static_cast<double>(var) + eps));
}

}  // namespace

namespace {

// Pieces that a cache holds, each about its own mean, are joined (Chan): memory is read once.
template <class T>
void set_statistics(const NormShape& shape, int64_t set, const T* x, T* mean, T* var) {
  constexpr int64_t kPiece = int64_t{1} << 15;
  const auto& norm = of_type<T>(*kernels().norm);
  const auto& gemm = of_type<T>(*kernels().gemm);
  const Rows rows = rows_of(shape, set);
  const int64_t count = rows.count * shape.s;
  double total = 0, squares = 0;
  if (rows.step == 1 && count > kPiece) {
    double center = 0;
    for (int64_t at = 0; at < count; at += kPiece) {
      const int64_t n = std::min(kPiece, count - at);
      const T* const piece = x + rows.first * shape.s + at;
      const double own = static_cast<double>(gemm.sum(piece, n)) / static_cast<double>(n);
      const double off = own - center, share = static_cast<double>(n) / static_cast<double>(at + n);
      squares += static_cast<double>(norm.squares(piece, n, static_cast<T>(own))) +
                 off * off * static_cast<double>(at) * share;
      center += off * share;
    }
    mean[set] = static_cast<T>(center);
  } else {
    each_stretch(shape, set, [&](int64_t at, int64_t n) { total += gemm.sum(x + at, n); });
    mean[set] = static_cast<T>(total / static_cast<double>(count));
    each_stretch(shape, set,
                 [&](int64_t at, int64_t n) { squares += norm.squares(x + at, n, mean[set]); });
  }
  var[set] = static_cast<T>(squares / static_cast<double>(count));
}

}  // namespace

template <class T>
void norm_statistics(const NormShape& shape, const T* x, T* mean, T* var, int threads) {
  parallel_batches(shape.sets(), rows_of(shape, 0).count * shape.s, threads,
                   [&](int64_t set, int) { set_statistics(shape, set, x, mean, var); });
}

template <class T>
void norm_apply(const NormShape& shape, const T* x, const T* mean, const T* var, const T* weight,
                const T* bias, const T* residual, double eps, T lo, T hi, T* y, int threads) {
  const auto& norm = of_type<T>(*kernels().norm);
  std::vector<T> rstds(static_cast<size_t>(shape.sets()));  // a root costs as much as a short row
  for (int64_t set = 0; set < shape.sets(); ++set) {
    rstds[static_cast<size_t>(set)] = rstd(var[set], eps);
  }
  parallel_batches(shape.n * shape.c, shape.s, threads, [&](int64_t row, int) {
    const int64_t c = row % shape.c, set = set_of(shape, row);
    const T scale = rstds[static_cast<size_t>(set)] * (weight ? weight[c] : T(1));
    const T shift = (bias ? bias[c] : T(0)) - mean[set] * scale;
    norm.affine(x + row * shape.s, residual ? residual + row * shape.s : nullptr, y + row * shape.s,
                shape.s, scale, shift, lo, hi);
  });
}

template <class T>
void norm_sets(const NormShape& shape, const T* x, const T* weight, const T* bias, double eps,
               T* mean, T* var, T* y, int threads) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  if (shape.sets() < threads) {
    norm_statistics(shape, x, mean, var, threads);
    return norm_apply<T>(shape, x, mean, var, weight, bias, nullptr, eps, -infinity, infinity, y,
                         threads);
  }
  const auto& norm = of_type<T>(*kernels().norm);
  // Without weights a set is one row.
  const int64_t rows = weight || bias ? rows_of(shape, 0).count : 1;
  const int64_t size = rows_of(shape, 0).count * shape.s / rows;
  parallel_batches(shape.sets(), rows * size, threads, [&](int64_t set, int) {
    set_statistics(shape, set, x, mean, var);
    const T root = rstd(var[set], eps);
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t row = set * rows + i, c = row % shape.c;
      const T scale = root * (weight ? weight[c] : T(1));
      const T shift = (bias ? bias[c] : T(0)) - mean[set] * scale;
      norm.affine(x + row * size, nullptr, y + row * size, size, scale, shift, -infinity, infinity);
    }
  });
}

template <class T>
void scale_rows(int64_t rows, int64_t s, const T* x, const T* scale, T* y, int threads) {
  const auto& norm = of_type<T>(*kernels().norm);
  const T infinity = std::numeric_limits<T>::infinity();
  parallel_batches(rows, s, threads, [&](int64_t row, int) {
    // Adding -0 keeps the sign of every zero.
    norm.affine(x + row * s, nullptr, y + row * s, s, scale[row], -T(0), -infinity, infinity);
  });
}

// With xhat = (x - mean) rstd and the means m1 = <w g>, m2 = <w g xhat> over a set:
// dx = rstd (w g - m1 - xhat m2), one affine map a g + b x + c per row.
template <class T>
void norm_backward(const NormShape& shape, const T* g, const T* x, const T* mean, const T* var,
                   const T* weight, double eps, T* dx, T* dweight, T* dbias, T* sums, int threads) {
  const auto& norm = of_type<T>(*kernels().norm);
  parallel_batches(shape.sets(), rows_of(shape, 0).count * shape.s, threads, [&](int64_t set, int) {
    const Rows rows = rows_of(shape, set);
    const double count = static_cast<double>(rows.count * shape.s);
    const T r = rstd(var[set], eps);
    double m1 = 0, m2 = 0;
    for (int64_t i = 0; i < rows.count; ++i) {
      const int64_t row = rows.first + i * rows.step;
      T* pair = sums + 2 * row;  // sum of g, sum of g xhat
      norm.dots(g + row * shape.s, x + row * shape.s, shape.s, mean[set], nullptr, pair);
      pair[1] *= r;
      const double w = weight ? static_cast<double>(weight[row % shape.c]) : 1.0;
      m1 += w * static_cast<double>(pair[0]);
      m2 += w * static_cast<double>(pair[1]);
    }
    if (!dx) return;
    const T b = static_cast<T>(-static_cast<double>(r) * r * m2 / count);
    const T c = static_cast<T>(-static_cast<double>(r) * m1 / count) - b * mean[set];
    for (int64_t i = 0; i < rows.count; ++i) {
      const int64_t row = rows.first + i * rows.step, at = row * shape.s;
      const T a = r * (weight ? weight[row % shape.c] : T(1));
      norm.affine2(g + at, x + at, dx + at, shape.s, a, b, c, nullptr);
    }
  });
  for (int64_t c = 0; c < shape.c && (dweight || dbias); ++c) {
    double first = 0, second = 0;
    for (int64_t n = 0; n < shape.n; ++n) {
      first += static_cast<double>(sums[2 * (n * shape.c + c)]);
      second += static_cast<double>(sums[2 * (n * shape.c + c) + 1]);
    }
    if (dbias) dbias[c] = static_cast<T>(first);
    if (dweight) dweight[c] = static_cast<T>(second);
  }
}

template <class T>
void layer_norm(int64_t rows, int64_t d, const T* x, const T* weight, const T* bias, double eps,
                T* y, T* mean, T* rstds, int threads) {
  const auto& norm = of_type<T>(*kernels().norm);
  const auto& gemm = of_type<T>(*kernels().gemm);
  parallel_batches(rows, d, threads, [&](int64_t row, int) {
    const T* at = x + row * d;
    mean[row] = gemm.sum(at, d) / static_cast<T>(d);
    rstds[row] = rstd(norm.squares(at, d, mean[row]) / static_cast<T>(d), eps);
    norm.normalize(at, weight, bias, y + row * d, d, mean[row], rstds[row]);
  });
}

// Rows are cut into blocks by their number alone, whose sums are added up in order: the same for
// any number of threads.
template <class T>
void layer_norm_backward(int64_t rows, int64_t d, const T* g, const T* x, const T* weight,
                         const T* mean, const T* rstds, T* dx, T* dweight, T* dbias, int threads) {
  constexpr int64_t kBlocks = 16, kLeast = 16;
  const auto& norm = of_type<T>(*kernels().norm);
  const int64_t most = std::max(kLeast, (rows + kBlocks - 1) / kBlocks);
  const int64_t blocks = (rows + most - 1) / most, pair = dweight ? 2 * d : 0;
  const Scratch scratch(static_cast<size_t>(blocks * pair) * sizeof(T));
  T* const sums = reinterpret_cast<T*>(scratch.data());
  parallel_for(blocks, threads, [&](int64_t block, int) {
    const int64_t row = block * most, at = row * d;
    T* const own = dweight ? sums + block * pair : nullptr;
    std::fill_n(own, pair, T(0));
    norm.layer_back({g + at, x + at, weight, mean + row, rstds + row, dx + at, own,
                     own ? own + d : nullptr, std::min(most, rows - row), d});
  });
  if (!dweight) return;
  std::fill_n(dweight, d, T(0));
  std::fill_n(dbias, d, T(0));
  for (int64_t block = 0; block < blocks; ++block) {
    const T* const own = sums + block * pair;
    for (int64_t i = 0; i < d; ++i) dweight[i] += own[i];
    for (int64_t i = 0; i < d; ++i) dbias[i] += own[d + i];
  }
}

#define FASTCONV_INSTANTIATE(T)                                                                   \
  template void norm_statistics<T>(const NormShape&, const T*, T*, T*, int);                      \
  template void norm_apply<T>(const NormShape&, const T*, const T*, const T*, const T*, const T*, \
                              const T*, double, T, T, T*, int);                                   \
  template void norm_sets<T>(const NormShape&, const T*, const T*, const T*, double, T*, T*, T*,  \
                             int);                                                                \
  template void scale_rows<T>(int64_t, int64_t, const T*, const T*, T*, int);                     \
  template void norm_backward<T>(const NormShape&, const T*, const T*, const T*, const T*,        \
                                 const T*, double, T*, T*, T*, T*, int);                          \
  template void layer_norm<T>(int64_t, int64_t, const T*, const T*, const T*, double, T*, T*, T*, \
                              int);                                                               \
  template void layer_norm_backward<T>(int64_t, int64_t, const T*, const T*, const T*, const T*,  \
                                       const T*, T*, T*, T*, int);
FASTCONV_INSTANTIATE(float)
FASTCONV_INSTANTIATE(double)

}  // namespace fastconv
