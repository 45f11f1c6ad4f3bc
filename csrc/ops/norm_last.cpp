#include "norm_last.h"

#include <limits>
#include <vector>

#include "norm_domains.h"

namespace fastconv {
namespace {

// Each block about its own mean, so that memory is read once; then blocks are joined (Chan).
template <class T>
class Statistics {
 public:
  Statistics(const Domains& d, const T* x, T* mean, T* var)
      : d(d),
        x_(x),
        mean_(mean),
        var_(var),
        sums_(static_cast<size_t>(3 * d.tasks() * d.c)),
        squares_(sums_.data() + d.tasks() * d.c),
        means_(squares_ + d.tasks() * d.c) {}

  void measure(int64_t task) {
    const int64_t rows = d.rows_of(task), part = task * d.c;
    T* const sums = sums_.data() + part;
    kernel_.sums(x_ + d.at(task), rows, d.c, d.c, sums);
    for (int64_t c = 0; c < d.c; ++c) means_[part + c] = sums[c] / static_cast<T>(rows);
    kernel_.squares(x_ + d.at(task), means_ + part, rows, d.c, d.c, squares_ + part);
  }

  void join(int64_t domain) {
    const int64_t first = domain * d.blocks, last = first + d.blocks;
    const double count = static_cast<double>(d.rows * d.channels);
    for (int64_t i = 0; i < d.sets; ++i) {
      double total = 0, spread = 0;
      for (int64_t b = first; b < last; ++b) {
        const T* sums = sums_.data() + b * d.c + i * d.channels;
        total += sum_of(d.channels, [&](int64_t c) { return static_cast<double>(sums[c]); });
      }
      const double m = total / count;
      for (int64_t b = first; b < last; ++b) {
        const int64_t at = b * d.c + i * d.channels;
        const double rows = static_cast<double>(d.rows_of(b));
        spread += sum_of(d.channels, [&](int64_t c) {
          const double off = static_cast<double>(means_[at + c]) - m;
          return static_cast<double>(squares_[at + c]) + rows * off * off;
        });
      }
      mean_[domain * d.sets + i] = static_cast<T>(m);
      var_[domain * d.sets + i] = static_cast<T>(spread / count);
    }
  }

 private:
  const NormLastKernels<T>& kernel_ = kernels_of<T>();
  const Domains& d;
  const T* x_;
  T *mean_, *var_;
  std::vector<T> sums_;
  T *squares_, *means_;
};

// y = clamp(x * scale + shift + residual)
template <class T>
class Application {
 public:
  Application(const Domains& d, const T* x, const T* mean, const T* var, const T* weight,
              const T* bias, const T* residual, double eps, T lo, T hi, T* y)
      : d(d),
        x_(x),
        mean_(mean),
        var_(var),
        weight_(weight),
        bias_(bias),
        residual_(residual),
        eps_(eps),
        lo_(lo),
        hi_(hi),
        y_(y),
        scale_(static_cast<size_t>(2 * d.count * d.c)),
        shift_(scale_.data() + d.count * d.c) {}

  void numbers(int64_t domain) {
    T *const scale = scale_.data() + domain * d.c, *const shift = shift_ + domain * d.c;
    for (int64_t i = 0; i < d.sets; ++i) {
      const int64_t set = domain * d.sets + i;
      const T root = static_cast<T>(inverse_root(var_[set], eps_));
      for (int64_t c = i * d.channels; c < (i + 1) * d.channels; ++c) {
        scale[c] = root * (weight_ ? weight_[c] : T(1));
        shift[c] = (bias_ ? bias_[c] : T(0)) - mean_[set] * scale[c];
      }
    }
  }

  void apply(int64_t task) const {
    const int64_t at = d.at(task), own = task / d.blocks * d.c;
    kernel_.affine(x_ + at, residual_ ? residual_ + at : nullptr, y_ + at, d.rows_of(task), d.c,
                   d.c, scale_.data() + own, shift_ + own, lo_, hi_);
  }

 private:
  const NormLastKernels<T>& kernel_ = kernels_of<T>();
  const Domains& d;
  const T *x_, *mean_, *var_, *weight_, *bias_, *residual_;
  double eps_;
  T lo_, hi_;
  T* y_;
  std::vector<T> scale_;
  T* shift_;
};

}  // namespace

template <class T>
void norm_statistics_last(const NormShape& shape, const T* x, T* mean, T* var, int threads) {
  const Domains d(shape);
  Statistics<T> statistics(d, x, mean, var);
  by_domains(
      d, threads, [&](int64_t task) { statistics.measure(task); },
      [&](int64_t domain) { statistics.join(domain); }, nothing);
}

template <class T>
void norm_apply_last(const NormShape& shape, const T* x, const T* mean, const T* var,
                     const T* weight, const T* bias, const T* residual, double eps, T lo, T hi,
                     T* y, int threads) {
  const Domains d(shape);
  Application<T> norm(d, x, mean, var, weight, bias, residual, eps, lo, hi, y);
  by_domains(
      d, threads, nothing, [&](int64_t domain) { norm.numbers(domain); },
      [&](int64_t task) { norm.apply(task); });
}

template <class T>
void norm_sets_last(const NormShape& shape, const T* x, const T* weight, const T* bias, double eps,
                    T* mean, T* var, T* y, int threads) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const Domains d(shape);
  Statistics<T> statistics(d, x, mean, var);
  Application<T> norm(d, x, mean, var, weight, bias, nullptr, eps, -infinity, infinity, y);
  by_domains(
      d, threads, [&](int64_t task) { statistics.measure(task); },
      [&](int64_t domain) {
        statistics.join(domain);
        norm.numbers(domain);
      },
      [&](int64_t task) { norm.apply(task); });
}

#define FASTCONV_INSTANTIATE(T)                                                                   \
  template void norm_statistics_last<T>(const NormShape&, const T*, T*, T*, int);                 \
  template void norm_apply_last<T>(const NormShape&, const T*, const T*, const T*, const T*,      \
                                   const T*, const T*, double, T, T, T*, int);                    \
  template void norm_sets_last<T>(const NormShape&, const T*, const T*, const T*, double, T*, T*, \
                                  T*, int);
FASTCONV_INSTANTIATE(float)
FASTCONV_INSTANTIATE(double)

}  // namespace fastconv
