#include "pool.h"

#include <atomic>

#include "parallel.h"
#include "pool_plain.h"

namespace fastconv {

template <class T>
bool max_pool_backward(const PoolProblem& p, const T* dy, const int64_t* index, T* dx,
                       int threads) {
  const int64_t in = p.in_plane(), out = p.out_plane();
  std::atomic<bool> valid{true};
  parallel_for(p.planes(), threads, [&](int64_t i, int) {
    T* plane = dx + i * in;
    std::fill_n(plane, in, T(0));
    for (int64_t o = i * out; o < (i + 1) * out; ++o) {
      const int64_t at = index[o];
      if (static_cast<uint64_t>(at) < static_cast<uint64_t>(in)) {
        plane[at] += dy[o];
      } else if (at != -1) {
        valid.store(false, std::memory_order_relaxed);
      }
    }
  });
  return valid.load();
}

template <class T>
void average_pool_backward(const PoolProblem& p, const AverageRule& rule, const T* dy, T* dx,
                           int threads) {
  parallel_for(p.planes(), threads, [&](int64_t i, int) {
    T* plane = dx + i * p.in_plane();
    std::fill_n(plane, p.in_plane(), T(0));
    plain_average_backward(p, rule, dy + i * p.out_plane(), plane);
  });
}

template bool max_pool_backward<float>(const PoolProblem&, const float*, const int64_t*, float*,
                                       int);
template bool max_pool_backward<double>(const PoolProblem&, const double*, const int64_t*, double*,
                                        int);
template void average_pool_backward<float>(const PoolProblem&, const AverageRule&, const float*,
                                           float*, int);
template void average_pool_backward<double>(const PoolProblem&, const AverageRule&, const double*,
                                            double*, int);

}  // namespace fastconv
