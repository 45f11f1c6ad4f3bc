// Elementwise functions, empty arrays and copies.
#include "rows.h"

namespace fastconv {
namespace {

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

// From image to image, where each of them lies densely, as in a part of what was joined along the
// channels: elements. Otherwise 0.
int64_t image_step(PyArrayObject* a) {
  const int n = PyArray_NDIM(a);
  const npy_intp item = PyArray_ITEMSIZE(a);
  npy_intp image = item;
  for (int i = n - 1; i > 0; --i) {
    if (PyArray_DIM(a, i) > 1 && PyArray_STRIDE(a, i) != image) return 0;
    image *= PyArray_DIM(a, i);
  }
  const npy_intp step = n > 0 ? PyArray_STRIDE(a, 0) : 0;
  return step >= image && step % item == 0 ? step / item : 0;
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
    const int64_t n = PyArray_SIZE(given);
    // Images of a gradient that lie apart are read where they are.
    const int64_t step =
        n > 0 && PyArray_ISCARRAY_RO(given) && !PyArray_ISCARRAY_RO(grad) ? image_step(grad) : 0;
    Ref x = flat(given), g = step ? Ref::borrow(args[1]) : flat(grad);
    if (!step && !same_order(x.array(), g.array())) {
      x = dense(given);
      g = dense(grad);
    }
    Ref dx = like(x.array());
    const int type = PyArray_TYPE(given);
    const int threads = memory_threads(
        3.0 * static_cast<double>(item_of(type)) * static_cast<double>(n), num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      const int64_t images = step ? PyArray_DIM(given, 0) : 1,
                    image = n / std::max<int64_t>(images, 1);
      if (images == 1) {
        return unary_backward(index, data<T>(g), data<T>(x), data<T>(dx), n, a, b, threads);
      }
      parallel_for(images, threads, [&](int64_t i, int) {
        unary_backward(index, data<T>(g) + i * step, data<T>(x) + i * image,
                       data<T>(dx) + i * image, image, a, b, 1);
      });
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

// copy(to, from): arrays of one shape and type, whatever their strides
PyObject* copy(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 2);
    if (!PyArray_Check(args[0]) || !PyArray_Check(args[1])) {
      throw type_error("copy: to and from must be NumPy arrays");
    }
    auto* to = reinterpret_cast<PyArrayObject*>(args[0]);
    auto* from = reinterpret_cast<PyArrayObject*>(args[1]);
    same_shape("copy", "to", to, from);
    if (!PyArray_ISWRITEABLE(to)) throw std::invalid_argument("copy: to must be writable");
    copy_into(to, from);
    return Ref::borrow(Py_None).release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD(copy),
    FASTCONV_METHOD(unary),
    FASTCONV_METHOD_AS("unary_backward", py_unary_backward),
    FASTCONV_METHOD(empty),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_pointwise(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
