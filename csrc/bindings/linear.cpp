// Fully connected layers, convolutions whose window is the whole image, and products of matrices.
#include "../ops/conv.h"
#include "../ops/parallel.h"
#include "../ops/product.h"
#include "arrays.h"
#include "module.h"

namespace fastconv {
namespace {

// (N, C) through (K, C), as a problem of one axis of extent 1.
ConvProblem linear_problem(const char* fn, PyArrayObject* x, PyArrayObject* weight) {
  if (PyArray_NDIM(x) != 2 || PyArray_NDIM(weight) != 2) {
    throw std::invalid_argument(std::string(fn) + ": expected arrays (N, C) and (K, C), got " +
                                shape_text(shape_of(x)) + " and " + shape_text(shape_of(weight)));
  }
  ConvArgs a;
  a.name = fn;
  a.rank = 1;
  a.input = shape_of(x);
  a.weight = shape_of(weight);
  a.input.push_back(1);
  a.weight.push_back(1);
  a.stride = a.dilation = Shape(1, 1);
  a.padding.before = a.padding.after = Shape(0, 1);
  return make_conv_problem(a);
}

template <class T>
void run(ConvCall<T> call, const ConvProblem& p, Direction direction, const char* fn) {
  call.p = &p;
  call.threads = useful_threads(p.flops(), num_threads());
  convolve(call, choose(p, direction, "auto", sizeof(T), call.threads, false, fn));
}

// linear(x, weight, bias or None) -> (N, K)
PyObject* linear(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 3);
    const char* fn = "linear";
    PyArrayObject* input = float_array(fn, "input", args[0]);
    PyArrayObject* weight = float_array_like(fn, "weight", args[1], input);
    const ConvProblem p = linear_problem(fn, input, weight);
    Ref bias;
    if (args[2] != Py_None) {
      PyArrayObject* b = float_array_like(fn, "bias", args[2], input);
      if (PyArray_NDIM(b) != 1 || PyArray_SIZE(b) != p.k) {
        throw std::invalid_argument("linear: bias must have shape (" + std::to_string(p.k) +
                                    ",), but got " + shape_text(shape_of(b)));
      }
      bias = dense(b);
    }
    Shape shape(p.n, 1);
    shape.push_back(p.k);
    const int type = PyArray_TYPE(input);
    const Ref x = dense(input), w = dense(weight);
    Ref y = new_array(shape, type);
    if (p.n == 0) return y.release();
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      ConvCall<T> call;
      call.input = data<T>(x);
      call.weight = data<T>(w);
      call.bias = data<T>(bias);
      call.result = data<T>(y);
      run(call, p, Direction::forward, fn);
    });
    return y.release();
  });
}

// linear_backward(grad_output, x, weight, need) -> (dx, dweight, dbias), None where not needed
PyObject* linear_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 4);
    const char* fn = "linear_backward";
    PyArrayObject* input = float_array(fn, "input", args[1]);
    PyArrayObject* grad = float_array_like(fn, "grad_output", args[0], input);
    PyArrayObject* weight = float_array_like(fn, "weight", args[2], input);
    const ConvProblem p = linear_problem(fn, input, weight);
    Shape shape(p.n, 1);
    shape.push_back(p.k);
    if (!(shape_of(grad) == shape)) {
      throw std::invalid_argument("linear_backward: grad_output must have shape " +
                                  shape_text(shape) + ", but got " + shape_text(shape_of(grad)));
    }
    if (!PyTuple_Check(args[3]) || PyTuple_GET_SIZE(args[3]) != 3) {
      throw type_error("linear_backward: need must be three bools");
    }
    const auto needed = [&](int i) { return parse_bool(fn, "need", PyTuple_GET_ITEM(args[3], i)); };
    const int type = PyArray_TYPE(input);
    const auto result = [&](bool wanted, const Shape& s) {
      return wanted ? new_array(s, type) : Ref();
    };
    Ref dx = result(needed(0), shape_of(input)), dw = result(needed(1), shape_of(weight)),
        db = result(needed(2), Shape(p.k, 1));
    if (p.n == 0) throw std::invalid_argument("linear_backward: the batch must not be empty");
    const Ref x = dense(input), w = dense(weight), g = dense(grad);
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      ConvCall<T> call;
      call.input = data<T>(x);
      call.weight = data<T>(w);
      call.grad = data<T>(g);
      call.result = data<T>(dx);
      if (dx) run(call, p, Direction::input, fn);
      call.result = data<T>(dw);
      if (dw) run(call, p, Direction::weight, fn);
      T* sums = data<T>(db);
      for (int64_t n = 0; sums && n < p.n; ++n) {
        for (int64_t k = 0; k < p.k; ++k) {
          sums[k] = n ? sums[k] + call.grad[n * p.k + k] : call.grad[k];
        }
      }
    });
    const auto given = [](Ref& r) { return r ? r.release() : Ref::borrow(Py_None).release(); };
    PyObject* first = given(dx);
    PyObject* second = given(dw);
    return Ref(Py_BuildValue("(NNN)", first, second, given(db))).release();
  });
}

// Matrices as the product takes them: the array itself where their rows or their columns lie one
// behind the other, else a copy that lies by rows.
struct Matrices {
  Matrices(PyArrayObject* a, bool may_lie_by_columns) {
    const int rank = PyArray_NDIM(a);
    if (may_lie_by_columns && !PyArray_IS_C_CONTIGUOUS(a)) {
      array = Ref(PyArray_SwapAxes(a, rank - 2, rank - 1));
      if (PyArray_ISCARRAY_RO(array.array())) {
        lies = Lies::columns;
        return;
      }
    }
    array = dense(a);
  }
  Ref array;
  Lies lies = Lies::rows;
};

// product(a, b) -> (..., M, N) of a (..., M, K) and b (..., K, N); nothing is copied where matrices
// are transposed in memory, but for both
PyObject* product(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 2);
    PyArrayObject* left = float_array("matmul", "input", args[0]);
    PyArrayObject* right = float_array_like("matmul", "other", args[1], left);
    Shape shape = shape_of(left), other = shape_of(right);
    const int rank = shape.n;
    bool fit = rank >= 2 && other.n == rank && shape[rank - 1] == other[rank - 2];
    int64_t batch = 1;
    for (int i = 0; fit && i < rank - 2; ++i) {
      fit = shape[i] == other[i];
      batch *= shape[i];
    }
    if (!fit || PyArray_SIZE(left) == 0 || PyArray_SIZE(right) == 0) {
      throw std::invalid_argument("matmul: expected arrays (..., M, K) and (..., K, N), got " +
                                  shape_text(shape) + " and " + shape_text(other));
    }
    const int64_t m = shape[rank - 2], k = shape[rank - 1], n = other[rank - 1];
    shape[rank - 1] = n;
    const Matrices a(left, true), b(right, a.lies == Lies::rows);
    const int type = PyArray_TYPE(left);
    Ref out = new_array(shape, type);
    typed(type, [&](auto zero) {
      using T = decltype(zero);
      matrix_product(data<T>(a.array), a.lies, data<T>(b.array), b.lies, batch, m, n, k,
                     data<T>(out));
    });
    return out.release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD(linear),
    FASTCONV_METHOD(linear_backward),
    FASTCONV_METHOD(product),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_linear(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
