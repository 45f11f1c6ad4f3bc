#include "arrays.h"

#include <algorithm>

#include "../ops/memory.h"
#include "../ops/parallel.h"
#include "../ops/pointwise.h"
#include "../ops/strided.h"

namespace fastconv {
namespace {

constexpr char kCapsule[] = "fastconv.memory";

void free_capsule(PyObject* capsule) {
  release(PyCapsule_GetPointer(capsule, kCapsule));
}

}  // namespace

std::string dtype_name(PyArrayObject* a) {
  Ref text(PyObject_Str(reinterpret_cast<PyObject*>(PyArray_DESCR(a))));
  const char* s = PyUnicode_AsUTF8(text.get());
  if (!s) throw python_error{};
  return s;
}

Shape shape_of(PyArrayObject* a) {
  Shape s;
  s.n = PyArray_NDIM(a);
  std::copy_n(PyArray_DIMS(a), s.n, s.v);
  return s;
}

void check_output_shape(const char* fn, const char* what, PyArrayObject* a, const Shape& output) {
  if (shape_of(a) == output) return;
  throw std::invalid_argument(std::string(fn) + ": " + what + " must have the output's shape " +
                              shape_text(output) + ", but got shape " + shape_text(shape_of(a)));
}

PyArrayObject* float_array(const char* fn, const char* what, PyObject* o) {
  if (!PyArray_Check(o)) wrong_type(fn, what, "a NumPy array", type_name(o));
  auto* a = reinterpret_cast<PyArrayObject*>(o);
  const int type = PyArray_TYPE(a);
  if ((type != NPY_FLOAT && type != NPY_DOUBLE) || !PyArray_ISNOTSWAPPED(a)) {
    wrong_type(fn, what, "float32 or float64 in native byte order", dtype_name(a));
  }
  return a;
}

PyArrayObject* float_array_like(const char* fn, const char* what, PyObject* o,
                                PyArrayObject* like) {
  PyArrayObject* a = float_array(fn, what, o);
  if (PyArray_TYPE(a) != PyArray_TYPE(like)) {
    wrong_type(fn, what, (dtype_name(like) + " like the other arrays").c_str(), dtype_name(a));
  }
  return a;
}

void copy_into(PyArrayObject* to, PyArrayObject* from) {
  const int n = PyArray_NDIM(from);
  const npy_intp item = PyArray_ITEMSIZE(from), size = PyArray_SIZE(from);
  bool simple = size > 0 && PyArray_NDIM(to) == n && PyArray_TYPE(to) == PyArray_TYPE(from) &&
                PyTypeNum_ISNUMBER(PyArray_TYPE(to)) && PyArray_ISALIGNED(to) &&
                PyArray_ISALIGNED(from) && PyArray_ISNOTSWAPPED(to) && PyArray_ISNOTSWAPPED(from);
  CopyAxis axes[64];
  for (int i = 0; simple && i < n; ++i) {
    const npy_intp f = PyArray_STRIDE(from, i), t = PyArray_STRIDE(to, i);
    simple = PyArray_DIM(from, i) == PyArray_DIM(to, i) && f % item == 0 && t % item == 0 &&
             (t > 0 || PyArray_DIM(to, i) == 1);
    axes[i] = {PyArray_DIM(from, i), f / item, t / item};
  }
  if (!simple || !can_copy_strided(axes, n, static_cast<size_t>(item)) || may_overlap(to, from)) {
    if (PyArray_CopyInto(to, from) < 0) throw python_error{};
    return;
  }
  const int threads = memory_threads(2.0 * static_cast<double>(item * size), num_threads());
  const WithoutGil free;
  copy_strided(axes, n, static_cast<size_t>(item), PyArray_DATA(from), PyArray_DATA(to), threads);
}

Ref dense(PyArrayObject* a) {
  if (PyArray_ISCARRAY_RO(a)) return Ref::borrow(reinterpret_cast<PyObject*>(a));
  Ref copy = new_array(shape_of(a), PyArray_TYPE(a));
  copy_into(copy.array(), a);
  return copy;
}

bool channels_last(PyArrayObject* a, int rank) {
  const int n = PyArray_NDIM(a);
  const int c = n - rank - 1;
  if (c < 0 || PyArray_IS_C_CONTIGUOUS(a)) return false;
  const npy_intp* dims = PyArray_DIMS(a);
  const npy_intp* strides = PyArray_STRIDES(a);
  npy_intp expected = PyArray_ITEMSIZE(a);
  const auto follows = [&](int axis) {
    if (dims[axis] != 1 && strides[axis] != expected) return false;
    expected *= dims[axis];
    return true;
  };
  if (!follows(c)) return false;
  for (int axis = n - 1; axis > c; --axis) {
    if (!follows(axis)) return false;
  }
  return c == 0 || follows(0);
}

namespace {

size_t bytes_of(int type) {
  return type == NPY_UINT8 ? 1 : type == NPY_FLOAT || type == NPY_INT32 ? 4 : 8;
}

// strides: null for C order.
Ref new_strided(const Shape& shape, const npy_intp* strides, int type) {
  constexpr size_t kRecycled = 64 << 10;
  npy_intp dims[64];
  std::copy_n(shape.v, shape.n, dims);
  size_t bytes = bytes_of(type);
  for (int64_t d : shape) {
    if (__builtin_mul_overflow(bytes, static_cast<size_t>(d), &bytes)) throw std::bad_alloc();
  }
  const auto make = [&](void* data) {
    return PyArray_New(&PyArray_Type, shape.n, dims, type, const_cast<npy_intp*>(strides), data, 0,
                       data ? NPY_ARRAY_BEHAVED : 0, nullptr);
  };
  if (bytes < kRecycled) return Ref(make(nullptr));
  void* block = acquire(bytes);
  PyObject* capsule = PyCapsule_New(block, kCapsule, free_capsule);
  if (!capsule) {
    release(block);
    throw python_error{};
  }
  Ref owner(capsule);
  Ref a(make(block));
  if (PyArray_SetBaseObject(a.array(), owner.release()) < 0) throw python_error{};
  return a;
}

}  // namespace

Ref new_array(const Shape& shape, int type) {
  return new_strided(shape, nullptr, type);
}

Ref new_channels_last(const Shape& shape, int rank, int type) {
  const int c = shape.n - rank - 1;
  npy_intp strides[64];
  size_t step = bytes_of(type);  // of what is too large it may wrap: new_strided refuses that
  const auto next = [&](int axis) {
    strides[axis] = static_cast<npy_intp>(step);
    step *= static_cast<size_t>(std::max<int64_t>(shape.v[axis], 1));
  };
  next(c);
  for (int axis = shape.n - 1; axis > c; --axis) next(axis);
  for (int axis = c - 1; axis >= 0; --axis) next(axis);
  return new_strided(shape, strides, type);
}

Ref dense_channels_last(PyArrayObject* a, int rank) {
  if (channels_last(a, rank) && PyArray_ISALIGNED(a)) {
    return Ref::borrow(reinterpret_cast<PyObject*>(a));
  }
  Ref copy = new_channels_last(shape_of(a), rank, PyArray_TYPE(a));
  copy_into(copy.array(), a);
  return copy;
}

bool may_overlap(PyArrayObject* a, PyArrayObject* b) {
  const auto range = [](PyArrayObject* x, char** lo, char** hi) {
    *lo = *hi = PyArray_BYTES(x);
    for (int i = 0; i < PyArray_NDIM(x); ++i) {
      if (PyArray_DIM(x, i) == 0) return false;
      const npy_intp span = PyArray_STRIDE(x, i) * (PyArray_DIM(x, i) - 1);
      (span < 0 ? *lo : *hi) += span;
    }
    *hi += PyArray_ITEMSIZE(x);
    return true;
  };
  char *a0, *a1, *b0, *b1;
  return range(a, &a0, &a1) && range(b, &b0, &b1) && a0 < b1 && b0 < a1;
}

Result::Result(const char* fn, PyObject* out, const Shape& shape, int type, bool as_channels_last,
               int rank, std::initializer_list<PyArrayObject*> inputs) {
  if (out == Py_None) {
    dense_ = new_array(shape, type);
    if (as_channels_last) target_ = new_channels_last(shape, rank, type);
    return;
  }
  if (!PyArray_Check(out)) wrong_type(fn, "out", "a NumPy array", type_name(out));
  auto* a = reinterpret_cast<PyArrayObject*>(out);
  if (PyArray_TYPE(a) != type || !PyArray_ISNOTSWAPPED(a)) {
    wrong_type(fn, "out", type == NPY_FLOAT ? "float32 like the input" : "float64 like the input",
               dtype_name(a));
  }
  if (!(shape_of(a) == shape)) {
    throw std::invalid_argument(std::string(fn) + ": out must have shape " + shape_text(shape) +
                                ", but got shape " + shape_text(shape_of(a)));
  }
  if (!PyArray_ISWRITEABLE(a)) {
    throw std::invalid_argument(std::string(fn) + ": out must be writable, but is read-only");
  }
  for (PyArrayObject* in : inputs) {
    if (in && may_overlap(a, in)) {
      throw std::invalid_argument(std::string(fn) + ": out must not overlap an input in memory");
    }
  }
  target_ = Ref::borrow(out);
  dense_ = PyArray_ISCARRAY(a) ? Ref::borrow(out) : new_array(shape, type);
}

PyObject* Result::finish() {
  if (!target_) return dense_.release();
  if (target_.get() != dense_.get()) copy_into(target_.array(), dense_.array());
  return target_.release();
}

}  // namespace fastconv
