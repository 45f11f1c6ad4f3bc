// Resizing and padding by tables that say where each output comes from; windows as columns.
#include "../ops/resample.h"

#include <algorithm>
#include <vector>

#include "../ops/columns.h"
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

// The windows of planes (N, C, H, W): kernel, dilation, padding and stride are pairs.
ColumnsProblem columns_problem(const char* fn, int64_t planes, int64_t h, int64_t w,
                               PyObject* const* args) {
  const Shape ker = parse_ints(fn, "kernel_size", args[0], 2),
              dil = parse_ints(fn, "dilation", args[1], 2),
              pad = parse_ints(fn, "padding", args[2], 2),
              stride = parse_ints(fn, "stride", args[3], 2);
  ColumnsProblem p;
  p.planes = planes;
  const int64_t in[2] = {h, w};
  constexpr int64_t kMost = int64_t{1} << 30;
  for (int axis = 0; axis < 2; ++axis) {
    const bool sound = in[axis] >= 1 && ker[axis] >= 1 && dil[axis] >= 1 && pad[axis] >= 0 &&
                       stride[axis] >= 1 && in[axis] < kMost && pad[axis] < kMost &&
                       ker[axis] < kMost && dil[axis] < kMost && stride[axis] < kMost;
    const int64_t room = sound ? in[axis] + 2 * pad[axis] - dil[axis] * (ker[axis] - 1) - 1 : -1;
    if (room < 0) throw std::invalid_argument(std::string(fn) + ": windows do not fit the image");
    p.in[axis] = in[axis];
    p.ker[axis] = ker[axis];
    p.dil[axis] = dil[axis];
    p.pad[axis] = pad[axis];
    p.stride[axis] = stride[axis];
    p.blocks[axis] = room / stride[axis] + 1;
  }
  return p;
}

// unfold(x, kernel, dilation, padding, stride): (N, C, H, W) -> (N, C * kernel, windows)
PyObject* py_unfold(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 5);
    const char* fn = "unfold";
    PyArrayObject* given = float_array(fn, "input", args[0]);
    if (PyArray_NDIM(given) != 4) throw std::invalid_argument("unfold: input must have 4 axes");
    const npy_intp* d = PyArray_DIMS(given);
    const ColumnsProblem p = columns_problem(fn, d[0] * d[1], d[2], d[3], args + 1);
    const int type = PyArray_TYPE(given);
    Shape shape;
    for (const int64_t n : {int64_t{d[0]}, d[1] * p.ker[0] * p.ker[1], p.blocks[0] * p.blocks[1]}) {
      shape.push_back(n);
    }
    const Ref x = dense(given);
    Ref y = new_array(shape, type);
    const int threads = threads_for(y.array(), 2);
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      unfold(p, data<T>(x), data<T>(y), threads);
    });
    return y.release();
  });
}

// fold(columns, height, width, kernel, dilation, padding, stride): the other way
PyObject* py_fold(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 7);
    const char* fn = "fold";
    PyArrayObject* given = float_array(fn, "input", args[0]);
    if (PyArray_NDIM(given) != 3) throw std::invalid_argument("fold: input must have 3 axes");
    const npy_intp* d = PyArray_DIMS(given);
    ColumnsProblem p = columns_problem(fn, d[0], parse_int(fn, "height", args[1]),
                                       parse_int(fn, "width", args[2]), args + 3);
    const int64_t taps = p.ker[0] * p.ker[1];
    if (d[1] % taps || d[2] != p.blocks[0] * p.blocks[1]) {
      throw std::invalid_argument("fold: columns do not fit the image");
    }
    p.planes = d[0] * (d[1] / taps);
    const int type = PyArray_TYPE(given);
    Shape shape;
    for (const int64_t n : {int64_t{d[0]}, d[1] / taps, p.in[0], p.in[1]}) shape.push_back(n);
    const Ref x = dense(given);
    Ref y = new_array(shape, type);
    const int threads = threads_for(given, 2);
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      fold(p, data<T>(x), data<T>(y), threads);
    });
    return y.release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD_AS("resample", py_resample),
    FASTCONV_METHOD_AS("unfold", py_unfold),
    FASTCONV_METHOD_AS("fold", py_fold),
    FASTCONV_METHOD_AS("pad", py_pad),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_resample(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
