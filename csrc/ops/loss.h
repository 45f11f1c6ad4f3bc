// Losses: pairs compared element by element, and the likelihood of classes.
#pragma once

#include <cstdint>

namespace fastconv {

// The row of the table called `name`; throws std::invalid_argument listing the names.
int pair_index(const char* name);

// y[i] = l(x[i], t[i])
template <class T>
void pair_each(int index, const T* x, const T* t, T* y, int64_t n, double a, int threads);

// The sum of them, over fixed pieces: the same for any number of threads.
template <class T>
double pair_sum(int index, const T* x, const T* t, int64_t n, double a, int threads);

// dx[i] = g[i] dl/dx; g is one number for all unless `each`.
template <class T>
void pair_backward(int index, const T* g, bool each, const T* x, const T* t, T* dx, int64_t n,
                   double a, int threads);

// Scores (n, c, s) with one class for each (n, s); those of the ignored class do not count.
struct Classes {
  int64_t n, c, s;
  const int64_t* target;
  int64_t ignored;
  bool last;  // channels-last memory: (n, s, c)
  int64_t at(int64_t i, int64_t position, int64_t k) const {
    return i * c * s + (last ? position * c + k : k * s + position);
  }
  int64_t count() const { return n * s; }
  // The first target that is no class, or -1.
  int64_t misfit() const;
};

// loss = -weight[target] score[target], share = weight[target], both (n, s); weight (c) or null.
// Smoothing spreads that much of a target evenly over all classes.
template <class T>
void likelihood(const Classes& k, const T* score, const T* weight, double smoothing, T* loss,
                double* total, double* shares, int threads);

// dscore = -scale g weight[target] at the targets, or its share of the smoothing; g is one number
// unless `each`.
template <class T>
void likelihood_backward(const Classes& k, const T* g, bool each, const T* weight, double scale,
                         double smoothing, T* dscore, int threads);

// The same where the scores are log_p, the logarithm of a softmax: dx is the gradient of what that
// was taken of.
template <class T>
void cross_entropy_backward(const Classes& k, const T* g, bool each, const T* log_p,
                            const T* weight, double scale, double smoothing, T* dx, int threads);

}  // namespace fastconv
