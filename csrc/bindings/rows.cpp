// Activations, normalisations, softmax, optimiser steps: operators bound by memory.
#include <limits>

#include "../ops/norm.h"
#include "../ops/parallel.h"
#include "../ops/pointwise.h"
#include "arrays.h"
#include "module.h"

namespace fastconv {
namespace {

template <class T>
const T* data(const Ref& a) {
  return a ? static_cast<const T*>(PyArray_DATA(a.array())) : nullptr;
}
template <class T>
T* writable(const Ref& a) {
  return a ? static_cast<T*>(PyArray_DATA(a.array())) : nullptr;
}

template <class Body>
void typed(int type, const Body& body) {
  const WithoutGil free;
  if (type == NPY_FLOAT) {
    body(float{});
  } else {
    body(double{});
  }
}

double item_of(int type) {
  return type == NPY_FLOAT ? 4 : 8;
}

// An array whose elements lie densely in some order of the axes, and what it takes to make another
// in the same order: elementwise functions then run over memory, whatever the layout.
bool any_order_dense(PyArrayObject* a) {
  const bool dense_memory = PyArray_IS_C_CONTIGUOUS(a) || PyArray_IS_F_CONTIGUOUS(a) ||
                            (PyArray_NDIM(a) >= 3 && channels_last(a, PyArray_NDIM(a) - 2));
  return dense_memory && PyArray_ISALIGNED(a);
}

Ref flat(PyArrayObject* a) {
  return any_order_dense(a) ? Ref::borrow(reinterpret_cast<PyObject*>(a)) : dense(a);
}

Ref like(PyArrayObject* a) {
  const Shape shape = shape_of(a);
  const int n = shape.n, type = PyArray_TYPE(a);
  if (PyArray_IS_C_CONTIGUOUS(a)) return new_array(shape, type);
  if (n >= 3 && channels_last(a, n - 2)) return new_channels_last(shape, n - 2, type);
  Shape reversed;
  for (int i = n - 1; i >= 0; --i) reversed.push_back(shape[i]);
  const Ref c = new_array(reversed, type);
  return Ref(PyArray_Transpose(c.array(), nullptr));
}

bool same_order(PyArrayObject* a, PyArrayObject* b) {
  for (int i = 0; i < PyArray_NDIM(a); ++i) {
    if (PyArray_DIM(a, i) > 1 && PyArray_STRIDE(a, i) != PyArray_STRIDE(b, i)) return false;
  }
  return true;
}

void same_shape(const char* fn, const char* what, PyArrayObject* a, PyArrayObject* like) {
  if (shape_of(a) == shape_of(like)) return;
  throw std::invalid_argument(std::string(fn) + ": " + what + " must have shape " +
                              shape_text(shape_of(like)) + ", but got shape " +
                              shape_text(shape_of(a)));
}

double parse_double(const char* fn, const char* what, PyObject* o) {
  const double v = PyFloat_AsDouble(o);
  if (v == -1.0 && PyErr_Occurred()) {
    PyErr_Clear();
    throw type_error(std::string(fn) + ": " + what + " must be a number, but got " + type_name(o));
  }
  return v;
}

// unary(name, x, a, b)
PyObject* unary(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 4);
    const char* fn = parse_text("unary", "name", args[0]);
    const int index = unary_index(fn);
    PyArrayObject* given = float_array(fn, "input", args[1]);
    const double a = parse_double(fn, "parameter", args[2]);
    const double b = parse_double(fn, "parameter", args[3]);
    const Ref x = flat(given);
    Ref y = like(x.array());
    const int64_t n = PyArray_SIZE(given);
    const int type = PyArray_TYPE(given);
    const int threads = memory_threads(2.0 * item_of(type) * static_cast<double>(n), num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      unary_forward(index, data<T>(x), writable<T>(y), n, a, b, threads);
    });
    return y.release();
  });
}

// unary_backward(name, grad_output, x, a, b)
PyObject* py_unary_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 5);
    const char* fn = parse_text("unary", "name", args[0]);
    const int index = unary_index(fn);
    PyArrayObject* given = float_array(fn, "input", args[2]);
    PyArrayObject* grad = float_array_like(fn, "grad_output", args[1], given);
    same_shape(fn, "grad_output", grad, given);
    const double a = parse_double(fn, "parameter", args[3]);
    const double b = parse_double(fn, "parameter", args[4]);
    Ref x = flat(given), g = flat(grad);
    if (!same_order(x.array(), g.array())) {
      x = dense(given);
      g = dense(grad);
    }
    Ref dx = like(x.array());
    const int64_t n = PyArray_SIZE(given);
    const int type = PyArray_TYPE(given);
    const int threads = memory_threads(3.0 * item_of(type) * static_cast<double>(n), num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      unary_backward(index, data<T>(g), data<T>(x), writable<T>(dx), n, a, b, threads);
    });
    return dx.release();
  });
}

// (N, C, spatial...) and the number of groups, 0 for batch norm.
NormShape norm_shape(const char* fn, PyArrayObject* x, PyObject* groups) {
  const Shape shape = shape_of(x);
  if (shape.n < 2) {
    throw std::invalid_argument(std::string(fn) + ": input must have shape (N, C, ...), but got " +
                                shape_text(shape));
  }
  NormShape s{shape[0], shape[1], 1, parse_int(fn, "groups", groups)};
  for (int i = 2; i < shape.n; ++i) s.s *= shape[i];
  if (s.groups < 0 || (s.groups && s.c % s.groups)) {
    throw std::invalid_argument(std::string(fn) + ": groups=" + std::to_string(s.groups) +
                                " does not divide " + std::to_string(s.c) + " channels");
  }
  return s;
}

// A dense vector of `count` values like x, or null for None.
Ref vector(const char* fn, const char* what, PyObject* o, PyArrayObject* x, int64_t count) {
  if (o == Py_None) return Ref();
  PyArrayObject* a = float_array_like(fn, what, o, x);
  if (PyArray_SIZE(a) != count) {
    throw std::invalid_argument(std::string(fn) + ": " + what + " must have " +
                                std::to_string(count) + " values, but got shape " +
                                shape_text(shape_of(a)));
  }
  return dense(a);
}

Ref new_vector(int64_t count, int type) {
  return new_array(Shape(count, 1), type);
}

// norm_statistics(x, groups) -> (mean, biased variance) of every set
PyObject* py_norm_statistics(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 2);
    const char* fn = "norm_statistics";
    PyArrayObject* given = float_array(fn, "input", args[0]);
    const NormShape shape = norm_shape(fn, given, args[1]);
    const int type = PyArray_TYPE(given);
    const Ref x = dense(given);
    Ref mean = new_vector(shape.sets(), type), var = new_vector(shape.sets(), type);
    const int threads =
        memory_threads(2 * item_of(type) * static_cast<double>(PyArray_SIZE(given)), num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      norm_statistics(shape, data<T>(x), writable<T>(mean), writable<T>(var), threads);
    });
    return Ref(Py_BuildValue("(NN)", mean.release(), var.release())).release();
  });
}

// norm_apply(x, groups, mean, var, weight, bias, residual, eps, relu) -> y
PyObject* py_norm_apply(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 9);
    const char* fn = "norm_apply";
    PyArrayObject* given = float_array(fn, "input", args[0]);
    const NormShape shape = norm_shape(fn, given, args[1]);
    const int type = PyArray_TYPE(given);
    const Ref x = dense(given);
    const Ref mean = vector(fn, "mean", args[2], given, shape.sets());
    const Ref var = vector(fn, "var", args[3], given, shape.sets());
    const Ref weight = vector(fn, "weight", args[4], given, shape.c);
    const Ref bias = vector(fn, "bias", args[5], given, shape.c);
    Ref residual;
    if (args[6] != Py_None) {
      PyArrayObject* r = float_array_like(fn, "residual", args[6], given);
      same_shape(fn, "residual", r, given);
      residual = dense(r);
    }
    if (!mean || !var) throw type_error("norm_apply: mean and var must be arrays");
    const double eps = parse_double(fn, "eps", args[7]);
    const bool relu = parse_bool(fn, "relu", args[8]);
    const bool last = PyArray_NDIM(given) >= 3 && channels_last(given, PyArray_NDIM(given) - 2);
    Result y(fn, Py_None, shape_of(given), type, last, PyArray_NDIM(given) - 2, {});
    const int threads =
        memory_threads(2 * item_of(type) * static_cast<double>(PyArray_SIZE(given)), num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      const T infinity = std::numeric_limits<T>::infinity();
      norm_apply(shape, data<T>(x), data<T>(mean), data<T>(var), data<T>(weight), data<T>(bias),
                 data<T>(residual), eps, relu ? T(0) : -infinity, infinity,
                 static_cast<T*>(y.data()), threads);
    });
    return y.finish();
  });
}

// norm_backward(grad_output, x, groups, mean, var, weight, eps, fixed, need)
//   -> (dx, dweight, dbias), None where not needed
PyObject* py_norm_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 9);
    const char* fn = "norm_backward";
    PyArrayObject* given = float_array(fn, "input", args[1]);
    PyArrayObject* grad = float_array_like(fn, "grad_output", args[0], given);
    same_shape(fn, "grad_output", grad, given);
    const NormShape shape = norm_shape(fn, given, args[2]);
    const int type = PyArray_TYPE(given);
    const Ref x = dense(given), g = dense(grad);
    const Ref mean = vector(fn, "mean", args[3], given, shape.sets());
    const Ref var = vector(fn, "var", args[4], given, shape.sets());
    const Ref weight = vector(fn, "weight", args[5], given, shape.c);
    if (!mean || !var) throw type_error("norm_backward: mean and var must be arrays");
    const double eps = parse_double(fn, "eps", args[6]);
    const bool fixed = parse_bool(fn, "fixed", args[7]);
    if (!PyTuple_Check(args[8]) || PyTuple_GET_SIZE(args[8]) != 3) {
      throw type_error("norm_backward: need must be a tuple of three bools");
    }
    bool need[3];
    for (int i = 0; i < 3; ++i) need[i] = parse_bool(fn, "need", PyTuple_GET_ITEM(args[8], i));
    const bool last = PyArray_NDIM(given) >= 3 && channels_last(given, PyArray_NDIM(given) - 2);
    Ref sums = new_vector(2 * shape.n * shape.c, type);
    Result dx(fn, Py_None, need[0] ? shape_of(given) : Shape(0, 1), type, need[0] && last,
              PyArray_NDIM(given) - 2, {});
    Ref dweight = need[1] ? new_vector(shape.c, type) : Ref();
    Ref dbias = need[2] ? new_vector(shape.c, type) : Ref();
    const int threads =
        memory_threads(3 * item_of(type) * static_cast<double>(PyArray_SIZE(given)), num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      norm_backward(shape, data<T>(g), data<T>(x), data<T>(mean), data<T>(var), data<T>(weight),
                    eps, fixed, need[0] ? static_cast<T*>(dx.data()) : nullptr,
                    writable<T>(dweight), writable<T>(dbias), writable<T>(sums), threads);
    });
    Ref out(PyTuple_New(3));
    PyTuple_SET_ITEM(out.get(), 0, need[0] ? dx.finish() : Ref::borrow(Py_None).release());
    PyTuple_SET_ITEM(out.get(), 1, need[1] ? dweight.release() : Ref::borrow(Py_None).release());
    PyTuple_SET_ITEM(out.get(), 2, need[2] ? dbias.release() : Ref::borrow(Py_None).release());
    return out.release();
  });
}

int64_t last_axis(const char* fn, PyArrayObject* x, int64_t* rows) {
  const int n = PyArray_NDIM(x);
  if (n < 1) throw std::invalid_argument(std::string(fn) + ": input must have at least one axis");
  const int64_t d = PyArray_DIM(x, n - 1);
  *rows = d ? PyArray_SIZE(x) / d : 0;
  return d;
}

// layer_norm(x of shape (..., d), d, weight, bias, eps) -> (y, mean, rstd): rows of d elements
PyObject* py_layer_norm(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 5);
    const char* fn = "layer_norm";
    PyArrayObject* given = float_array(fn, "input", args[0]);
    const int64_t d = parse_int(fn, "d", args[1]), size = PyArray_SIZE(given);
    if (d < 1 || size % d)
      throw std::invalid_argument("layer_norm: d must divide the input's size");
    const int type = PyArray_TYPE(given);
    const Ref x = dense(given);
    const Ref weight = vector(fn, "weight", args[2], given, d);
    const Ref bias = vector(fn, "bias", args[3], given, d);
    const double eps = parse_double(fn, "eps", args[4]);
    const int64_t rows = size / d;
    Ref y = new_array(shape_of(given), type), mean = new_vector(rows, type),
        rstd = new_vector(rows, type);
    const int threads =
        memory_threads(2 * item_of(type) * static_cast<double>(size), num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      layer_norm(rows, d, data<T>(x), data<T>(weight), data<T>(bias), eps, writable<T>(y),
                 writable<T>(mean), writable<T>(rstd), threads);
    });
    return Ref(Py_BuildValue("(NNN)", y.release(), mean.release(), rstd.release())).release();
  });
}

// layer_norm_backward(grad_output, x, d, weight, mean, rstd) -> (dx, dweight, dbias)
PyObject* py_layer_norm_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 6);
    const char* fn = "layer_norm_backward";
    PyArrayObject* given = float_array(fn, "input", args[1]);
    PyArrayObject* grad = float_array_like(fn, "grad_output", args[0], given);
    same_shape(fn, "grad_output", grad, given);
    const int64_t d = parse_int(fn, "d", args[2]), size = PyArray_SIZE(given);
    if (d < 1 || size % d) {
      throw std::invalid_argument("layer_norm_backward: d must divide the input's size");
    }
    const int64_t rows = size / d;
    const int type = PyArray_TYPE(given);
    const Ref x = dense(given), g = dense(grad);
    const Ref weight = vector(fn, "weight", args[3], given, d);
    const Ref mean = vector(fn, "mean", args[4], given, rows);
    const Ref rstd = vector(fn, "rstd", args[5], given, rows);
    if (!mean || !rstd) throw type_error("layer_norm_backward: mean and rstd must be arrays");
    Ref dx = new_array(shape_of(given), type), dweight = new_vector(d, type),
        dbias = new_vector(d, type);
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      layer_norm_backward(rows, d, data<T>(g), data<T>(x), data<T>(weight), data<T>(mean),
                          data<T>(rstd), writable<T>(dx), writable<T>(dweight), writable<T>(dbias));
    });
    return Ref(Py_BuildValue("(NNN)", dx.release(), dweight.release(), dbias.release())).release();
  });
}

// softmax(x, logarithm), over the last axis
PyObject* py_softmax(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 2);
    const char* fn = "softmax";
    PyArrayObject* given = float_array(fn, "input", args[0]);
    const bool logarithm = parse_bool(fn, "logarithm", args[1]);
    int64_t rows;
    const int64_t d = last_axis(fn, given, &rows);
    const int type = PyArray_TYPE(given);
    const Ref x = dense(given);
    Ref y = new_array(shape_of(given), type);
    const int threads =
        memory_threads(4 * item_of(type) * static_cast<double>(rows * d), num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      softmax(rows, d, logarithm, data<T>(x), writable<T>(y), threads);
    });
    return y.release();
  });
}

// softmax_backward(grad_output, y, logarithm), over the last axis
PyObject* py_softmax_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 3);
    const char* fn = "softmax_backward";
    PyArrayObject* given = float_array(fn, "output", args[1]);
    PyArrayObject* grad = float_array_like(fn, "grad_output", args[0], given);
    same_shape(fn, "grad_output", grad, given);
    const bool logarithm = parse_bool(fn, "logarithm", args[2]);
    int64_t rows;
    const int64_t d = last_axis(fn, given, &rows);
    const int type = PyArray_TYPE(given);
    const Ref y = dense(given), g = dense(grad);
    Ref dx = new_array(shape_of(given), type);
    const int threads =
        memory_threads(4 * item_of(type) * static_cast<double>(rows * d), num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      softmax_backward(rows, d, logarithm, data<T>(g), data<T>(y), writable<T>(dx), threads);
    });
    return dx.release();
  });
}

// empty(shape, itemsize): uninitialised float32 (4) or float64 (8) in recycled memory
PyObject* empty(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 2);
    const int64_t item = parse_int("empty", "itemsize", args[1]);
    if (item != 4 && item != 8) throw std::invalid_argument("empty: itemsize must be 4 or 8");
    return new_array(parse_shape("empty", "shape", args[0]), item == 4 ? NPY_FLOAT : NPY_DOUBLE)
        .release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD(unary),
    FASTCONV_METHOD_AS("unary_backward", py_unary_backward),
    FASTCONV_METHOD_AS("norm_statistics", py_norm_statistics),
    FASTCONV_METHOD_AS("norm_apply", py_norm_apply),
    FASTCONV_METHOD_AS("norm_backward", py_norm_backward),
    FASTCONV_METHOD_AS("layer_norm", py_layer_norm),
    FASTCONV_METHOD_AS("layer_norm_backward", py_layer_norm_backward),
    FASTCONV_METHOD_AS("softmax", py_softmax),
    FASTCONV_METHOD_AS("softmax_backward", py_softmax_backward),
    FASTCONV_METHOD(empty),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_rows(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
