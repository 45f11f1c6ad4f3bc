// Batch norm of a training step, with the activation behind it.
#include "../ops/batch_norm.h"

#include "../ops/memory.h"
#include "conv_args.h"
#include "rows.h"

namespace fastconv {
namespace {

BatchShape batch_shape(const char* fn, PyArrayObject* x) {
  const Shape shape = shape_of(x);
  BatchShape s{shape.n > 1 ? shape[0] : 0, shape.n > 1 ? shape[1] : 0, 1};
  for (int i = 2; i < shape.n; ++i) s.s *= shape[i];
  if (s.n * s.s < 2) {
    throw std::invalid_argument(std::string(fn) +
                                ": input must have shape (N, C, ...) and more than one value per "
                                "channel, but got " +
                                shape_text(shape));
  }
  return s;
}

// A dense vector of one value per channel like x, or null for None.
Ref vector(const char* fn, const char* what, PyObject* o, PyArrayObject* x, int64_t channels) {
  if (o == Py_None) return Ref();
  PyArrayObject* a = float_array_like(fn, what, o, x);
  if (PyArray_NDIM(a) != 1 || PyArray_SIZE(a) != channels) {
    throw std::invalid_argument(std::string(fn) + ": " + what + " must have " +
                                std::to_string(channels) + " values, but got shape " +
                                shape_text(shape_of(a)));
  }
  return dense(a);
}

// The same, to be written into.
Ref state(const char* fn, const char* what, PyObject* o, PyArrayObject* x, int64_t channels) {
  Ref v = vector(fn, what, o, x, channels);
  if (v && (v.get() != o || !PyArray_ISWRITEABLE(v.array()))) {
    throw std::invalid_argument(std::string(fn) + ": " + what + " must be writable and contiguous");
  }
  return v;
}

Activation clamp(const char* fn, PyObject* o) {
  const Activation a = parse_activation(fn, o);
  if (a > Activation::relu6) {
    throw std::invalid_argument(std::string(fn) + ": activation must be None, 'relu' or 'relu6'");
  }
  return a;
}

Ref new_vector(int64_t count, int type) {
  return new_array(Shape(count, 1), type);
}

// Threads for a channel's worth of work each; `arrays` are read or written.
int threads_of(const BatchShape& s, int type, double arrays) {
  const double bytes =
      arrays * static_cast<double>(item_of(type)) * static_cast<double>(s.n * s.c * s.s);
  return memory_threads(bytes, num_threads());
}

// batch_norm(x, weight, bias, running_mean, running_var, momentum, eps, activation)
//   -> (y, mean, biased variance)
PyObject* py_batch_norm(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 8);
    const char* fn = "batch_norm";
    PyArrayObject* given = float_array(fn, "input", args[0]);
    const BatchShape s = batch_shape(fn, given);
    const int type = PyArray_TYPE(given);
    const Ref weight = vector(fn, "weight", args[1], given, s.c);
    const Ref bias = vector(fn, "bias", args[2], given, s.c);
    const Ref running_mean = state(fn, "running_mean", args[3], given, s.c);
    const Ref running_var = state(fn, "running_var", args[4], given, s.c);
    if (!running_mean != !running_var) {
      throw std::invalid_argument("batch_norm: running statistics must be given both or not");
    }
    const double momentum = parse_double(fn, "momentum", args[5]);
    const double eps = parse_double(fn, "eps", args[6]);
    const Activation activation = clamp(fn, args[7]);
    const Ref x = dense(given);
    Ref y = new_array(shape_of(given), type);
    Ref mean = new_vector(s.c, type), var = new_vector(s.c, type);
    const int threads = threads_of(s, type, 2);
    const Scratch scratch(batch_norm_bytes(s, item_of(type), threads));
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      batch_norm<T>(
          {s, data<T>(x), data<T>(weight), data<T>(bias), eps, momentum, activation, data<T>(mean),
           data<T>(var), data<T>(running_mean), data<T>(running_var), data<T>(y)},
          scratch.data(), threads);
    });
    return Ref(Py_BuildValue("(NNN)", y.release(), mean.release(), var.release())).release();
  });
}

// batch_norm_backward(grad_output, x, weight, bias, mean, var, eps, activation, need_input)
//   -> (dx or None, dweight, dbias)
PyObject* py_batch_norm_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 9);
    const char* fn = "batch_norm_backward";
    PyArrayObject* given = float_array(fn, "input", args[1]);
    PyArrayObject* grad = float_array_like(fn, "grad_output", args[0], given);
    same_shape(fn, "grad_output", grad, given);
    const BatchShape s = batch_shape(fn, given);
    const int type = PyArray_TYPE(given);
    const Ref weight = vector(fn, "weight", args[2], given, s.c);
    const Ref bias = vector(fn, "bias", args[3], given, s.c);
    const Ref mean = vector(fn, "mean", args[4], given, s.c);
    const Ref var = vector(fn, "var", args[5], given, s.c);
    if (!mean || !var) throw type_error("batch_norm_backward: mean and var must be arrays");
    const double eps = parse_double(fn, "eps", args[6]);
    const Activation activation = clamp(fn, args[7]);
    const bool need = parse_bool(fn, "need_input", args[8]);
    const Ref x = dense(given), g = dense(grad);
    Ref dx = need ? new_array(shape_of(given), type) : Ref::borrow(Py_None);
    Ref dweight = new_vector(s.c, type), dbias = new_vector(s.c, type);
    const int threads = threads_of(s, type, 3);
    const Scratch scratch(batch_norm_bytes(s, item_of(type), threads));
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      batch_norm_backward<T>(
          {s, data<T>(g), data<T>(x), data<T>(weight), data<T>(bias), data<T>(mean), data<T>(var),
           eps, activation, false, need ? data<T>(dx) : nullptr, data<T>(dweight), data<T>(dbias)},
          scratch.data(), threads);
    });
    return Ref(Py_BuildValue("(NNN)", dx.release(), dweight.release(), dbias.release())).release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD_AS("batch_norm", py_batch_norm),
    FASTCONV_METHOD_AS("batch_norm_backward", py_batch_norm_backward),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_batch_norm(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
