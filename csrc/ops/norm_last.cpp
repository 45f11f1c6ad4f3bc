#include "norm_last.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "../isa.h"
#include "parallel.h"

namespace fastconv {
namespace {

constexpr int64_t kRows = 128;  // of a partial sum; with some hundred channels they stay in cache

template <class T>
const auto& kernels_of() {
  if constexpr (sizeof(T) == 4) {
    return kernels().norm->last32;
  } else {
    return kernels().norm->last64;
  }
}

// Rows that are normalised with the same numbers: all of them in batch norm, else those of an
// image. They are cut into blocks.
struct Domains {
  int64_t count, rows, blocks, c;
  int64_t sets, channels;  // of a domain; channels of a set

  explicit Domains(const NormShape& s)
      : count(s.groups ? s.n : 1),
        rows(s.groups ? s.s : s.n * s.s),
        blocks((rows + kRows - 1) / kRows),
        c(s.c),
        sets(s.groups ? s.groups : s.c),
        channels(s.c / sets) {}
  int64_t tasks() const { return count * blocks; }
  int64_t rows_of(int64_t task) const { return std::min(kRows, rows - task % blocks * kRows); }
  int64_t at(int64_t task) const { return (task / blocks * rows + task % blocks * kRows) * c; }
  int64_t set_of(int64_t domain, int64_t channel) const {
    return domain * sets + channel / channels;
  }
};

template <class T>
double inverse_root(T var, double eps) {
  return 1.0 / std::sqrt(static_cast<double>(var) + eps);
}

}  // namespace

// Each block about its own mean, so that memory is read once; then blocks are joined (Chan).
template <class T>
void norm_statistics_last(const NormShape& shape, const T* x, T* mean, T* var, int threads) {
  const auto& kernel = kernels_of<T>();
  const Domains d(shape);
  std::vector<T> sums(static_cast<size_t>(3 * d.tasks() * d.c));
  T* const squares = sums.data() + d.tasks() * d.c;
  T* const means = squares + d.tasks() * d.c;
  parallel_for(d.tasks(), threads, [&](int64_t task, int) {
    const int64_t rows = d.rows_of(task), part = task * d.c;
    kernel.sums(x + d.at(task), rows, d.c, d.c, sums.data() + part);
    for (int64_t c = 0; c < d.c; ++c) {
      means[part + c] = sums[static_cast<size_t>(part + c)] / static_cast<T>(rows);
    }
    kernel.squares(x + d.at(task), means + part, rows, d.c, d.c, squares + part);
  });
  for (int64_t set = 0; set < d.count * d.sets; ++set) {
    const int64_t domain = set / d.sets, c0 = set % d.sets * d.channels;
    const double count = static_cast<double>(d.rows * d.channels);
    double total = 0, spread = 0;
    const auto each = [&](const auto& body) {
      for (int64_t b = domain * d.blocks; b < (domain + 1) * d.blocks; ++b) {
        for (int64_t c = c0; c < c0 + d.channels; ++c) body(b, b * d.c + c);
      }
    };
    each([&](int64_t, int64_t i) { total += static_cast<double>(sums[static_cast<size_t>(i)]); });
    const double m = total / count;
    each([&](int64_t b, int64_t i) {
      const double off = static_cast<double>(means[i]) - m;
      spread += static_cast<double>(squares[i]) + static_cast<double>(d.rows_of(b)) * off * off;
    });
    mean[set] = static_cast<T>(m);
    var[set] = static_cast<T>(spread / count);
  }
}

template <class T>
void norm_apply_last(const NormShape& shape, const T* x, const T* mean, const T* var,
                     const T* weight, const T* bias, const T* residual, double eps, T lo, T hi,
                     T* y, int threads) {
  const auto& kernel = kernels_of<T>();
  const Domains d(shape);
  std::vector<T> scale(static_cast<size_t>(d.count * d.c)), shift(scale.size());
  size_t i = 0;
  for (int64_t set = 0; set < d.count * d.sets; ++set) {
    const T root = static_cast<T>(inverse_root(var[set], eps));
    for (int64_t j = 0; j < d.channels; ++j, ++i) {
      const int64_t c = set % d.sets * d.channels + j;
      scale[i] = root * (weight ? weight[c] : T(1));
      shift[i] = (bias ? bias[c] : T(0)) - mean[set] * scale[i];
    }
  }
  parallel_for(d.tasks(), threads, [&](int64_t task, int) {
    const int64_t at = d.at(task), own = task / d.blocks * d.c;
    kernel.affine(x + at, residual ? residual + at : nullptr, y + at, d.rows_of(task), d.c, d.c,
                  scale.data() + own, shift.data() + own, lo, hi);
  });
}

// As norm_backward: with m1 = <w g>, m2 = <w g xhat> over a set, dx = a g + b x + k with a number
// each for every channel.
template <class T>
void norm_backward_last(const NormShape& shape, const T* g, const T* x, const T* mean, const T* var,
                        const T* weight, double eps, bool fixed, T* dx, T* dweight, T* dbias,
                        int threads) {
  const auto& kernel = kernels_of<T>();
  const Domains d(shape);
  const size_t all = static_cast<size_t>(d.count * d.c);
  std::vector<T> centre(all), a(all), b(all), k(all);
  for (size_t i = 0; i < all; ++i) {
    const int64_t at = static_cast<int64_t>(i);
    centre[i] = mean[d.set_of(at / d.c, at % d.c)];
  }
  std::vector<T> parts(static_cast<size_t>(2 * d.tasks() * d.c));
  parallel_for(d.tasks(), threads, [&](int64_t task, int) {
    kernel.dots(g + d.at(task), x + d.at(task), centre.data() + task / d.blocks * d.c,
                d.rows_of(task), d.c, d.c, nullptr, parts.data() + 2 * task * d.c);
  });
  std::vector<double> sum(2 * all);  // of g and of g xhat, for each domain and channel
  for (int64_t task = 0; task < d.tasks(); ++task) {
    for (int64_t c = 0; c < d.c; ++c) {
      const size_t i = static_cast<size_t>(task / d.blocks * d.c + c);
      const size_t from = static_cast<size_t>(2 * task * d.c + c);
      sum[2 * i] += static_cast<double>(parts[from]);
      sum[2 * i + 1] += static_cast<double>(parts[from + static_cast<size_t>(d.c)]);
    }
  }
  for (int64_t set = 0; set < d.count * d.sets; ++set) {
    const int64_t first = set / d.sets * d.c + set % d.sets * d.channels;
    const double r = inverse_root(var[set], eps), count = static_cast<double>(d.rows * d.channels);
    double m1 = 0, m2 = 0;
    for (int64_t i = first; i < first + d.channels; ++i) {
      const double w = weight ? static_cast<double>(weight[i % d.c]) : 1.0;
      sum[static_cast<size_t>(2 * i + 1)] *= r;
      m1 += w * sum[static_cast<size_t>(2 * i)];
      m2 += w * sum[static_cast<size_t>(2 * i + 1)];
    }
    if (fixed) m1 = m2 = 0;
    for (int64_t i = first; i < first + d.channels; ++i) {
      const size_t at = static_cast<size_t>(i);
      a[at] = static_cast<T>(r) * (weight ? weight[i % d.c] : T(1));
      b[at] = static_cast<T>(-r * r * m2 / count);
      k[at] = static_cast<T>(-r * m1 / count) - b[at] * mean[set];
    }
  }
  for (int64_t c = 0; c < d.c && (dweight || dbias); ++c) {
    double first = 0, second = 0;
    for (int64_t domain = 0; domain < d.count; ++domain) {
      first += sum[static_cast<size_t>(2 * (domain * d.c + c))];
      second += sum[static_cast<size_t>(2 * (domain * d.c + c) + 1)];
    }
    if (dbias) dbias[c] = static_cast<T>(first);
    if (dweight) dweight[c] = static_cast<T>(second);
  }
  if (!dx) return;
  parallel_for(d.tasks(), threads, [&](int64_t task, int) {
    const int64_t at = d.at(task), own = task / d.blocks * d.c;
    kernel.affine2(g + at, x + at, dx + at, d.rows_of(task), d.c, d.c, a.data() + own,
                   b.data() + own, k.data() + own, nullptr);
  });
}

#define FASTCONV_INSTANTIATE(T)                                                                 \
  template void norm_statistics_last<T>(const NormShape&, const T*, T*, T*, int);               \
  template void norm_apply_last<T>(const NormShape&, const T*, const T*, const T*, const T*,    \
                                   const T*, const T*, double, T, T, T*, int);                  \
  template void norm_backward_last<T>(const NormShape&, const T*, const T*, const T*, const T*, \
                                      const T*, double, bool, T*, T*, T*, int);
FASTCONV_INSTANTIATE(float)
FASTCONV_INSTANTIATE(double)

}  // namespace fastconv
