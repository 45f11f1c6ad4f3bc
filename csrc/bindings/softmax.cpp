// Softmax and its logarithm.
#include "../ops/softmax.h"

#include "along.h"

namespace fastconv {
namespace {

SoftmaxShape shape_along(const Along& a) {
  return {a.outer, a.d, a.inner};
}

// softmax(x, axis, logarithm)
PyObject* py_softmax(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 3);
    const char* fn = "softmax";
    PyArrayObject* given = float_array(fn, "input", args[0]);
    const Along a = along(fn, given, args[1]);
    const bool logarithm = parse_bool(fn, "logarithm", args[2]);
    const Ref x = ordered(given, a.last);
    Ref y = new_ordered(given, a.last);
    if (PyArray_SIZE(given) == 0) return y.release();
    const int threads = threads_for(given, 4);
    typed(PyArray_TYPE(given), [&](auto zero) {
      using T = decltype(zero);
      softmax(shape_along(a), logarithm, data<T>(x), data<T>(y), threads);
    });
    return y.release();
  });
}

// softmax_backward(grad_output, y, axis, logarithm)
PyObject* py_softmax_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 4);
    const char* fn = "softmax_backward";
    PyArrayObject* given = float_array(fn, "output", args[1]);
    PyArrayObject* grad = float_array_like(fn, "grad_output", args[0], given);
    same_shape(fn, "grad_output", grad, given);
    const Along a = along(fn, given, args[2]);
    const bool logarithm = parse_bool(fn, "logarithm", args[3]);
    const Ref y = ordered(given, a.last), g = ordered(grad, a.last);
    Ref dx = new_ordered(given, a.last);
    if (PyArray_SIZE(given) == 0) return dx.release();
    const int threads = threads_for(given, 4);
    typed(PyArray_TYPE(given), [&](auto zero) {
      using T = decltype(zero);
      softmax_backward(shape_along(a), logarithm, data<T>(g), data<T>(y), data<T>(dx), threads);
    });
    return dx.release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD_AS("softmax", py_softmax),
    FASTCONV_METHOD_AS("softmax_backward", py_softmax_backward),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_softmax(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
