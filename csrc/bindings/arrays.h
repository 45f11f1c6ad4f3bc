// NumPy arrays in and out of the kernels: the one gate where dtypes, shapes and memory are checked.
// Uses NumPy's C API directly and fast calls: a small convolution takes about a microsecond, which
// a general argument caster would double.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#ifndef FASTCONV_IMPORT_ARRAY
#define NO_IMPORT_ARRAY
#endif
#define PY_ARRAY_UNIQUE_SYMBOL fastconv_array_api
#include <numpy/arrayobject.h>

#include <new>
#include <string>

#include "../problem.h"

namespace fastconv {

// A Python exception is already set.
struct python_error {};

// An owned reference.
class Ref {
 public:
  Ref() = default;
  explicit Ref(PyObject* owned) : p_(owned) {
    if (!p_) throw python_error{};
  }
  static Ref borrow(PyObject* p) {
    Py_INCREF(p);
    return Ref(p);
  }
  Ref(Ref&& o) noexcept : p_(o.p_) { o.p_ = nullptr; }
  Ref& operator=(Ref&& o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Ref() { Py_XDECREF(p_); }
  PyObject* get() const { return p_; }
  PyArrayObject* array() const { return reinterpret_cast<PyArrayObject*>(p_); }
  PyObject* release() {
    PyObject* p = p_;
    p_ = nullptr;
    return p;
  }
  explicit operator bool() const { return p_ != nullptr; }

 private:
  PyObject* p_ = nullptr;
};

// Runs body, which returns a new reference, turning C++ exceptions into Python ones.
template <class Body>
PyObject* guarded(const Body& body) noexcept {
  try {
    return body();
  } catch (const python_error&) {
  } catch (const type_error& e) {
    PyErr_SetString(PyExc_TypeError, e.what());
  } catch (const std::invalid_argument& e) {
    PyErr_SetString(PyExc_ValueError, e.what());
  } catch (const std::overflow_error& e) {
    PyErr_SetString(PyExc_ValueError, e.what());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  }
  return nullptr;
}

// Other Python threads run while one of these lives.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() { PyEval_RestoreThread(state_); }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

// Runs body(float{}) or body(double{}), as NumPy's type number says, without the GIL.
template <class Body>
void typed(int type, const Body& body) {
  const WithoutGil free;
  if (type == NPY_FLOAT) {
    body(float{});
  } else {
    body(double{});
  }
}

// Bytes of an element.
inline size_t item_of(int type) {
  return type == NPY_FLOAT ? 4 : 8;
}

// The elements of a dense array, or null where there is no array.
template <class T>
T* data(const Ref& a) {
  return a ? static_cast<T*>(PyArray_DATA(a.array())) : nullptr;
}

inline void expect_args(Py_ssize_t got, Py_ssize_t want) {
  if (got != want) throw type_error("wrong number of arguments for a fastconv._core function");
}

Shape shape_of(PyArrayObject* a);

// The object as an array of native float32 or float64; TypeError naming `what` otherwise.
// Borrowed: nothing is copied.
PyArrayObject* float_array(const char* fn, const char* what, PyObject* o);

// The same, and of the dtype that `like` has.
PyArrayObject* float_array_like(const char* fn, const char* what, PyObject* o, PyArrayObject* like);

// The elements of one array into another of its shape, whatever the strides of both.
void copy_into(PyArrayObject* to, PyArrayObject* from);

// C-contiguous and aligned: the array itself where it is already, else a copy.
Ref dense(PyArrayObject* a);

// Whether memory order is (N, spatial..., C) for an array of shape (N, C, spatial...), and it is
// not C order at the same time. Unbatched arrays (rank + 1 axes) too.
bool channels_last(PyArrayObject* a, int rank);

// The array itself where its memory is channels-last and aligned, else a copy that is.
Ref dense_channels_last(PyArrayObject* a, int rank);

// A new C-contiguous array; large ones live in recycled memory.
Ref new_array(const Shape& shape, int type);

// A new array of shape (N, C, spatial...) whose memory order is (N, spatial..., C).
Ref new_channels_last(const Shape& shape, int rank, int type);

// Where a result is computed and how it reaches the caller. The kernels write a dense array; the
// caller gets that one, or their own `out`, or a channels-last copy.
class Result {
 public:
  // out: None or the user's array, checked against shape, dtype and overlap with the inputs.
  Result(const char* fn, PyObject* out, const Shape& shape, int type, bool as_channels_last,
         int rank, std::initializer_list<PyArrayObject*> inputs);
  void* data() const { return PyArray_DATA(dense_.array()); }
  PyObject* finish();  // a new reference

 private:
  Ref dense_, target_;
};

// ValueError unless the byte ranges of a and b are disjoint.
bool may_overlap(PyArrayObject* a, PyArrayObject* b);

// ---- numbers ----

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

// Python's names for an object's type and an array's dtype, for messages.
std::string type_name(PyObject* o);
std::string dtype_name(PyArrayObject* a);

}  // namespace fastconv
