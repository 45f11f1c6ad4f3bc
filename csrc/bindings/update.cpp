// Optimiser steps, in place, over lists of parameters: one call a parameter group.
#include "../ops/parallel.h"
#include "../ops/pointwise.h"
#include "arrays.h"
#include "module.h"

namespace fastconv {
namespace {

double number(const char* fn, PyObject* o) {
  const double v = PyFloat_AsDouble(o);
  if (v == -1.0 && PyErr_Occurred()) {
    PyErr_Clear();
    throw type_error(std::string(fn) + ": expected a number, but got " + type_name(o));
  }
  return v;
}

// An array that can be updated where it lies.
PyArrayObject* state(const char* fn, const char* what, PyObject* o, PyArrayObject* like) {
  PyArrayObject* a = float_array(fn, what, o);
  if (!PyArray_ISCARRAY(a)) {
    throw std::invalid_argument(std::string(fn) + ": " + what +
                                " must be writable and C-contiguous");
  }
  if (like && (PyArray_TYPE(a) != PyArray_TYPE(like) || !(shape_of(a) == shape_of(like)))) {
    throw std::invalid_argument(std::string(fn) + ": " + what +
                                " must have its parameter's shape and dtype");
  }
  return a;
}

PyArrayObject* item(PyObject* list, Py_ssize_t i, const char* fn, const char* what,
                    PyArrayObject* like) {
  return state(fn, what, PyList_GET_ITEM(list, i), like);
}

Py_ssize_t same_lists(const char* fn, PyObject* const* args, int lists) {
  Py_ssize_t n = -1;
  for (int i = 0; i < lists; ++i) {
    if (args[i] == Py_None) continue;
    if (!PyList_Check(args[i])) throw type_error(std::string(fn) + ": arguments must be lists");
    if (n >= 0 && PyList_GET_SIZE(args[i]) != n) {
      throw std::invalid_argument(std::string(fn) + ": lists must be equally long");
    }
    n = PyList_GET_SIZE(args[i]);
  }
  return n;
}

template <class T>
T* data(PyArrayObject* a) {
  return a ? static_cast<T*>(PyArray_DATA(a)) : nullptr;
}

// Every array is checked before the first is written.
void check(const char* fn, PyObject* const* lists, int count, Py_ssize_t n) {
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyArrayObject* p = item(lists[0], i, fn, "parameter", nullptr);
    PyArrayObject* g = float_array_like(fn, "gradient", PyList_GET_ITEM(lists[1], i), p);
    if (!(shape_of(g) == shape_of(p))) {
      throw std::invalid_argument(std::string(fn) + ": gradient must have its parameter's shape");
    }
    for (int k = 2; k < count; ++k) {
      if (lists[k] != Py_None) item(lists[k], i, fn, "state", p);
    }
  }
}

Ref gradient_of(PyObject* list, Py_ssize_t i) {
  return dense(reinterpret_cast<PyArrayObject*>(PyList_GET_ITEM(list, i)));
}

int threads_of(PyArrayObject* p, double arrays) {
  return memory_threads(arrays * static_cast<double>(PyArray_NBYTES(p)), num_threads());
}

// sgd_step(parameters, gradients, velocities or None, rate, momentum, dampening, decay, nesterov,
//          maximize, first)
PyObject* py_sgd_step(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 10);
    const char* fn = "SGD";
    const Py_ssize_t n = same_lists(fn, args, 3);
    double v[4];
    for (int i = 0; i < 4; ++i) v[i] = number(fn, args[3 + i]);
    const bool nesterov = parse_bool(fn, "nesterov", args[7]);
    const bool maximize = parse_bool(fn, "maximize", args[8]);
    const bool first = parse_bool(fn, "first", args[9]);
    check(fn, args, 3, n);
    for (Py_ssize_t i = 0; i < n; ++i) {
      PyArrayObject* p = item(args[0], i, fn, "parameter", nullptr);
      const Ref g = gradient_of(args[1], i);
      PyArrayObject* velocity = args[2] == Py_None ? nullptr : item(args[2], i, fn, "velocity", p);
      const int threads = threads_of(p, 4);
      typed(PyArray_TYPE(p), [&](auto zero) {
        using T = decltype(zero);
        const SgdStep<T> step{static_cast<T>(v[0]),
                              static_cast<T>(v[1]),
                              static_cast<T>(1 - v[2]),
                              static_cast<T>(v[3]),
                              nesterov,
                              maximize,
                              first};
        sgd_step(data<T>(p), data<T>(g.array()), data<T>(velocity), PyArray_SIZE(p), step, threads);
      });
    }
    return Ref::borrow(Py_None).release();
  });
}

// adam_step(parameters, gradients, first moments, second moments, largest or None, rate, beta1,
//           beta2, eps, decay, correction1, correction2, decoupled, maximize)
PyObject* py_adam_step(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 14);
    const char* fn = "Adam";
    const Py_ssize_t n = same_lists(fn, args, 5);
    double v[7];
    for (int i = 0; i < 7; ++i) v[i] = number(fn, args[5 + i]);
    const bool decoupled = parse_bool(fn, "decoupled", args[12]);
    const bool maximize = parse_bool(fn, "maximize", args[13]);
    check(fn, args, 5, n);
    for (Py_ssize_t i = 0; i < n; ++i) {
      PyArrayObject* p = item(args[0], i, fn, "parameter", nullptr);
      const Ref g = gradient_of(args[1], i);
      PyArrayObject* m = item(args[2], i, fn, "first moment", p);
      PyArrayObject* s = item(args[3], i, fn, "second moment", p);
      PyArrayObject* most = args[4] == Py_None ? nullptr : item(args[4], i, fn, "largest", p);
      const int threads = threads_of(p, 6);
      typed(PyArray_TYPE(p), [&](auto zero) {
        using T = decltype(zero);
        AdamStep<T> step{};
        step.rate = static_cast<T>(v[0] * v[5]);
        step.beta1 = static_cast<T>(v[1]);
        step.beta2 = static_cast<T>(v[2]);
        step.eps = static_cast<T>(v[3]);
        step.fresh1 = static_cast<T>(1 - v[1]);
        step.fresh2 = static_cast<T>(1 - v[2]);
        step.decay = static_cast<T>(decoupled ? 0 : v[4]);
        step.shrink = static_cast<T>(decoupled ? 1 - v[0] * v[4] : 1);
        step.correction = static_cast<T>(v[6]);
        step.maximize = maximize;
        adam_step(data<T>(p), data<T>(g.array()), data<T>(m), data<T>(s), data<T>(most),
                  PyArray_SIZE(p), step, threads);
      });
    }
    return Ref::borrow(Py_None).release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD_AS("sgd_step", py_sgd_step),
    FASTCONV_METHOD_AS("adam_step", py_adam_step),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_update(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
