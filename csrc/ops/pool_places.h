// Pools by places: values put where indices say and fetched from there, and maxima of windows that
// share out a plane unevenly.
#pragma once

#include <cstdint>

namespace fastconv {

// Planes (n, c), c varying fastest in memory after the positions where `last`; `count` indices to a
// plane, each naming one of its `size` positions.
struct Places {
  int64_t n, c;
  bool last;
  int64_t count, size;
};

// y = 0 but for y[index] = x, or += x where `add`. False if an index names no position.
template <class T>
bool place(const Places& p, const T* x, const int64_t* index, bool add, T* y, int threads);

// y = x[index]. False if an index names no position.
template <class T>
bool fetch(const Places& p, const T* x, const int64_t* index, T* y, int threads);

// Output i of an axis covers inputs floor(i in / out) up to ceil((i + 1) in / out).
struct SharedWindows {
  int64_t in[3], out[3];
  int64_t begin(int axis, int64_t i) const { return i * in[axis] / out[axis]; }
  int64_t end(int axis, int64_t i) const {
    return ((i + 1) * in[axis] + out[axis] - 1) / out[axis];
  }
};

// The largest values and their positions in the plane: the first of equals, a NaN over everything.
template <class T>
void adaptive_max(const Places& p, const SharedWindows& w, const T* x, T* y, int64_t* index,
                  int threads);

}  // namespace fastconv
