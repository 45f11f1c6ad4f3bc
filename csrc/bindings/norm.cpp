// Batch, group, instance and layer norm.
#include <limits>

#include "../ops/batch_norm.h"
#include "../ops/memory.h"
#include "../ops/norm.h"
#include "../ops/norm_last.h"
#include "rows.h"

namespace fastconv {
namespace {

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

// Channels-last memory stays so.
bool stays_last(PyArrayObject* x) {
  return PyArray_NDIM(x) >= 3 && channels_last(x, PyArray_NDIM(x) - 2);
}

Ref ordered(PyArrayObject* x, bool last) {
  return last ? dense_channels_last(x, PyArray_NDIM(x) - 2) : dense(x);
}

Ref new_ordered(PyArrayObject* x, bool last) {
  const int type = PyArray_TYPE(x);
  return last ? new_channels_last(shape_of(x), PyArray_NDIM(x) - 2, type)
              : new_array(shape_of(x), type);
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
    const bool last = stays_last(given);
    const Ref x = ordered(given, last);
    Ref mean = new_vector(shape.sets(), type), var = new_vector(shape.sets(), type);
    const int threads = memory_threads(
        2.0 * static_cast<double>(item_of(type)) * static_cast<double>(PyArray_SIZE(given)),
        num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      const auto run = last ? norm_statistics_last<T> : norm_statistics<T>;
      run(shape, data<T>(x), data<T>(mean), data<T>(var), threads);
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
    const bool last = stays_last(given);
    const Ref x = ordered(given, last);
    const Ref mean = vector(fn, "mean", args[2], given, shape.sets());
    const Ref var = vector(fn, "var", args[3], given, shape.sets());
    const Ref weight = vector(fn, "weight", args[4], given, shape.c);
    const Ref bias = vector(fn, "bias", args[5], given, shape.c);
    Ref residual;
    if (args[6] != Py_None) {
      PyArrayObject* r = float_array_like(fn, "residual", args[6], given);
      same_shape(fn, "residual", r, given);
      residual = ordered(r, last);
    }
    if (!mean || !var) throw type_error("norm_apply: mean and var must be arrays");
    const double eps = parse_double(fn, "eps", args[7]);
    const bool relu = parse_bool(fn, "relu", args[8]);
    Ref y = new_ordered(given, last);
    const int threads = memory_threads(
        2.0 * static_cast<double>(item_of(type)) * static_cast<double>(PyArray_SIZE(given)),
        num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      const T infinity = std::numeric_limits<T>::infinity();
      const auto run = last ? norm_apply_last<T> : norm_apply<T>;
      run(shape, data<T>(x), data<T>(mean), data<T>(var), data<T>(weight), data<T>(bias),
          data<T>(residual), eps, relu ? T(0) : -infinity, infinity, data<T>(y), threads);
    });
    return y.release();
  });
}

// norm_sets(x, groups, weight, bias, eps) -> (y, mean, var): both of the above
PyObject* py_norm_sets(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 5);
    const char* fn = "norm_sets";
    PyArrayObject* given = float_array(fn, "input", args[0]);
    const NormShape shape = norm_shape(fn, given, args[1]);
    const int type = PyArray_TYPE(given);
    const bool last = stays_last(given);
    const Ref x = ordered(given, last);
    const Ref weight = vector(fn, "weight", args[2], given, shape.c);
    const Ref bias = vector(fn, "bias", args[3], given, shape.c);
    const double eps = parse_double(fn, "eps", args[4]);
    Ref mean = new_vector(shape.sets(), type), var = new_vector(shape.sets(), type);
    Ref y = new_ordered(given, last);
    const int threads = memory_threads(
        2.0 * static_cast<double>(item_of(type)) * static_cast<double>(PyArray_SIZE(given)),
        num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      const auto run = last ? norm_sets_last<T> : norm_sets<T>;
      run(shape, data<T>(x), data<T>(weight), data<T>(bias), eps, data<T>(mean), data<T>(var),
          data<T>(y), threads);
    });
    return Ref(Py_BuildValue("(NNN)", y.release(), mean.release(), var.release())).release();
  });
}

// scale_rows(x, scale) -> x times one number for each row; scale has as many axes as x, the last
// ones of extent 1
PyObject* py_scale_rows(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 2);
    const char* fn = "mul";
    PyArrayObject* given = float_array(fn, "input", args[0]);
    const int64_t size = PyArray_SIZE(given);
    PyArrayObject* factors = float_array_like(fn, "other", args[1], given);
    const int64_t rows = PyArray_SIZE(factors);
    const Shape shape = shape_of(given), own = shape_of(factors);
    bool fits = own.n == shape.n && rows > 0 && size % rows == 0;
    bool within = false;  // the axes of a row
    for (int i = 0; fits && i < own.n; ++i) {
      within = within || own[i] != shape[i];
      fits = own[i] == (within ? 1 : shape[i]);
    }
    if (!fits) {
      throw std::invalid_argument("mul: other must have one number for each row of input " +
                                  shape_text(shape) + ", but got shape " + shape_text(own));
    }
    const int type = PyArray_TYPE(given);
    const Ref x = dense(given), scale = dense(factors);
    Ref y = new_array(shape, type);
    const int threads = memory_threads(
        2.0 * static_cast<double>(item_of(type)) * static_cast<double>(size), num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      scale_rows(rows, size / rows, data<T>(x), data<T>(scale), data<T>(y), threads);
    });
    return y.release();
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
    const bool last = stays_last(given);
    const Ref x = ordered(given, last), g = ordered(grad, last);
    const Ref mean = vector(fn, "mean", args[3], given, shape.sets());
    const Ref var = vector(fn, "var", args[4], given, shape.sets());
    const Ref weight = vector(fn, "weight", args[5], given, shape.c);
    if (!mean || !var) throw type_error("norm_backward: mean and var must be arrays");
    const double eps = parse_double(fn, "eps", args[6]);
    const bool fixed = parse_bool(fn, "fixed", args[7]);
    if (fixed && shape.groups) {
      throw std::invalid_argument("norm_backward: fixed numbers are those of channels");
    }
    if (!PyTuple_Check(args[8]) || PyTuple_GET_SIZE(args[8]) != 3) {
      throw type_error("norm_backward: need must be a tuple of three bools");
    }
    bool need[3];
    for (int i = 0; i < 3; ++i) need[i] = parse_bool(fn, "need", PyTuple_GET_ITEM(args[8], i));
    Ref sums = last || shape.groups == 0 ? Ref() : new_vector(2 * shape.n * shape.c, type);
    Ref dx = need[0] ? new_ordered(given, last) : Ref();
    Ref dweight = need[1] ? new_vector(shape.c, type) : Ref();
    Ref dbias = need[2] ? new_vector(shape.c, type) : Ref();
    const int threads = memory_threads(
        3.0 * static_cast<double>(item_of(type)) * static_cast<double>(PyArray_SIZE(given)),
        num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      if (last) {
        norm_backward_last(shape, data<T>(g), data<T>(x), data<T>(mean), data<T>(var),
                           data<T>(weight), eps, fixed, data<T>(dx), data<T>(dweight),
                           data<T>(dbias), threads);
      } else if (shape.groups == 0) {
        const BatchShape all{shape.n, shape.c, shape.s};
        const Scratch scratch(batch_norm_bytes(all, sizeof(T), threads));
        batch_norm_backward<T>(
            {all, data<T>(g), data<T>(x), data<T>(weight), nullptr, data<T>(mean), data<T>(var),
             eps, Activation::none, fixed, data<T>(dx), data<T>(dweight), data<T>(dbias)},
            scratch.data(), threads);
      } else {
        norm_backward(shape, data<T>(g), data<T>(x), data<T>(mean), data<T>(var), data<T>(weight),
                      eps, data<T>(dx), data<T>(dweight), data<T>(dbias), data<T>(sums), threads);
      }
    });
    Ref out(PyTuple_New(3));
    PyTuple_SET_ITEM(out.get(), 0, need[0] ? dx.release() : Ref::borrow(Py_None).release());
    PyTuple_SET_ITEM(out.get(), 1, need[1] ? dweight.release() : Ref::borrow(Py_None).release());
    PyTuple_SET_ITEM(out.get(), 2, need[2] ? dbias.release() : Ref::borrow(Py_None).release());
    return out.release();
  });
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
    const int threads = memory_threads(
        2.0 * static_cast<double>(item_of(type)) * static_cast<double>(size), num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      layer_norm(rows, d, data<T>(x), data<T>(weight), data<T>(bias), eps, data<T>(y),
                 data<T>(mean), data<T>(rstd), threads);
    });
    return Ref(Py_BuildValue("(NNN)", y.release(), mean.release(), rstd.release())).release();
  });
}

// layer_norm_backward(grad_output, x, d, weight, mean, rstd, affine) -> (dx, dweight, dbias), the
// last two None unless `affine`
PyObject* py_layer_norm_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 7);
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
    const bool affine = parse_bool(fn, "affine", args[6]);
    Ref dx = new_array(shape_of(given), type);
    Ref dweight = affine ? new_vector(d, type) : Ref();
    Ref dbias = affine ? new_vector(d, type) : Ref();
    const int threads = memory_threads(
        3.0 * static_cast<double>(item_of(type)) * static_cast<double>(size), num_threads());
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      layer_norm_backward(rows, d, data<T>(g), data<T>(x), data<T>(weight), data<T>(mean),
                          data<T>(rstd), data<T>(dx), data<T>(dweight), data<T>(dbias), threads);
    });
    if (!affine) return Ref(PyTuple_Pack(3, dx.get(), Py_None, Py_None)).release();
    return Ref(PyTuple_Pack(3, dx.get(), dweight.get(), dbias.get())).release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD_AS("norm_statistics", py_norm_statistics),
    FASTCONV_METHOD_AS("norm_apply", py_norm_apply),
    FASTCONV_METHOD_AS("norm_sets", py_norm_sets),
    FASTCONV_METHOD_AS("norm_backward", py_norm_backward),
    FASTCONV_METHOD_AS("scale_rows", py_scale_rows),
    FASTCONV_METHOD_AS("layer_norm", py_layer_norm),
    FASTCONV_METHOD_AS("layer_norm_backward", py_layer_norm_backward),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_norm(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
