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

}  // namespace
}  // namespace fastconv
