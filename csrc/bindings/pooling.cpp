// max_pool, avg_pool and their gradients.
#include "../ops/pool.h"

#include <algorithm>

#include "../ops/parallel.h"
#include "../ops/pool_last.h"
#include "arrays.h"
#include "module.h"
#include "windows.h"

namespace fastconv {
namespace {

const char* const kMax[3] = {"max_pool1d", "max_pool2d", "max_pool3d"};
const char* const kMaxBackward[3] = {"max_pool1d_backward", "max_pool2d_backward",
                                     "max_pool3d_backward"};
const char* const kAverage[3] = {"avg_pool1d", "avg_pool2d", "avg_pool3d"};
const char* const kAverageBackward[3] = {"avg_pool1d_backward", "avg_pool2d_backward",
                                         "avg_pool3d_backward"};

// Pools are bound by memory: their work is what they read and write, a few operations an element.
// Narrow rows cost as much as a vector.
int threads_for(const PoolProblem& p) {
  const auto padded = [](const int64_t* e) {
    return static_cast<double>(e[0] * e[1]) * static_cast<double>((e[2] + 15) / 16 * 16);
  };
  const double elements = static_cast<double>(p.planes()) * (padded(p.in) + padded(p.out));
  return useful_threads(20 * elements, num_threads());
}

// Whether a call runs on channels-last memory from end to end.
bool stays_last(const PoolProblem& p, PyArrayObject* input, PyObject* out) {
  return out == Py_None && channels_last(input, p.rank) && fits_channels_last(p);
}

// The same of a gradient. The tape keeps an input's shape without its memory, all strides zero;
// then the layout of what was made from it counts.
bool stays_last(const PoolProblem& p, PyArrayObject* input, PyArrayObject* made) {
  bool shape_only = true;
  for (int i = 0; i < PyArray_NDIM(input); ++i) {
    shape_only = shape_only && (PyArray_STRIDE(input, i) == 0 || PyArray_DIM(input, i) == 1);
  }
  return channels_last(shape_only ? made : input, p.rank) && fits_channels_last(p);
}

// rank, input, kernel, stride, padding, dilation, ceil_mode: a max pool's first arguments.
PoolProblem parse_max(PoolArgs* a, PyArrayObject** input, PyObject* const* args) {
  *a = named(args[0], kMax);
  *input = float_array(a->name, "input", args[1]);
  a->input = shape_of(*input);
  parse_windows(a, args + 2);
  a->dilation = parse_ints(a->name, "dilation", args[5], a->rank);
  a->ceil = parse_bool(a->name, "ceil_mode", args[6]);
  return make_pool_problem(*a);
}

// The output, or with where_size (see ops/pool.h) a pair of it and where its elements are.
Ref run_max(const PoolArgs& a, const PoolProblem& p, PyArrayObject* input, int size,
            PyObject* out) {
  const Shape shape = p.output_shape();
  const int type = PyArray_TYPE(input);
  const int where_type = size == 1 ? NPY_UINT8 : size == 4 ? NPY_INT32 : NPY_INT64;
  Ref where;
  if (stays_last(p, input, out)) {
    const Ref x = dense_channels_last(input, p.rank);
    Ref y = new_channels_last(shape, p.rank, type);
    if (size) where = new_channels_last(shape, p.rank, where_type);
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      max_pool_last<T>(p, data<T>(x), data<T>(y), {data<void>(where), size}, threads_for(p));
    });
    return size ? Ref(PyTuple_Pack(2, y.get(), where.get())) : std::move(y);
  }
  const bool last = channels_last(input, p.rank);
  Result result(a.name, out, shape, type, last, p.rank, {input});
  if (size) where = new_array(shape, where_type);
  const Ref x = dense(input);
  typed(type, [&](auto zero) {
    using T = decltype(zero);
    fastconv::max_pool<T>(p, data<T>(x), static_cast<T*>(result.data()), {data<void>(where), size},
                          threads_for(p));
  });
  Ref values(result.finish());
  if (!size) return values;
  if (last) {
    Ref copy = new_channels_last(shape, p.rank, where_type);
    if (PyArray_CopyInto(copy.array(), where.array()) < 0) throw python_error{};
    where = std::move(copy);
  }
  return Ref(PyTuple_Pack(2, values.get(), where.get()));
}

// max_pool(rank, input, kernel, stride, padding, dilation, ceil_mode, return_indices, out)
//   -> output or (output, indices)
PyObject* max_pool(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 9);
    PoolArgs a;
    PyArrayObject* input;
    const PoolProblem p = parse_max(&a, &input, args);
    const bool want_indices = parse_bool(a.name, "return_indices", args[7]);
    return run_max(a, p, input, want_indices ? sizeof(int64_t) : 0, args[8]).release();
  });
}

// max_pool_taped(rank, input, kernel, stride, padding, dilation, ceil_mode)
//   -> (output, what max_pool_taped_backward wants to know of it)
PyObject* max_pool_taped(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 7);
    PoolArgs a;
    PyArrayObject* input;
    const PoolProblem p = parse_max(&a, &input, args);
    return run_max(a, p, input, where_size(p), Py_None).release();
  });
}

// max_pool_taped_backward(rank, grad_output, input, where, kernel, stride, padding, dilation,
//                         ceil_mode): what is wrong with `where` is not found.
PyObject* max_pool_taped_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 9);
    PoolArgs a = named(args[0], kMaxBackward);
    PyArrayObject* grad = float_array(a.name, "grad_output", args[1]);
    a.input = shape_of(float_array_like(a.name, "input", args[2], grad));
    parse_windows(&a, args + 4);
    a.dilation = parse_ints(a.name, "dilation", args[7], a.rank);
    a.ceil = parse_bool(a.name, "ceil_mode", args[8]);
    const PoolProblem p = make_pool_problem(a);
    auto* given = reinterpret_cast<PyArrayObject*>(args[3]);
    check_output_shape(a.name, "grad_output", grad, p.output_shape());
    check_output_shape(a.name, "where", given, p.output_shape());
    const bool last = channels_last(given, p.rank) && fits_channels_last(p);
    const int type = PyArray_TYPE(grad);
    const Ref dy = last ? dense_channels_last(grad, p.rank) : dense(grad);
    const Ref where = last ? dense_channels_last(given, p.rank) : dense(given);
    Ref dx =
        last ? new_channels_last(p.input_shape(), p.rank, type) : new_array(p.input_shape(), type);
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      const Where at{data<void>(where), static_cast<int>(PyArray_ITEMSIZE(where.array()))};
      fastconv::max_pool_taped_backward<T>(p, last, data<T>(dy), at, data<T>(dx), threads_for(p));
    });
    return dx.release();
  });
}

// max_pool_backward(rank, grad_output, input, indices, kernel, stride, padding, dilation,
//                   ceil_mode)
PyObject* max_pool_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 9);
    PoolArgs a = named(args[0], kMaxBackward);
    PyArrayObject* grad = float_array(a.name, "grad_output", args[1]);
    PyArrayObject* input = float_array_like(a.name, "input", args[2], grad);
    if (!PyArray_Check(args[3])) {
      throw type_error(std::string(a.name) + ": indices must be a NumPy array, but got " +
                       type_name(args[3]));
    }
    auto* indices = reinterpret_cast<PyArrayObject*>(args[3]);
    if (!PyArray_EquivTypenums(PyArray_TYPE(indices), NPY_INT64) ||
        !PyArray_ISNOTSWAPPED(indices)) {
      throw type_error(std::string(a.name) +
                       ": indices must be int64 in native byte order, but got " +
                       dtype_name(indices));
    }
    a.input = shape_of(input);
    parse_windows(&a, args + 4);
    a.dilation = parse_ints(a.name, "dilation", args[7], a.rank);
    a.ceil = parse_bool(a.name, "ceil_mode", args[8]);
    const PoolProblem p = make_pool_problem(a);
    check_output_shape(a.name, "grad_output", grad, p.output_shape());
    check_output_shape(a.name, "indices", indices, p.output_shape());
    const int type = PyArray_TYPE(grad);
    bool valid = true;
    Ref dx;
    const bool last = stays_last(p, input, indices);
    const Ref dy = last ? dense_channels_last(grad, p.rank) : dense(grad);
    const Ref index = last ? dense_channels_last(indices, p.rank) : dense(indices);
    if (last) {
      dx = new_channels_last(p.input_shape(), p.rank, type);
      typed(type, [&](auto zero) {
        using T = decltype(zero);
        valid = fastconv::max_pool_backward<T>(p, true, data<T>(dy), data<int64_t>(index),
                                               data<T>(dx), threads_for(p));
      });
    } else {
      Result result(a.name, Py_None, p.input_shape(), type, channels_last(input, p.rank), p.rank,
                    {});
      typed(type, [&](auto zero) {
        using T = decltype(zero);
        valid = fastconv::max_pool_backward<T>(p, false, data<T>(dy), data<int64_t>(index),
                                               static_cast<T*>(result.data()), threads_for(p));
      });
      dx = Ref(result.finish());
    }
    if (!valid) {
      const int64_t* at = data<int64_t>(index);
      const int64_t* end = at + PyArray_SIZE(index.array());
      at = std::find_if(at, end, [&](int64_t i) { return i < -1 || i >= p.in_plane(); });
      throw std::invalid_argument(std::string(a.name) +
                                  ": Found an invalid max index: indices must be -1 or inside the "
                                  "input's plane of " +
                                  std::to_string(p.in_plane()) + " elements, but got " +
                                  (at == end ? "another" : std::to_string(*at)));
    }
    return dx.release();
  });
}

// avg_pool(rank, input, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override,
//          dilation, out)
PyObject* avg_pool(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 10);
    PoolArgs a = named(args[0], kAverage);
    PyArrayObject* input = float_array(a.name, "input", args[1]);
    a.input = shape_of(input);
    parse_windows(&a, args + 2);
    a.ceil = parse_bool(a.name, "ceil_mode", args[5]);
    const AverageRule rule = parse_rule(a.name, args[6], args[7]);
    a.dilation = parse_ints(a.name, "dilation", args[8], a.rank);
    const PoolProblem p = make_pool_problem(a);
    const int type = PyArray_TYPE(input);
    if (stays_last(p, input, args[9])) {
      const Ref x = dense_channels_last(input, p.rank);
      Ref y = new_channels_last(p.output_shape(), p.rank, type);
      typed(type, [&](auto zero) {
        using T = decltype(zero);
        average_pool_last<T>(p, rule, data<T>(x), data<T>(y), threads_for(p));
      });
      return y.release();
    }
    Result result(a.name, args[9], p.output_shape(), type, channels_last(input, p.rank), p.rank,
                  {input});
    const Ref x = dense(input);
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      average_pool<T>(p, rule, data<T>(x), static_cast<T*>(result.data()), threads_for(p));
    });
    return result.finish();
  });
}

// avg_pool_backward(rank, grad_output, input, kernel, stride, padding, ceil_mode,
//                   count_include_pad, divisor_override, dilation)
PyObject* avg_pool_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 10);
    PoolArgs a = named(args[0], kAverageBackward);
    PyArrayObject* grad = float_array(a.name, "grad_output", args[1]);
    PyArrayObject* input = float_array_like(a.name, "input", args[2], grad);
    a.input = shape_of(input);
    parse_windows(&a, args + 3);
    a.ceil = parse_bool(a.name, "ceil_mode", args[6]);
    const AverageRule rule = parse_rule(a.name, args[7], args[8]);
    a.dilation = parse_ints(a.name, "dilation", args[9], a.rank);
    const PoolProblem p = make_pool_problem(a);
    check_output_shape(a.name, "grad_output", grad, p.output_shape());
    const int type = PyArray_TYPE(grad);
    if (stays_last(p, input, grad)) {
      const Ref dy = dense_channels_last(grad, p.rank);
      Ref dx = new_channels_last(p.input_shape(), p.rank, type);
      typed(type, [&](auto zero) {
        using T = decltype(zero);
        average_pool_backward_last<T>(p, rule, data<T>(dy), data<T>(dx), threads_for(p));
      });
      return dx.release();
    }
    Result result(a.name, Py_None, p.input_shape(), type, channels_last(input, p.rank), p.rank, {});
    const Ref dy = dense(grad);
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      average_pool_backward<T>(p, rule, data<T>(dy), static_cast<T*>(result.data()),
                               threads_for(p));
    });
    return result.finish();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD(max_pool),       FASTCONV_METHOD(max_pool_backward),
    FASTCONV_METHOD(avg_pool),       FASTCONV_METHOD(avg_pool_backward),
    FASTCONV_METHOD(max_pool_taped), FASTCONV_METHOD(max_pool_taped_backward),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_pooling(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
