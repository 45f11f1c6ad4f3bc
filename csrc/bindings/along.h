// How the bindings of what runs along an axis see their arrays.
#pragma once

#include "rows.h"

namespace fastconv {
namespace {

// Vectors of d elements: outer of them one after the other, inner of them beside each other.
struct Along {
  int64_t outer, d, inner;
  bool last;  // the array's channels lie last in memory, and are the axis
};

[[maybe_unused]] Along along(const char* fn, PyArrayObject* x, PyObject* axis) {
  const int n = PyArray_NDIM(x);
  const int64_t at = parse_int(fn, "axis", axis);
  if (at < 0 || at >= n) {
    throw std::invalid_argument(std::string(fn) + ": the array has no axis " + std::to_string(at));
  }
  const bool last = n >= 3 && at == 1 && channels_last(x, n - 2);
  Along a{1, PyArray_DIM(x, static_cast<int>(at)), 1, last};
  for (int i = 0; i < n; ++i) {
    if (i != at) (i < at || last ? a.outer : a.inner) *= PyArray_DIM(x, i);
  }
  return a;
}

[[maybe_unused]] Ref ordered(PyArrayObject* a, bool last) {
  return last ? dense_channels_last(a, PyArray_NDIM(a) - 2) : dense(a);
}

[[maybe_unused]] Ref new_ordered(PyArrayObject* a, bool last) {
  const int type = PyArray_TYPE(a);
  return last ? new_channels_last(shape_of(a), PyArray_NDIM(a) - 2, type)
              : new_array(shape_of(a), type);
}

}  // namespace
}  // namespace fastconv
