// Vectors divided by their length.
#include "../ops/normalize.h"

#include "along.h"

namespace fastconv {
namespace {

VectorShape vectors(const char* fn, const Along& a, PyObject* rms) {
  return {a.outer, a.d, a.inner, parse_bool(fn, "rms", rms)};
}

double positive(const char* fn, PyObject* o) {
  const double eps = parse_double(fn, "eps", o);
  if (!(eps > 0)) throw std::invalid_argument(std::string(fn) + ": eps must be positive");
  return eps;
}

// normalize(x, axis, eps, rms) -> (y, scale): scale has one number for each vector
PyObject* py_normalize(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 4);
    const char* fn = "normalize";
    PyArrayObject* given = float_array(fn, "input", args[0]);
    const Along a = along(fn, given, args[1]);
    const VectorShape v = vectors(fn, a, args[3]);
    const double eps = positive(fn, args[2]);
    const int type = PyArray_TYPE(given);
    const Ref x = ordered(given, a.last);
    Ref y = new_ordered(given, a.last), scale = new_array(Shape(v.outer * v.inner, 1), type);
    if (PyArray_SIZE(given) > 0) {
      const int threads = threads_for(given, 2);
      typed(type, [&](auto zero) {
        using T = decltype(zero);
        normalize(v, eps, data<T>(x), data<T>(y), data<T>(scale), threads);
      });
    }
    return Ref(PyTuple_Pack(2, y.get(), scale.get())).release();
  });
}

// normalize_backward(grad_output, y, scale, axis, eps, rms)
PyObject* py_normalize_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 6);
    const char* fn = "normalize_backward";
    PyArrayObject* given = float_array(fn, "output", args[1]);
    PyArrayObject* grad = float_array_like(fn, "grad_output", args[0], given);
    same_shape(fn, "grad_output", grad, given);
    PyArrayObject* scales = float_array_like(fn, "scale", args[2], given);
    const Along a = along(fn, given, args[3]);
    const VectorShape v = vectors(fn, a, args[5]);
    if (PyArray_SIZE(scales) != v.outer * v.inner) {
      throw std::invalid_argument("normalize_backward: scale must have a number for each vector");
    }
    const double eps = positive(fn, args[4]);
    const Ref y = ordered(given, a.last), g = ordered(grad, a.last), scale = dense(scales);
    Ref dx = new_ordered(given, a.last);
    if (PyArray_SIZE(given) == 0) return dx.release();
    const int threads = threads_for(given, 3);
    typed(PyArray_TYPE(given), [&](auto zero) {
      using T = decltype(zero);
      normalize_backward(v, eps, data<T>(g), data<T>(y), data<T>(scale), data<T>(dx), threads);
    });
    return dx.release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD_AS("normalize", py_normalize),
    FASTCONV_METHOD_AS("normalize_backward", py_normalize_backward),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_normalize(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
