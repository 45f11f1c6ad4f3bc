// The likelihood's loss through the logarithm of a softmax: one pass back through both.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "../isa.h"
#include "loss.h"
#include "parallel.h"

namespace fastconv {
namespace {

constexpr int64_t kElements = 4096;  // of a task over rows
constexpr int64_t kColumns = 256;    // of a task over columns

// What position i sends back. Its gradient by the logarithm of class c is -(even w[c]), less `own`
// for the target; so by the score it is exp(log_p[c]) total - even w[c], less `own`.
template <class T>
struct Sent {
  const Classes& k;
  const T *g, *weight;
  bool each;
  T own_share, even_share, weights;  // weights: the sum over the classes

  bool counts(int64_t i) const { return k.target[i] != k.ignored; }
  T gradient(int64_t i) const { return each ? g[i] : *g; }
  T own(int64_t i) const {
    if (!counts(i)) return T(0);
    return gradient(i) * (weight ? own_share * weight[k.target[i]] : own_share);
  }
  T even(int64_t i) const { return counts(i) ? gradient(i) * even_share : T(0); }
  T total(int64_t i) const { return own(i) + even(i) * weights; }
  T of_class(int64_t c) const { return weight ? weight[c] : T(1); }
};

// Classes side by side: rows [begin, end) of the scores.
template <class T>
void rows_back(const Sent<T>& sent, const T* log_p, T* dx, int64_t begin, int64_t end) {
  const auto exp_times = of_type<T>(*kernels().loss).exp_times;
  const int64_t c = sent.k.c;
  // One factor for all that count; not where it would spoil the others.
  const T all = *sent.g * (sent.own_share + sent.even_share * sent.weights);
  const bool alike = !sent.each && !sent.weight && std::isfinite(all);
  if (alike) exp_times(log_p + begin * c, &all, false, dx + begin * c, (end - begin) * c);
  if (alike && sent.even_share == 0) {
    const T own = sent.own_share * *sent.g;
    T* row = dx + begin * c;
    for (int64_t i = begin; i < end; ++i, row += c) {
      const int64_t target = sent.k.target[i];
      if (target != sent.k.ignored) {
        row[target] -= own;
      } else {
        for (int64_t j = 0; j < c; ++j) row[j] *= T(0);  // NaN stays
      }
    }
    return;
  }
  for (int64_t i = begin; i < end; ++i) {
    T* row = dx + i * c;
    if (!alike || !sent.counts(i)) {
      const T total = sent.total(i);
      exp_times(log_p + i * c, &total, false, row, c);
    }
    if (!sent.counts(i)) continue;
    const T even = sent.even(i);
    if (even != 0) {
      for (int64_t j = 0; j < c; ++j) row[j] -= even * sent.of_class(j);
    }
    row[sent.k.target[i]] -= sent.own(i);
  }
}

// Classes far apart: `columns` positions from `at` on of image n.
template <class T>
void columns_back(const Sent<T>& sent, const T* log_p, T* dx, int64_t n, int64_t at,
                  int64_t columns) {
  const auto exp_times = of_type<T>(*kernels().loss).exp_times;
  const Classes& k = sent.k;
  const int64_t first = n * k.s + at, image = n * k.c * k.s + at;
  T total[kColumns], even[kColumns];
  for (int64_t i = 0; i < columns; ++i) {
    total[i] = sent.total(first + i);
    even[i] = sent.even(first + i);
  }
  for (int64_t c = 0; c < k.c; ++c) {
    T* row = dx + image + c * k.s;
    exp_times(log_p + image + c * k.s, total, true, row, columns);
    if (sent.even_share == 0) continue;
    const T w = sent.of_class(c);
    for (int64_t i = 0; i < columns; ++i) row[i] -= even[i] * w;
  }
  for (int64_t i = 0; i < columns; ++i) {
    if (sent.counts(first + i)) dx[image + k.target[first + i] * k.s + i] -= sent.own(first + i);
  }
}

}  // namespace

template <class T>
void cross_entropy_backward(const Classes& k, const T* g, bool each, const T* log_p,
                            const T* weight, double scale, double smoothing, T* dx, int threads) {
  if (k.count() == 0 || k.c == 0) return;
  T weights = static_cast<T>(k.c);
  if (weight) weights = std::accumulate(weight, weight + k.c, T(0));
  const Sent<T> sent{k,
                     g,
                     weight,
                     each,
                     static_cast<T>(scale * (1 - smoothing)),
                     static_cast<T>(scale * smoothing / static_cast<double>(k.c)),
                     weights};
  if (k.s == 1 || k.last) {
    const int64_t rows = std::max<int64_t>(kElements / k.c, 1);
    parallel_for((k.count() + rows - 1) / rows, threads, [&](int64_t task, int) {
      rows_back(sent, log_p, dx, task * rows, std::min(k.count(), (task + 1) * rows));
    });
    return;
  }
  const int64_t stretches = (k.s + kColumns - 1) / kColumns;
  parallel_for(k.n * stretches, threads, [&](int64_t task, int) {
    const int64_t at = task % stretches * kColumns;
    columns_back(sent, log_p, dx, task / stretches, at, std::min(kColumns, k.s - at));
  });
}

template void cross_entropy_backward(const Classes&, const float*, bool, const float*, const float*,
                                     double, double, float*, int);
template void cross_entropy_backward(const Classes&, const double*, bool, const double*,
                                     const double*, double, double, double*, int);

}  // namespace fastconv
