// Losses of pairs and of classes.
#include "../ops/loss.h"

#include "rows.h"

namespace fastconv {
namespace {

// Two arrays of one shape as rows in one order of memory.
struct Pair {
  Ref x, t;
  Pair(const char* fn, PyObject* input, PyObject* target) {
    PyArrayObject* a = float_array(fn, "input", input);
    PyArrayObject* b = float_array_like(fn, "target", target, a);
    same_shape(fn, "target", b, a);
    x = flat(a);
    t = flat(b);
    if (!same_order(x.array(), t.array())) {
      x = dense(a);
      t = dense(b);
    }
  }
  int type() const { return PyArray_TYPE(x.array()); }
  int64_t size() const { return PyArray_SIZE(x.array()); }
};

// pair_loss(name, x, t, a, reduce) -> their losses, or if `reduce` the sum of them as a float
PyObject* py_pair_loss(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 5);
    const char* fn = parse_text("pair_loss", "name", args[0]);
    const int index = pair_index(fn);
    const Pair p(fn, args[1], args[2]);
    const double a = parse_double(fn, "parameter", args[3]);
    if (parse_bool(fn, "reduce", args[4])) {
      double sum = 0;
      typed(p.type(), [&](auto zero) {
        using T = decltype(zero);
        sum = pair_sum<T>(index, data<T>(p.x), data<T>(p.t), p.size(), a,
                          threads_for(p.x.array(), 2));
      });
      return PyFloat_FromDouble(sum);
    }
    Ref y = like(p.x.array());
    typed(p.type(), [&](auto zero) {
      using T = decltype(zero);
      pair_each<T>(index, data<T>(p.x), data<T>(p.t), data<T>(y), p.size(), a,
                   threads_for(p.x.array(), 3));
    });
    return y.release();
  });
}

// pair_loss_backward(name, g, x, t, a) -> dx; g has one element or x's shape
PyObject* py_pair_loss_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 5);
    const char* fn = parse_text("pair_loss", "name", args[0]);
    const int index = pair_index(fn);
    Pair p(fn, args[2], args[3]);
    PyArrayObject* grad = float_array_like(fn, "grad_output", args[1], p.x.array());
    const bool each = PyArray_NDIM(grad) != 0;
    Ref g = dense(grad);
    if (each) {
      same_shape(fn, "grad_output", grad, p.x.array());
      g = flat(grad);
      if (!same_order(g.array(), p.x.array())) {
        p.x = dense(p.x.array());
        p.t = dense(p.t.array());
        g = dense(grad);
      }
    }
    const double a = parse_double(fn, "parameter", args[4]);
    Ref dx = like(p.x.array());
    typed(p.type(), [&](auto zero) {
      using T = decltype(zero);
      pair_backward<T>(index, data<T>(g), each, data<T>(p.x), data<T>(p.t), data<T>(dx), p.size(),
                       a, threads_for(p.x.array(), 3));
    });
    return dx.release();
  });
}

// Scores of shape (N, C, ...) or (C) and their targets, int64 and of the shape without classes.
Classes classes_of(const char* fn, const Shape& shape, PyArrayObject* target, PyObject* ignored) {
  Classes k{1,
            shape[0],
            1,
            static_cast<const int64_t*>(PyArray_DATA(target)),
            parse_int(fn, "ignore_index", ignored),
            false};
  if (shape.n > 1) {
    k.n = shape[0];
    k.c = shape[1];
    for (int i = 2; i < shape.n; ++i) k.s *= shape[i];
  }
  if (PyArray_SIZE(target) != k.count()) {
    throw std::invalid_argument(std::string(fn) + ": target does not fit the scores");
  }
  const int64_t bad = k.misfit();
  if (bad >= 0) {
    throw std::invalid_argument(std::string(fn) + ": target " + std::to_string(k.target[bad]) +
                                " is out of bounds for " + std::to_string(k.c) + " classes");
  }
  return k;
}

Ref targets(const char* fn, PyObject* o) {
  if (!PyArray_Check(o)) {
    throw type_error(std::string(fn) + ": target must be a NumPy array, but got " + type_name(o));
  }
  return Ref(PyArray_FromAny(o, PyArray_DescrFromType(NPY_INT64), 0, 0,
                             NPY_ARRAY_CARRAY_RO | NPY_ARRAY_FORCECAST, nullptr));
}

Ref class_weight(const char* fn, PyObject* o, int type, int64_t classes) {
  if (o == Py_None) return Ref();
  PyArrayObject* a = float_array(fn, "weight", o);
  if (PyArray_TYPE(a) != type || PyArray_SIZE(a) != classes) {
    throw std::invalid_argument(std::string(fn) + ": weight must be like the scores, one a class");
  }
  return dense(a);
}

// likelihood(scores, target, weight, ignore_index, smoothing)
//   -> (losses, their sum, the sum of the weights)
PyObject* py_likelihood(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 5);
    const char* fn = "nll_loss";
    PyArrayObject* given = float_array(fn, "input", args[0]);
    if (PyArray_NDIM(given) < 1) throw std::invalid_argument("nll_loss: input has no classes");
    const int type = PyArray_TYPE(given);
    const int n = PyArray_NDIM(given);
    const bool last = n >= 3 && channels_last(given, n - 2);
    const Ref x = last ? dense_channels_last(given, n - 2) : dense(given);
    const Ref t = targets(fn, args[1]);
    Classes k = classes_of(fn, shape_of(given), t.array(), args[3]);
    k.last = last;
    const Ref weight = class_weight(fn, args[2], type, k.c);
    const double smoothing = parse_double(fn, "smoothing", args[4]);
    Ref loss = new_array(shape_of(t.array()), type);
    double total = 0, shares = 0;
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      likelihood<T>(k, data<T>(x), data<T>(weight), smoothing, data<T>(loss), &total, &shares,
                    threads_for(given, 1));
    });
    return Ref(Py_BuildValue("(Ndd)", loss.release(), total, shares)).release();
  });
}

// A gradient for each target, or one for all.
bool one_each(const char* fn, PyArrayObject* grad, const Classes& k) {
  const bool each = PyArray_SIZE(grad) == k.count() && PyArray_NDIM(grad) != 0;
  if (!each && PyArray_SIZE(grad) != 1) {
    throw std::invalid_argument(std::string(fn) + ": grad_output does not fit the targets");
  }
  return each;
}

// likelihood_backward(g, shape of scores, target, weight, ignore_index, scale, last, smoothing)
//   -> dscores in C order or with channels last; g has one element or the targets' shape
PyObject* py_likelihood_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 8);
    const char* fn = "nll_loss_backward";
    PyArrayObject* grad = float_array(fn, "grad_output", args[0]);
    const Shape shape = parse_shape(fn, "shape", args[1]);
    if (shape.n < 1) throw std::invalid_argument("nll_loss_backward: input has no classes");
    const int type = PyArray_TYPE(grad);
    const Ref t = targets(fn, args[2]);
    Classes k = classes_of(fn, shape, t.array(), args[4]);
    k.last = parse_bool(fn, "last", args[6]) && shape.n >= 3;
    const Ref weight = class_weight(fn, args[3], type, k.c);
    const bool each = one_each(fn, grad, k);
    const double scale = parse_double(fn, "scale", args[5]);
    const double smoothing = parse_double(fn, "smoothing", args[7]);
    const Ref g = dense(grad);
    Ref dx = k.last ? new_channels_last(shape, shape.n - 2, type) : new_array(shape, type);
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      likelihood_backward<T>(k, data<T>(g), each, data<T>(weight), scale, smoothing, data<T>(dx),
                             threads_for(dx.array(), 1));
    });
    return dx.release();
  });
}

// cross_entropy_backward(g, log_p, target, weight, ignore_index, scale, smoothing) -> the gradient
// of what log_p is the log-softmax of, in its memory order; g as above
PyObject* py_cross_entropy_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 7);
    const char* fn = "cross_entropy_backward";
    PyArrayObject* grad = float_array(fn, "grad_output", args[0]);
    PyArrayObject* given = float_array(fn, "log_p", args[1]);
    const int type = PyArray_TYPE(given), n = PyArray_NDIM(given);
    if (PyArray_TYPE(grad) != type || n < 1) {
      throw std::invalid_argument("cross_entropy_backward: grad_output does not fit the scores");
    }
    const bool last = n >= 3 && channels_last(given, n - 2);
    const Ref log_p = last ? dense_channels_last(given, n - 2) : dense(given);
    const Ref t = targets(fn, args[2]);
    Classes k = classes_of(fn, shape_of(given), t.array(), args[4]);
    k.last = last;
    const Ref weight = class_weight(fn, args[3], type, k.c);
    const bool each = one_each(fn, grad, k);
    const double scale = parse_double(fn, "scale", args[5]);
    const double smoothing = parse_double(fn, "smoothing", args[6]);
    const Ref g = dense(grad);
    Ref dx =
        last ? new_channels_last(shape_of(given), n - 2, type) : new_array(shape_of(given), type);
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      cross_entropy_backward<T>(k, data<T>(g), each, data<T>(log_p), data<T>(weight), scale,
                                smoothing, data<T>(dx), threads_for(dx.array(), 1));
    });
    return dx.release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD_AS("pair_loss", py_pair_loss),
    FASTCONV_METHOD_AS("pair_loss_backward", py_pair_loss_backward),
    FASTCONV_METHOD_AS("likelihood", py_likelihood),
    FASTCONV_METHOD_AS("likelihood_backward", py_likelihood_backward),
    FASTCONV_METHOD_AS("cross_entropy_backward", py_cross_entropy_backward),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_loss(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
