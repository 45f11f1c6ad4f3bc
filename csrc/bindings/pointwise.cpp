// Activations, softmax and empty arrays.
#include "../ops/norm.h"
#include "rows.h"

namespace fastconv {
namespace {

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
    const int threads = memory_threads(
        2.0 * static_cast<double>(item_of(type)) * static_cast<double>(n), num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      unary_forward(index, data<T>(x), data<T>(y), n, a, b, threads);
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
    const int threads = memory_threads(
        3.0 * static_cast<double>(item_of(type)) * static_cast<double>(n), num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      unary_backward(index, data<T>(g), data<T>(x), data<T>(dx), n, a, b, threads);
    });
    return dx.release();
  });
}

int64_t last_axis(const char* fn, PyArrayObject* x, int64_t* rows) {
  const int n = PyArray_NDIM(x);
  if (n < 1) throw std::invalid_argument(std::string(fn) + ": input must have at least one axis");
  const int64_t d = PyArray_DIM(x, n - 1);
  *rows = d ? PyArray_SIZE(x) / d : 0;
  return d;
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
    const int threads = memory_threads(
        4.0 * static_cast<double>(item_of(type)) * static_cast<double>(rows * d), num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      softmax(rows, d, logarithm, data<T>(x), data<T>(y), threads);
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
    const int threads = memory_threads(
        4.0 * static_cast<double>(item_of(type)) * static_cast<double>(rows * d), num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      softmax_backward(rows, d, logarithm, data<T>(g), data<T>(y), data<T>(dx), threads);
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
    FASTCONV_METHOD_AS("softmax", py_softmax),
    FASTCONV_METHOD_AS("softmax_backward", py_softmax_backward),
    FASTCONV_METHOD(empty),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_pointwise(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
