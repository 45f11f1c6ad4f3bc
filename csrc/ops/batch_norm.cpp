#include "batch_norm.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "memory.h"
#include "parallel_batches.h"
#include "pointwise.h"

namespace fastconv {
namespace {

// Small planes of a channel are brought together into one row: a kernel called for a few elements
// at a time would cost more than what it computes.
constexpr int64_t kShortBytes = 1024;

struct Rows {
  int64_t count, length;
  bool together;
};

Rows rows_of(const BatchShape& shape, size_t item) {
  const bool together = shape.n > 1 && shape.s * static_cast<int64_t>(item) < kShortBytes;
  return together ? Rows{1, shape.n * shape.s, true} : Rows{shape.n, shape.s, false};
}

size_t row_bytes(const BatchShape& shape, size_t item) {
  return Carver::bytes<char>(static_cast<size_t>(rows_of(shape, item).length) * item);
}

// Planes of 1x1, 2x2 and 4x4 are copied by a handful of instructions instead of a call.
template <class T>
void copy_plane(const T* from, int64_t s, T* to) {
  if (s == 1) {
    *to = *from;
  } else if (s == 4) {
    std::memcpy(to, from, 4 * sizeof(T));
  } else if (s == 16) {
    std::memcpy(to, from, 16 * sizeof(T));
  } else {
    std::copy_n(from, s, to);
  }
}

// The planes of channel c side by side, and back.
template <class T>
void bring_together(const BatchShape& shape, const T* x, int64_t c, T* row) {
  for (int64_t n = 0; n < shape.n; ++n) {
    copy_plane(x + (n * shape.c + c) * shape.s, shape.s, row + n * shape.s);
  }
}
template <class T>
void put_back(const BatchShape& shape, const T* row, int64_t c, T* y) {
  for (int64_t n = 0; n < shape.n; ++n) {
    copy_plane(row + n * shape.s, shape.s, y + (n * shape.c + c) * shape.s);
  }
}

template <class T>
struct Affine {
  T scale, shift, rstd;
};

template <class T>
Affine<T> affine_of(T mean, T var, double eps, const T* weight, const T* bias, int64_t c) {
  const T rstd = static_cast<T>(1.0 / std::sqrt(static_cast<double>(var) + eps));
  const T scale = rstd * (weight ? weight[c] : T(1));
  return {scale, (bias ? bias[c] : T(0)) - mean * scale, rstd};
}

}  // namespace

size_t batch_norm_bytes(const BatchShape& shape, size_t item, int threads) {
  return 3 * row_bytes(shape, item) * static_cast<size_t>(threads);
}

template <class T>
void batch_norm(const BatchNormCall<T>& call, char* scratch, int threads) {
  const BatchShape& shape = call.shape;
  const auto& norm = of_type<T>(*kernels().norm);
  const auto& gemm = of_type<T>(*kernels().gemm);
  const Rows rows = rows_of(shape, sizeof(T));
  const size_t bytes = row_bytes(shape, sizeof(T));
  const double count = static_cast<double>(shape.n * shape.s);
  T lo, hi;
  clamp_range(call.activation, &lo, &hi);
  parallel_batches(shape.c, shape.n * shape.s, threads, [&](int64_t c, int thread) {
    T* row = reinterpret_cast<T*>(scratch + 3 * bytes * static_cast<size_t>(thread));
    if (rows.together) bring_together(shape, call.x, c, row);
    const auto x = [&](int64_t i) {
      return rows.together ? row : call.x + (i * shape.c + c) * shape.s;
    };
    double total = 0, squares = 0;
    for (int64_t i = 0; i < rows.count; ++i) total += gemm.sum(x(i), rows.length);
    const T mean = static_cast<T>(total / count);
    for (int64_t i = 0; i < rows.count; ++i) squares += norm.squares(x(i), rows.length, mean);
    const T var = static_cast<T>(squares / count);
    call.mean[c] = mean;
    call.var[c] = var;
    if (call.running_mean) {
      const T keep = static_cast<T>(1 - call.momentum), move = static_cast<T>(call.momentum);
      const T unbiased = static_cast<T>(squares / (count - 1));
      call.running_mean[c] = call.running_mean[c] * keep + mean * move;
      call.running_var[c] = call.running_var[c] * keep + unbiased * move;
    }
    const Affine<T> a = affine_of(mean, var, call.eps, call.weight, call.bias, c);
    for (int64_t i = 0; i < rows.count; ++i) {
      T* y = rows.together ? row : call.y + (i * shape.c + c) * shape.s;
      norm.affine(x(i), nullptr, y, rows.length, a.scale, a.shift, lo, hi);
    }
    if (rows.together) put_back(shape, row, c, call.y);
  });
}

// With xhat = (x - mean) rstd, g the gradient before the activation, and the means m1 = <g>,
// m2 = <g xhat> over a channel: dx = w rstd (g - m1 - xhat m2), an affine map of g and x.
template <class T>
void batch_norm_backward(const BatchNormBackwardCall<T>& call, char* scratch, int threads) {
  const BatchShape& shape = call.shape;
  const auto& norm = of_type<T>(*kernels().norm);
  const bool clamped = call.activation != Activation::none;
  const auto& clamp =
      of_type<T>(*kernels().pointwise)
          .unary[unary_index(call.activation == Activation::relu6 ? "hardtanh" : "relu")];
  const Rows rows = rows_of(shape, sizeof(T));
  const size_t bytes = row_bytes(shape, sizeof(T));
  const double count = static_cast<double>(shape.n * shape.s);
  const T infinity = std::numeric_limits<T>::infinity();
  parallel_batches(shape.c, shape.n * shape.s, threads, [&](int64_t c, int thread) {
    char* own = scratch + 3 * bytes * static_cast<size_t>(thread);
    T* const x_row = reinterpret_cast<T*>(own);
    T* const g_row = reinterpret_cast<T*>(own + bytes);
    T* const y_row = reinterpret_cast<T*>(own + 2 * bytes);
    if (rows.together) {
      bring_together(shape, call.x, c, x_row);
      bring_together(shape, call.grad, c, g_row);
    }
    const auto at = [&](int64_t i) { return (i * shape.c + c) * shape.s; };
    const auto x = [&](int64_t i) { return rows.together ? x_row : call.x + at(i); };
    // The gradient before the activation; kept in dx, where it is needed again.
    const auto kept = [&](int64_t i) {
      return rows.together || !call.dx ? g_row : call.dx + at(i);
    };
    const Affine<T> a = affine_of(call.mean[c], call.var[c], call.eps, call.weight, call.bias, c);
    double first = 0, second = 0;  // the sums of g and of g xhat
    for (int64_t i = 0; i < rows.count; ++i) {
      const T* g = rows.together ? g_row : call.grad + at(i);
      if (clamped) {
        norm.affine(x(i), nullptr, y_row, rows.length, a.scale, a.shift, -infinity, infinity);
        clamp.backward(g, y_row, kept(i), rows.length, T(0), T(6));
        g = kept(i);
      }
      T pair[2];
      norm.dots(g, x(i), rows.length, call.mean[c], pair);
      first += static_cast<double>(pair[0]);
      second += static_cast<double>(pair[1]);
    }
    second *= static_cast<double>(a.rstd);
    if (call.dbias) call.dbias[c] = static_cast<T>(first);
    if (call.dweight) call.dweight[c] = static_cast<T>(second);
    if (!call.dx) return;
    const double scale = static_cast<double>(a.scale);
    const T factor = static_cast<T>(-scale * static_cast<double>(a.rstd) * second / count);
    const T constant = static_cast<T>(-scale * first / count) - factor * call.mean[c];
    for (int64_t i = 0; i < rows.count; ++i) {
      const T* g = clamped ? kept(i) : rows.together ? g_row : call.grad + at(i);
      T* dx = rows.together ? g_row : call.dx + at(i);
      norm.affine2(g, x(i), dx, rows.length, a.scale, factor, constant);
    }
    if (rows.together) put_back(shape, g_row, c, call.dx);
  });
}

#define FASTCONV_INSTANTIATE(T)                                     \
  template void batch_norm<T>(const BatchNormCall<T>&, char*, int); \
  template void batch_norm_backward<T>(const BatchNormBackwardCall<T>&, char*, int);
FASTCONV_INSTANTIATE(float)
FASTCONV_INSTANTIATE(double)

}  // namespace fastconv
