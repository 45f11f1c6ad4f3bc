// Unpooling, its gradient, and adaptive maxima.
#include "../ops/pool_places.h"

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

// adaptive_max_pool(name, rank, x, sizes) -> (output, indices)
PyObject* py_adaptive_max_pool(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 4);
    const char* fn = parse_text("adaptive_max_pool", "name", args[0]);
    PyArrayObject* given = float_array(fn, "input", args[2]);
    const int64_t rank = parse_int(fn, "rank", args[1]);
    const int n = PyArray_NDIM(given);
    if (rank < 1 || rank > 3 || n < rank + 1 || n > rank + 2) {
      throw std::invalid_argument(std::string(fn) + ": input has the wrong number of axes");
    }
    const int r = static_cast<int>(rank);
    const Shape sizes = parse_ints(fn, "output_size", args[3], r);
    Shape shape = shape_of(given);
    SharedWindows w{{1, 1, 1}, {1, 1, 1}};
    Places p{n == r + 2 ? shape[0] : 1, shape[n - r - 1], channels_last(given, r), 1, 1};
    for (int i = 0; i < r; ++i) {
      const int64_t in = shape[n - r + i];
      if (in < 1 || sizes[i] < 0) {
        throw std::invalid_argument(std::string(fn) + ": expected positive extents");
      }
      w.in[3 - r + i] = in;
      w.out[3 - r + i] = shape[n - r + i] = sizes[i];
      p.size *= in;
      p.count *= sizes[i];
    }
    const int type = PyArray_TYPE(given);
    const bool last = p.last;
    const Ref x = last ? dense_channels_last(given, r) : dense(given);
    Ref y = last ? new_channels_last(shape, r, type) : new_array(shape, type);
    Ref index = last ? new_channels_last(shape, r, NPY_INT64) : new_array(shape, NPY_INT64);
    if (PyArray_SIZE(y.array()) > 0) {
      const int threads = threads_for(given, 4);
      typed(type, [&](auto zero) {
        using T = decltype(zero);
        adaptive_max(p, w, data<T>(x), data<T>(y), data<int64_t>(index), threads);
      });
    }
    return Ref(PyTuple_Pack(2, y.get(), index.get())).release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD_AS("place", py_place),
    FASTCONV_METHOD_AS("fetch", py_fetch),
    FASTCONV_METHOD_AS("adaptive_max_pool", py_adaptive_max_pool),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_pool_places(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
