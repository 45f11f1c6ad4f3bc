#include "loss.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "../isa.h"
#include "parallel.h"

namespace fastconv {
namespace {

constexpr int64_t kPiece = 4096;  // elements of a partial sum

}  // namespace

int pair_index(const char* name) {
  const auto& table = kernels().loss->f32.pair;
  std::string choices;
  for (int i = 0; i < kPairCount; ++i) {
    if (!std::strcmp(table[i].name, name)) return i;
    choices += std::string(i ? ", " : "") + table[i].name;
  }
  throw std::invalid_argument("pair_loss: unknown loss '" + std::string(name) +
                              "'; known: " + choices);
}

template <class T>
void pair_each(int index, const T* x, const T* t, T* y, int64_t n, double a, int threads) {
  const auto& kernel = of_type<T>(*kernels().loss).pair[index];
  parallel_for((n + kPiece - 1) / kPiece, threads, [&](int64_t piece, int) {
    const int64_t at = piece * kPiece;
    kernel.each(x + at, t + at, y + at, std::min(kPiece, n - at), static_cast<T>(a));
  });
}

template <class T>
double pair_sum(int index, const T* x, const T* t, int64_t n, double a, int threads) {
  const auto& kernel = of_type<T>(*kernels().loss).pair[index];
  const int64_t pieces = (n + kPiece - 1) / kPiece;
  std::vector<T> sums(static_cast<size_t>(pieces));
  parallel_for(pieces, threads, [&](int64_t piece, int) {
    const int64_t at = piece * kPiece;
    sums[static_cast<size_t>(piece)] =
        kernel.sum(x + at, t + at, std::min(kPiece, n - at), static_cast<T>(a));
  });
  double total = 0;
  for (const T s : sums) total += static_cast<double>(s);
  return total;
}

template <class T>
void pair_backward(int index, const T* g, bool each, const T* x, const T* t, T* dx, int64_t n,
                   double a, int threads) {
  const auto& kernel = of_type<T>(*kernels().loss).pair[index];
  parallel_for((n + kPiece - 1) / kPiece, threads, [&](int64_t piece, int) {
    const int64_t at = piece * kPiece;
    kernel.backward(each ? g + at : g, each, x + at, t + at, dx + at, std::min(kPiece, n - at),
                    static_cast<T>(a));
  });
}

int64_t Classes::misfit() const {
  for (int64_t i = 0; i < count(); ++i) {
    if (target[i] != ignored && (target[i] < 0 || target[i] >= c)) return i;
  }
  return -1;
}

namespace {

// even[s] = the sum over classes of the weighted scores of image n.
template <class T>
void even_sums(const Classes& k, int64_t n, const T* score, const T* weight, T* even) {
  const auto sum = of_type<T>(*kernels().gemm).sum;
  const T* image = score + n * k.c * k.s;
  if (k.s == 1 || k.last) {
    for (int64_t s = 0; s < k.s; ++s) {
      const T* row = image + s * k.c;
      if (weight) {
        T total = 0;
        for (int64_t c = 0; c < k.c; ++c) total += weight[c] * row[c];
        even[s] = total;
      } else if (k.c < 16) {
        T total = 0;
        for (int64_t c = 0; c < k.c; ++c) total += row[c];
        even[s] = total;
      } else {
        even[s] = sum(row, k.c);
      }
    }
    return;
  }
  std::fill_n(even, k.s, T(0));
  for (int64_t c = 0; c < k.c; ++c) {
    const T w = weight ? weight[c] : T(1);
    for (int64_t s = 0; s < k.s; ++s) even[s] += w * image[c * k.s + s];
  }
}

}  // namespace

template <class T>
void likelihood(const Classes& k, const T* score, const T* weight, double smoothing, T* loss,
                double* total, double* shares, int threads) {
  const T own = static_cast<T>(1 - smoothing),
          others = static_cast<T>(smoothing / static_cast<double>(k.c));
  if (smoothing != 0) {
    parallel_for(k.n, threads,
                 [&](int64_t n, int) { even_sums(k, n, score, weight, loss + n * k.s); });
  }
  double sum = 0, share_sum = 0;
  for (int64_t n = 0, i = 0; n < k.n; ++n) {
    for (int64_t s = 0; s < k.s; ++s, ++i) {
      const int64_t t = k.target[i];
      if (t == k.ignored) {
        loss[i] = T(0);
        continue;
      }
      const T share = weight ? weight[t] : T(1), target = score[k.at(n, s, t)] * share;
      loss[i] = smoothing != 0 ? -(own * target + others * loss[i]) : -target;
      sum += static_cast<double>(loss[i]);
      share_sum += static_cast<double>(share);
    }
  }
  *total = sum;
  *shares = share_sum;
}

template <class T>
void likelihood_backward(const Classes& k, const T* g, bool each, const T* weight, double scale,
                         double smoothing, T* dscore, int threads) {
  const double own = scale * (1 - smoothing), others = scale * smoothing / static_cast<double>(k.c);
  // What every class of the target at i gets of its share of the smoothing.
  const auto even = [&](int64_t i) {
    return k.target[i] == k.ignored ? T(0) : -(each ? g[i] : *g) * static_cast<T>(others);
  };
  parallel_for(k.n, threads, [&](int64_t n, int) {
    T* image = dscore + n * k.c * k.s;
    if (smoothing == 0) {
      std::memset(image, 0, static_cast<size_t>(k.c * k.s) * sizeof(T));
    } else if (k.s == 1 || k.last) {
      for (int64_t s = 0; s < k.s; ++s) {
        const T v = even(n * k.s + s);
        for (int64_t c = 0; c < k.c; ++c) image[s * k.c + c] = weight ? v * weight[c] : v;
      }
    } else {
      for (int64_t c = 0; c < k.c; ++c) {
        const T w = weight ? weight[c] : T(1);
        for (int64_t s = 0; s < k.s; ++s) image[c * k.s + s] = even(n * k.s + s) * w;
      }
    }
    for (int64_t s = 0; s < k.s; ++s) {
      const int64_t i = n * k.s + s, t = k.target[i];
      if (t == k.ignored) continue;
      const T share = static_cast<T>(own * static_cast<double>(weight ? weight[t] : T(1)));
      dscore[k.at(n, s, t)] -= (each ? g[i] : *g) * share;
    }
  });
}

#define FASTCONV_INSTANTIATE(T)                                                                  \
  template void pair_each<T>(int, const T*, const T*, T*, int64_t, double, int);                 \
  template double pair_sum<T>(int, const T*, const T*, int64_t, double, int);                    \
  template void pair_backward<T>(int, const T*, bool, const T*, const T*, T*, int64_t, double,   \
                                 int);                                                           \
  template void likelihood<T>(const Classes&, const T*, const T*, double, T*, double*, double*,  \
                              int);                                                              \
  template void likelihood_backward<T>(const Classes&, const T*, bool, const T*, double, double, \
                                       T*, int);
FASTCONV_INSTANTIATE(float)
FASTCONV_INSTANTIATE(double)

}  // namespace fastconv
