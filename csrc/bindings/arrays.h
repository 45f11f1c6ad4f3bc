// NumPy arrays in and out of the kernels: the one gate where dtypes, shapes and memory are checked.
// Uses NumPy's C API directly and fast calls: a small convolution takes about a microsecond, which
// a general argument caster would double.
#pragma once

#include "arguments.h"

namespace fastconv {

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

Shape shape_of(PyArrayObject* a);

// NumPy's name for an array's dtype.
std::string dtype_name(PyArrayObject* a);

// ValueError unless `what`, a residual or a gradient, has the output's shape.
void check_output_shape(const char* fn, const char* what, PyArrayObject* a, const Shape& output);

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

}  // namespace fastconv
