#include <limits>
#include <vector>

#include "norm_domains.h"
#include "norm_last.h"
#include "parallel.h"

namespace fastconv {

void by_domains(const Domains& d, int threads, const DomainStep& first, const DomainStep& join,
                const DomainStep& last) {
  if (d.count > 1 && d.count >= threads) {
    return parallel_for(d.count, threads, [&](int64_t domain, int) {
      const int64_t begin = domain * d.blocks, end = begin + d.blocks;
      for (int64_t task = begin; task < end; ++task) first(task);
      join(domain);
      for (int64_t task = begin; task < end; ++task) last(task);
    });
  }
  parallel_for(d.tasks(), threads, [&](int64_t task, int) { first(task); });
  for (int64_t domain = 0; domain < d.count; ++domain) join(domain);
  parallel_for(d.tasks(), threads, [&](int64_t task, int) { last(task); });
}

namespace {

// With m1 = <w g>, m2 = <w g xhat> over a set, dx = a g + b x + k with a number each for every
// channel. Where mean and var are constants dx = a g.
template <class T>
class Gradient {
 public:
  Gradient(const Domains& d, const T* g, const T* x, const T* mean, const T* var, const T* weight,
           double eps, bool fixed, T* dx)
      : d(d),
        g_(g),
        x_(x),
        mean_(mean),
        var_(var),
        weight_(weight),
        eps_(eps),
        fixed_(fixed),
        dx_(dx),
        numbers_(4 * all()),
        parts_(static_cast<size_t>(2 * d.tasks() * d.c)),
        sums_(2 * all()) {
    T *const centre = numbers(0), *const a = numbers(1);
    for (int64_t set = 0, at = 0; set < d.count * d.sets; ++set) {
      const T root = static_cast<T>(inverse_root(var[set], eps));
      for (int64_t i = 0; i < d.channels; ++i, ++at) {
        centre[at] = mean[set];
        a[at] = root * (weight ? weight[set % d.sets * d.channels + i] : T(1));
      }
    }
  }

  void measure(int64_t task) {
    const int64_t at = d.at(task), rows = d.rows_of(task), own = task / d.blocks * d.c;
    kernel_.dots(g_ + at, x_ + at, numbers(0) + own, rows, d.c, d.c, nullptr,
                 parts_.data() + 2 * task * d.c);
    if (!fixed_ || !dx_) return;
    constexpr T infinity = std::numeric_limits<T>::infinity();
    kernel_.affine(g_ + at, nullptr, dx_ + at, rows, d.c, d.c, numbers(1) + own, numbers(3) + own,
                   -infinity, infinity);
  }

  void join(int64_t domain) {
    const int64_t own = domain * d.c;
    double* const sums = sums_.data() + 2 * own;  // of g, then of g xhat
    for (int64_t task = domain * d.blocks; task < (domain + 1) * d.blocks; ++task) {
      const T* part = parts_.data() + 2 * task * d.c;
      for (int64_t i = 0; i < 2 * d.c; ++i) sums[i] += static_cast<double>(part[i]);
    }
    T *const b = numbers(2) + own, *const k = numbers(3) + own;
    for (int64_t i = 0; i < d.sets; ++i) {
      const int64_t set = domain * d.sets + i, c0 = i * d.channels, c1 = c0 + d.channels;
      const double r = inverse_root(var_[set], eps_),
                   count = static_cast<double>(d.rows * d.channels);
      double m1 = 0, m2 = 0;
      for (int64_t c = c0; c < c1; ++c) {
        const double w = weight_ ? static_cast<double>(weight_[c]) : 1.0;
        sums[d.c + c] *= r;
        m1 += w * sums[c];
        m2 += w * sums[d.c + c];
      }
      if (fixed_) continue;
      for (int64_t c = c0; c < c1; ++c) {
        b[c] = static_cast<T>(-r * r * m2 / count);
        k[c] = static_cast<T>(-r * m1 / count) - b[c] * mean_[set];
      }
    }
  }

  void apply(int64_t task) const {
    if (fixed_ || !dx_) return;
    const int64_t at = d.at(task), own = task / d.blocks * d.c;
    kernel_.affine2(g_ + at, x_ + at, dx_ + at, d.rows_of(task), d.c, d.c, numbers(1) + own,
                    numbers(2) + own, numbers(3) + own, nullptr);
  }

  // which: 0 for the bias, 1 for the weight.
  void total(int which, T* to) const {
    for (int64_t c = 0; to && c < d.c; ++c) {
      double sum = 0;
      for (int64_t domain = 0; domain < d.count; ++domain) {
        sum += sums_[static_cast<size_t>((2 * domain + which) * d.c + c)];
      }
      to[c] = static_cast<T>(sum);
    }
  }

 private:
  size_t all() const { return static_cast<size_t>(d.count * d.c); }
  T* numbers(size_t which) { return numbers_.data() + which * all(); }
  const T* numbers(size_t which) const { return numbers_.data() + which * all(); }

  const NormLastKernels<T>& kernel_ = kernels_of<T>();
  const Domains& d;
  const T *g_, *x_, *mean_, *var_, *weight_;
  double eps_;
  bool fixed_;
  T* dx_;
  std::vector<T> numbers_;  // centre, a, b, k
  std::vector<T> parts_;
  std::vector<double> sums_;
};

}  // namespace

template <class T>
void norm_backward_last(const NormShape& shape, const T* g, const T* x, const T* mean, const T* var,
                        const T* weight, double eps, bool fixed, T* dx, T* dweight, T* dbias,
                        int threads) {
  const Domains d(shape);
  Gradient<T> gradient(d, g, x, mean, var, weight, eps, fixed, dx);
  by_domains(
      d, threads, [&](int64_t task) { gradient.measure(task); },
      [&](int64_t domain) { gradient.join(domain); }, [&](int64_t task) { gradient.apply(task); });
  gradient.total(0, dbias);
  gradient.total(1, dweight);
}

template void norm_backward_last<float>(const NormShape&, const float*, const float*, const float*,
                                        const float*, const float*, double, bool, float*, float*,
                                        float*, int);
template void norm_backward_last<double>(const NormShape&, const double*, const double*,
                                         const double*, const double*, const double*, double, bool,
                                         double*, double*, double*, int);

}  // namespace fastconv
