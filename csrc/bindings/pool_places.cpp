// Unpooling, its gradient, and adaptive maxima.
#include "../ops/pool_places.h"
#include "../ops/pool_tiles.h"

#include "rows.h"

namespace fastconv {
namespace {

// An array (N, C, spatial) or (C, spatial) of places and the indices into it.
struct Placed {
  Places p;
  int rank;
  Shape shape;  // of the array of indices
  Ref index;
};

Placed placed(const char* fn, PyArrayObject* like, PyObject* rank, PyObject* indices,
              PyArrayObject* indexed) {
  Placed s{};
  const int64_t r = parse_int(fn, "rank", rank);
  const int n = PyArray_NDIM(like);
  if (r < 1 || r > 3 || n < r + 1 || n > r + 2) {
    throw std::invalid_argument(std::string(fn) + ": input must have " + std::to_string(r + 1) +
                                " or " + std::to_string(r + 2) + " axes, but got shape " +
                                shape_text(shape_of(like)));
  }
  s.rank = static_cast<int>(r);
  auto* i = reinterpret_cast<PyArrayObject*>(indices);
  if (!PyArray_Check(indices) || !PyArray_EquivTypenums(PyArray_TYPE(i), NPY_INT64) ||
      !PyArray_ISNOTSWAPPED(i)) {
    throw type_error(std::string(fn) + ": indices must be an int64 array");
  }
  same_shape(fn, "indices", i, indexed);
  s.shape = shape_of(i);
  s.p.last = channels_last(like, s.rank);
  s.p.n = n == r + 2 ? s.shape[0] : 1;
  s.p.c = s.shape[n - s.rank - 1];
  s.p.count = s.p.size = 1;
  for (int k = n - s.rank; k < n; ++k) s.p.count *= s.shape[k];
  s.index = s.p.last ? dense_channels_last(i, s.rank) : dense(i);
  return s;
}

[[noreturn]] void bad_index(const char* fn, const Placed& s) {
  const int64_t* at = data<int64_t>(s.index);
  while (*at >= 0 && *at < s.p.size) ++at;
  throw std::invalid_argument(std::string(fn) +
                              ": Found an invalid max index: " + std::to_string(*at) +
                              " (a plane has " + std::to_string(s.p.size) + " elements)");
}

// place(name, rank, x, indices, sizes, add) -> zeros but for the values of x
PyObject* py_place(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 6);
    const char* fn = parse_text("place", "name", args[0]);
    PyArrayObject* given = float_array(fn, "input", args[2]);
    Placed s = placed(fn, given, args[1], args[3], given);
    const Shape sizes = parse_ints(fn, "sizes", args[4], s.rank);
    const bool add = parse_bool(fn, "add", args[5]);
    Shape shape = s.shape;
    for (int i = 0; i < s.rank; ++i) {
      if (sizes[i] < 0) throw std::invalid_argument(std::string(fn) + ": negative output size");
      shape[shape.n - s.rank + i] = sizes[i];
      s.p.size = checked_mul(s.p.size, sizes[i]);
    }
    const int type = PyArray_TYPE(given);
    const Ref x = s.p.last ? dense_channels_last(given, s.rank) : dense(given);
    Ref y = s.p.last ? new_channels_last(shape, s.rank, type) : new_array(shape, type);
    const int threads = threads_for(y.array(), 2);
    bool valid = true;
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      valid = place(s.p, data<T>(x), data<int64_t>(s.index), add, data<T>(y), threads);
    });
    if (!valid) bad_index(fn, s);
    return y.release();
  });
}

// fetch(name, rank, x, indices) -> the values of x at the indices
PyObject* py_fetch(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 4);
    const char* fn = parse_text("fetch", "name", args[0]);
    PyArrayObject* given = float_array(fn, "input", args[2]);
    if (!PyArray_Check(args[3])) throw type_error(std::string(fn) + ": indices must be an array");
    Placed s = placed(fn, given, args[1], args[3], reinterpret_cast<PyArrayObject*>(args[3]));
    const Shape from = shape_of(given);
    bool fits = from.n == s.shape.n;
    for (int i = 0; fits && i < from.n - s.rank; ++i) fits = from[i] == s.shape[i];
    if (!fits) throw std::invalid_argument(std::string(fn) + ": indices do not fit the input");
    for (int i = from.n - s.rank; i < from.n; ++i) s.p.size *= from[i];
    const int type = PyArray_TYPE(given);
    const Ref x = s.p.last ? dense_channels_last(given, s.rank) : dense(given);
    Ref y = s.p.last ? new_channels_last(s.shape, s.rank, type) : new_array(s.shape, type);
    const int threads = threads_for(y.array(), 4);
    bool valid = true;
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      valid = fetch(s.p, data<T>(x), data<int64_t>(s.index), data<T>(y), threads);
    });
    if (!valid) bad_index(fn, s);
    return y.release();
  });
}

// The arguments of an adaptive pool: the extents of its result are `sizes`.
struct Adaptive {
  const char* fn;
  PyArrayObject* given;
  int rank;
  bool last;
  Shape shape;  // of the result
  SharedWindows windows{{1, 1, 1}, {1, 1, 1}};
  int64_t n, c;

  // name, rank, x, sizes
  explicit Adaptive(PyObject* const* args)
      : fn(parse_text("adaptive_pool", "name", args[0])), given(float_array(fn, "input", args[2])) {
    const int64_t r = parse_int(fn, "rank", args[1]);
    const int axes = PyArray_NDIM(given);
    if (r < 1 || r > 3 || axes < r + 1 || axes > r + 2) {
      throw std::invalid_argument(std::string(fn) + ": input has the wrong number of axes");
    }
    rank = static_cast<int>(r);
    const Shape sizes = parse_ints(fn, "output_size", args[3], rank);
    last = channels_last(given, rank);
    shape = shape_of(given);
    n = axes == rank + 2 ? shape[0] : 1;
    c = shape[axes - rank - 1];
    for (int i = 0; i < rank; ++i) {
      const int64_t in = shape[axes - rank + i];
      if (in < 1 || sizes[i] < 0) {
        throw std::invalid_argument(std::string(fn) + ": expected positive extents");
      }
      windows.in[3 - rank + i] = in;
      windows.out[3 - rank + i] = shape[axes - rank + i] = sizes[i];
    }
  }
  Ref input() const { return last ? dense_channels_last(given, rank) : dense(given); }
  Ref result(int type) const {
    return last ? new_channels_last(shape, rank, type) : new_array(shape, type);
  }
};

// adaptive_max_pool(name, rank, x, sizes) -> (output, indices)
PyObject* py_adaptive_max_pool(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 4);
    const Adaptive a(args);
    const SharedWindows& w = a.windows;
    const Places p{a.n, a.c, a.last, w.out[0] * w.out[1] * w.out[2], w.in[0] * w.in[1] * w.in[2]};
    const int type = PyArray_TYPE(a.given);
    const Ref x = a.input();
    Ref y = a.result(type), index = a.result(NPY_INT64);
    if (PyArray_SIZE(y.array()) > 0) {
      const int threads = threads_for(a.given, 4);
      typed(type, [&](auto zero) {
        using T = decltype(zero);
        adaptive_max(p, w, data<T>(x), data<T>(y), data<int64_t>(index), threads);
      });
    }
    return Ref(PyTuple_Pack(2, y.get(), index.get())).release();
  });
}

// adaptive_pool(name, rank, x, sizes, maximum): the largest values or the means
PyObject* adaptive_pool(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 5);
    const Adaptive a(args);
    const bool maximum = parse_bool(a.fn, "maximum", args[4]);
    const int type = PyArray_TYPE(a.given);
    const Ref x = a.input();
    Ref y = a.result(type);
    if (PyArray_SIZE(y.array()) == 0) return y.release();
    const WindowRanges w =
        shared_ranges(a.windows.in, a.windows.out, a.last ? a.n : a.n * a.c, a.last ? a.c : 1);
    const int threads = threads_for(a.given, 2);
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      if (maximum) return window_maxima(w, data<T>(x), data<T>(y), threads);
      window_averages(w, window_sizes<T>(w).data(), data<T>(x), data<T>(y), threads);
    });
    return y.release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD_AS("place", py_place),
    FASTCONV_METHOD_AS("fetch", py_fetch),
    FASTCONV_METHOD_AS("adaptive_max_pool", py_adaptive_max_pool),
    FASTCONV_METHOD(adaptive_pool),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_pool_places(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
