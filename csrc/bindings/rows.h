// What the bindings of operators bound by memory share.
#pragma once

#include "../ops/parallel.h"
#include "../ops/pointwise.h"
#include "arrays.h"
#include "module.h"

namespace fastconv {
namespace {

[[maybe_unused]] void same_shape(const char* fn, const char* what, PyArrayObject* a,
                                 PyArrayObject* like) {
  if (shape_of(a) == shape_of(like)) return;
  throw std::invalid_argument(std::string(fn) + ": " + what + " must have shape " +
                              shape_text(shape_of(like)) + ", but got shape " +
                              shape_text(shape_of(a)));
}

[[maybe_unused]] double parse_double(const char* fn, const char* what, PyObject* o) {
  const double v = PyFloat_AsDouble(o);
  if (v == -1.0 && PyErr_Occurred()) {
    PyErr_Clear();
    throw type_error(std::string(fn) + ": " + what + " must be a number, but got " + type_name(o));
  }
  return v;
}

// An array whose elements lie densely in some order of the axes, and what it takes to make another
// in the same order: elementwise functions then run over memory, whatever the layout.
[[maybe_unused]] bool any_order_dense(PyArrayObject* a) {
  const bool dense_memory = PyArray_IS_C_CONTIGUOUS(a) || PyArray_IS_F_CONTIGUOUS(a) ||
                            (PyArray_NDIM(a) >= 3 && channels_last(a, PyArray_NDIM(a) - 2));
  return dense_memory && PyArray_ISALIGNED(a);
}

[[maybe_unused]] Ref flat(PyArrayObject* a) {
  return any_order_dense(a) ? Ref::borrow(reinterpret_cast<PyObject*>(a)) : dense(a);
}

// A new array like a, in its order of memory.
[[maybe_unused]] Ref like(PyArrayObject* a) {
  const Shape shape = shape_of(a);
  const int n = shape.n, type = PyArray_TYPE(a);
  if (PyArray_IS_C_CONTIGUOUS(a)) return new_array(shape, type);
  if (n >= 3 && channels_last(a, n - 2)) return new_channels_last(shape, n - 2, type);
  Shape reversed;
  for (int i = n - 1; i >= 0; --i) reversed.push_back(shape[i]);
  const Ref c = new_array(reversed, type);
  return Ref(PyArray_Transpose(c.array(), nullptr));
}

[[maybe_unused]] bool same_order(PyArrayObject* a, PyArrayObject* b) {
  for (int i = 0; i < PyArray_NDIM(a); ++i) {
    if (PyArray_DIM(a, i) > 1 && PyArray_STRIDE(a, i) != PyArray_STRIDE(b, i)) return false;
  }
  return true;
}

// Threads for rows bound by memory, which pass over an array like x so many times.
[[maybe_unused]] int threads_for(PyArrayObject* x, double passes) {
  return memory_threads(
      passes * static_cast<double>(item_of(PyArray_TYPE(x))) * static_cast<double>(PyArray_SIZE(x)),
      num_threads());
}

}  // namespace
}  // namespace fastconv
