// Numbers, texts and shapes out of Python objects. What is refused is said in the user's words:
// `fn` is the public function's name, `what` the argument's.
#pragma once

#include "interpreter.h"

namespace fastconv {

[[noreturn]] void wrong_type(const char* fn, const char* what, const char* expected,
                             const std::string& got);

// Python's name for an object's type.
std::string type_name(PyObject* o);

inline void expect_args(Py_ssize_t got, Py_ssize_t want) {
  if (got != want) throw type_error("wrong number of arguments for a fastconv._core function");
}

// The number of spatial axes: 1, 2 or 3. The Python layer gives it, no user does.
int parse_rank(PyObject* o);

// One int; TypeError for bool and float, ValueError for what does not fit 64 bits.
int64_t parse_int(const char* fn, const char* what, PyObject* o);

// One int for all axes, or a sequence of `rank` (or one) ints.
Shape parse_ints(const char* fn, const char* what, PyObject* o, int rank);

// int, ints, one (before, after) pair per axis, or where `named` "same", "valid", "same_upper",
// "same_lower".
Padding parse_padding(const char* fn, PyObject* o, int rank, bool named);

bool parse_bool(const char* fn, const char* what, PyObject* o);

// The text of a str argument, valid as long as the object.
const char* parse_text(const char* fn, const char* what, PyObject* o);

// A shape given as a sequence of ints (an array's .shape).
Shape parse_shape(const char* fn, const char* what, PyObject* o);

Ref shape_tuple(const Shape& s);

}  // namespace fastconv
