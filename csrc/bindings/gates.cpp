// Learnt slopes and gated halves.
#include "../ops/gates.h"

#include "rows.h"

namespace fastconv {
namespace {

// x seen as (outer, c, inner) with the slopes along c; one slope makes a single row of everything.
struct Slopes {
  SlopeShape shape;
  Ref x, slope;
  bool last;  // channels-last memory, or an order in which one slope may run
};

Slopes slopes(const char* fn, PyArrayObject* given, PyObject* weight) {
  PyArrayObject* w = float_array_like(fn, "weight", weight, given);
  const int n = PyArray_NDIM(given);
  const int64_t c = PyArray_SIZE(w), size = PyArray_SIZE(given);
  if (c != 1 && (n < 2 || PyArray_DIM(given, 1) != c)) {
    throw std::invalid_argument(std::string(fn) + ": weight must have 1 element or one a channel");
  }
  Slopes s{{1, 1, size}, Ref(), dense(w), false};
  if (c == 1) {
    // Stretches, so that threads have something to share.
    constexpr int64_t kStretch = 4096;
    if (size > kStretch && size % kStretch == 0) s.shape = {size / kStretch, 1, kStretch};
    s.x = flat(given);
    return s;
  }
  s.last = n >= 3 && channels_last(given, n - 2);
  s.x = s.last ? dense_channels_last(given, n - 2) : dense(given);
  const int64_t outer = PyArray_DIM(given, 0), inner = size ? size / (outer * c) : 0;
  s.shape = s.last ? SlopeShape{outer * inner, c, 1} : SlopeShape{outer, c, inner};
  return s;
}

// prelu(x, weight)
PyObject* py_prelu(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 2);
    PyArrayObject* given = float_array("prelu", "input", args[0]);
    const Slopes s = slopes("prelu", given, args[1]);
    Ref y = like(s.x.array());
    if (PyArray_SIZE(given) == 0) return y.release();
    const int threads = threads_for(given, 2);
    typed(PyArray_TYPE(given), [&](auto zero) {
      using T = decltype(zero);
      prelu(s.shape, data<T>(s.x), data<T>(s.slope), data<T>(y), threads);
    });
    return y.release();
  });
}

// prelu_backward(grad_output, x, weight) -> (dx, dweight of one axis)
PyObject* py_prelu_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 3);
    const char* fn = "prelu_backward";
    PyArrayObject* given = float_array(fn, "input", args[1]);
    PyArrayObject* grad = float_array_like(fn, "grad_output", args[0], given);
    same_shape(fn, "grad_output", grad, given);
    Slopes s = slopes(fn, given, args[2]);
    const int type = PyArray_TYPE(given);
    Ref g = s.last ? dense_channels_last(grad, PyArray_NDIM(grad) - 2) : flat(grad);
    if (!same_order(g.array(), s.x.array())) {
      s.x = dense(given);
      g = dense(grad);
    }
    Ref dx = like(s.x.array()), dslope = new_array(Shape(PyArray_SIZE(s.slope.array()), 1), type);
    if (PyArray_SIZE(given) == 0) {
      PyArray_FILLWBYTE(dslope.array(), 0);
      return Ref(PyTuple_Pack(2, dx.get(), dslope.get())).release();
    }
    const int threads = threads_for(given, 3);
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      prelu_backward(s.shape, data<T>(g), data<T>(s.x), data<T>(s.slope), data<T>(dx),
                     data<T>(dslope), threads);
    });
    return Ref(PyTuple_Pack(2, dx.get(), dslope.get())).release();
  });
}

// Outer and inner extents around an axis that is halved, in the order of memory; the shape of a
// half. Channels of channels-last memory are its last axis.
Shape halves(const char* fn, PyArrayObject* x, PyObject* axis, int64_t* outer, int64_t* inner,
             bool* last) {
  const int64_t at = parse_int(fn, "axis", axis);
  Shape shape = shape_of(x);
  if (at < 0 || at >= shape.n || shape[static_cast<int>(at)] % 2) {
    throw std::invalid_argument(std::string(fn) + ": the axis must be there, with an even extent");
  }
  shape[static_cast<int>(at)] /= 2;
  *last = shape.n >= 3 && at == 1 && channels_last(x, shape.n - 2);
  *outer = *inner = 1;
  for (int i = 0; i < shape.n; ++i) (i < at || (*last && i != at) ? *outer : *inner) *= shape[i];
  return shape;
}

// glu(x, axis)
PyObject* py_glu(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 2);
    PyArrayObject* given = float_array("glu", "input", args[0]);
    int64_t outer, inner;
    bool last;
    const Shape shape = halves("glu", given, args[1], &outer, &inner, &last);
    const int rank = shape.n - 2, type = PyArray_TYPE(given);
    const Ref x = last ? dense_channels_last(given, rank) : dense(given);
    Ref y = last ? new_channels_last(shape, rank, type) : new_array(shape, type);
    if (outer * inner == 0) return y.release();
    const int threads = threads_for(given, 1.5);
    typed(PyArray_TYPE(given), [&](auto zero) {
      using T = decltype(zero);
      glu(outer, inner, data<T>(x), data<T>(y), threads);
    });
    return y.release();
  });
}

// glu_backward(grad_output, x, axis)
PyObject* py_glu_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 3);
    const char* fn = "glu_backward";
    PyArrayObject* given = float_array(fn, "input", args[1]);
    PyArrayObject* grad = float_array_like(fn, "grad_output", args[0], given);
    int64_t outer, inner;
    bool last;
    const Shape shape = halves(fn, given, args[2], &outer, &inner, &last);
    const int rank = shape.n - 2, type = PyArray_TYPE(given);
    if (!(shape_of(grad) == shape)) {
      throw std::invalid_argument("glu_backward: grad_output must have shape " + shape_text(shape) +
                                  ", but got shape " + shape_text(shape_of(grad)));
    }
    const Ref x = last ? dense_channels_last(given, rank) : dense(given);
    const Ref g = last ? dense_channels_last(grad, rank) : dense(grad);
    Ref dx =
        last ? new_channels_last(shape_of(given), rank, type) : new_array(shape_of(given), type);
    if (outer * inner == 0) return dx.release();
    const int threads = threads_for(given, 2.5);
    typed(PyArray_TYPE(given), [&](auto zero) {
      using T = decltype(zero);
      glu_backward(outer, inner, data<T>(g), data<T>(x), data<T>(dx), threads);
    });
    return dx.release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD_AS("prelu", py_prelu), FASTCONV_METHOD_AS("prelu_backward", py_prelu_backward),
    FASTCONV_METHOD_AS("glu", py_glu),     FASTCONV_METHOD_AS("glu_backward", py_glu_backward),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_gates(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
