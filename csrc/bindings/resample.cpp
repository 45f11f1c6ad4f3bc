// Resizing and padding by tables that say where each output comes from.
#include "../ops/resample.h"

#include <algorithm>
#include <vector>

#include "../ops/pad.h"
#include "rows.h"

namespace fastconv {
namespace {

// A dense one-dimensional table of `type`.
Ref table(const char* fn, PyObject* o, int type) {
  if (!PyArray_Check(o) || PyArray_TYPE(reinterpret_cast<PyArrayObject*>(o)) != type ||
      PyArray_NDIM(reinterpret_cast<PyArrayObject*>(o)) != 1 ||
      !PyArray_ISCARRAY_RO(reinterpret_cast<PyArrayObject*>(o))) {
    throw type_error(std::string(fn) + ": tables must be dense vectors of int64 and float64");
  }
  return Ref::borrow(o);
}

// (start, source, weight) or None, for an axis of extent `in`; the references keep the memory.
ResampleAxis resample_axis(const char* fn, PyObject* o, int64_t in, std::vector<Ref>* keep) {
  ResampleAxis axis;
  axis.in = axis.out = in;
  if (o == Py_None) return axis;
  if (!PyTuple_Check(o) || PyTuple_GET_SIZE(o) != 3) {
    throw type_error(std::string(fn) + ": a table must be (start, source, weight)");
  }
  Ref start = table(fn, PyTuple_GET_ITEM(o, 0), NPY_INT64);
  Ref source = table(fn, PyTuple_GET_ITEM(o, 1), NPY_INT64);
  Ref weight = table(fn, PyTuple_GET_ITEM(o, 2), NPY_DOUBLE);
  axis.out = PyArray_SIZE(start.array()) - 1;
  axis.start = data<int64_t>(start);
  axis.source = data<int64_t>(source);
  axis.weight = data<double>(weight);
  const int64_t taps = PyArray_SIZE(source.array());
  bool good = axis.out >= 0 && axis.start[0] == 0 && axis.start[axis.out] == taps &&
              PyArray_SIZE(weight.array()) == taps;
  for (int64_t i = 0; good && i < axis.out; ++i) good = axis.start[i] <= axis.start[i + 1];
  for (int64_t k = 0; good && k < taps; ++k) good = axis.source[k] >= 0 && axis.source[k] < in;
  if (!good) throw std::invalid_argument(std::string(fn) + ": a table does not fit its axis");
  keep->push_back(std::move(start));
  keep->push_back(std::move(source));
  keep->push_back(std::move(weight));
  return axis;
}

// resample(name, x, tables): tables, at most three, belong to the last axes
PyObject* py_resample(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 3);
    const char* fn = parse_text("resample", "name", args[0]);
    PyArrayObject* given = float_array(fn, "input", args[1]);
    const int n = PyArray_NDIM(given), type = PyArray_TYPE(given);
    if (!PyTuple_Check(args[2]) || PyTuple_GET_SIZE(args[2]) > std::min(n, 3)) {
      throw type_error(std::string(fn) + ": tables must be a tuple, at most one an axis and three");
    }
    const int rank = static_cast<int>(PyTuple_GET_SIZE(args[2]));
    Shape shape = shape_of(given);
    std::vector<Ref> keep;
    ResampleProblem p;
    for (int i = 0; i < rank; ++i) {
      ResampleAxis& axis = p.axis[3 - rank + i];
      axis = resample_axis(fn, PyTuple_GET_ITEM(args[2], i), shape[n - rank + i], &keep);
      shape[n - rank + i] = axis.out;
    }
    const bool last = n > rank && channels_last(given, rank);
    const Ref x = last ? dense_channels_last(given, rank) : dense(given);
    Ref y = last ? new_channels_last(shape, rank, type) : new_array(shape, type);
    for (int i = 0; i < n - rank; ++i) {
      (last && i == n - rank - 1 ? p.inner : p.planes) *= shape[i];
    }
    if (PyArray_SIZE(y.array()) == 0) return y.release();
    const double bytes = static_cast<double>(item_of(type)) *
                         static_cast<double>(PyArray_SIZE(given) + PyArray_SIZE(y.array()));
    const int threads = memory_threads(2 * bytes, num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      resample(p, data<T>(x), data<T>(y), threads);
    });
    return y.release();
  });
}

bool native_float(PyArrayObject* a) {
  return (PyArray_TYPE(a) == NPY_FLOAT || PyArray_TYPE(a) == NPY_DOUBLE) && PyArray_ISNOTSWAPPED(a);
}

// An uninitialised array of any type of plain values.
Ref new_like(const Shape& shape, PyArrayObject* a, int rank, bool last) {
  if (native_float(a)) {
    const int type = PyArray_TYPE(a);
    return last ? new_channels_last(shape, rank, type) : new_array(shape, type);
  }
  npy_intp dims[64];
  std::copy_n(shape.v, shape.n, dims);
  PyArray_Descr* descr = PyArray_DESCR(a);
  Py_INCREF(descr);
  return Ref(
      PyArray_NewFromDescr(&PyArray_Type, descr, shape.n, dims, nullptr, nullptr, 0, nullptr));
}

// pad(name, x, tables, value): a vector of sources (-1: the value) or None for each axis; value is
// an array of x's type and one element
PyObject* py_pad(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 4);
    const char* fn = parse_text("pad", "name", args[0]);
    if (!PyArray_Check(args[1]) || !PyArray_Check(args[3])) {
      throw type_error(std::string(fn) + ": input must be a NumPy array, but got " +
                       type_name(args[1]));
    }
    auto* given = reinterpret_cast<PyArrayObject*>(args[1]);
    auto* value = reinterpret_cast<PyArrayObject*>(args[3]);
    const auto item = static_cast<size_t>(PyArray_ITEMSIZE(given));
    if (PyDataType_REFCHK(PyArray_DESCR(given)) || (item & (item - 1)) || item > 16 || item == 0 ||
        !PyArray_EquivTypes(PyArray_DESCR(given), PyArray_DESCR(value)) ||
        PyArray_SIZE(value) != 1) {
      throw type_error(std::string(fn) + ": cannot pad an array of " + dtype_name(given));
    }
    const int n = PyArray_NDIM(given);
    if (!PyTuple_Check(args[2]) || PyTuple_GET_SIZE(args[2]) != n || n < 1) {
      throw type_error(std::string(fn) + ": tables must be a tuple, one an axis");
    }
    Shape shape = shape_of(given);
    std::vector<Ref> keep;
    std::vector<PadAxis> axes(static_cast<size_t>(n));
    for (int i = 0; i < n; ++i) {
      PadAxis& axis = axes[static_cast<size_t>(i)];
      axis.in = axis.out = shape[i];
      if (PyTuple_GET_ITEM(args[2], i) == Py_None) continue;
      keep.push_back(table(fn, PyTuple_GET_ITEM(args[2], i), NPY_INT64));
      axis.source = data<int64_t>(keep.back());
      shape[i] = axis.out = PyArray_SIZE(keep.back().array());
      for (int64_t k = 0; k < axis.out; ++k) {
        if (axis.source[k] < -1 || axis.source[k] >= axis.in) {
          throw std::invalid_argument(std::string(fn) + ": a table does not fit its axis");
        }
      }
    }
    const bool floats = native_float(given);
    const bool last = floats && n >= 3 && channels_last(given, n - 2);
    if (last) std::rotate(axes.begin() + 1, axes.begin() + 2, axes.end());
    Ref x = last     ? dense_channels_last(given, n - 2)
            : floats ? dense(given)
                     : Ref(PyArray_FromArray(given, nullptr, NPY_ARRAY_CARRAY_RO));
    Ref y = new_like(shape, given, n - 2, last);
    const int64_t size = PyArray_SIZE(y.array());
    if (size == 0) return y.release();
    const int threads =
        memory_threads(2.0 * static_cast<double>(item) * static_cast<double>(size), num_threads());
    {
      const WithoutGil free;
      pad(axes, item, PyArray_DATA(value), PyArray_DATA(x.array()), PyArray_DATA(y.array()),
          threads);
    }
    return y.release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD_AS("resample", py_resample),
    FASTCONV_METHOD_AS("pad", py_pad),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_resample(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
