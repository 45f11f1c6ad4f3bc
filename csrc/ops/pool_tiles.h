// Windows that lie far apart or do not overlap: those of a classifier's last stage, of adaptive
// pools and of plain downsampling.
#pragma once

#include <vector>

#include "pool.h"

namespace fastconv {

// Whether reduce_windows does a pool better than passes along the rows first.
bool far_apart(const PoolProblem& p);

// Windows as ranges of elements, the same for every plane.
struct WindowRanges {
  struct Range {
    int64_t at, count, step;
  };
  int64_t in[3];
  std::vector<Range> axis[3];  // one a window
  int64_t planes;
  int64_t inner = 1;  // values beside each other: the channels of channels-last images
  int64_t out(int i) const { return static_cast<int64_t>(axis[i].size()); }
};

// The windows of a pool, and those that share out the extents of an adaptive one.
WindowRanges pool_ranges(const PoolProblem& p, bool last);
WindowRanges shared_ranges(const int64_t* in, const int64_t* out, int64_t planes, int64_t inner);

// The largest element of each window, or the sum divided by divisors[window], whose rows are
// summed first, then along the width, where little is left to do. Maxima as in pool.h.
template <class T>
void window_maxima(const WindowRanges& w, const T* x, T* y, int threads);
template <class T>
void window_averages(const WindowRanges& w, const T* divisors, const T* x, T* y, int threads);

// divisors[window] of a pool, and how many elements each window has.
template <class T>
std::vector<T> window_divisors(const PoolProblem& p, const AverageRule& rule);
template <class T>
std::vector<T> window_sizes(const WindowRanges& w);

// Backward: whether no element is in two windows, and each element's share of the one it is in.
bool fits_average_tiles(const PoolProblem& p);
template <class T>
void average_tiles_backward(const PoolProblem& p, const AverageRule& rule, bool last, const T* dy,
                            T* dx, int threads);

}  // namespace fastconv
