// conv_backward and the gradients of the input and of the weight by themselves.
#include <cstring>

#include "../ops/conv.h"
#include "../ops/parallel.h"
#include "conv_args.h"
#include "conv_last.h"
#include "module.h"

namespace fastconv {
namespace {

constexpr const char* kBackward[3] = {"conv1d_backward", "conv2d_backward", "conv3d_backward"};
constexpr const char* kInput[3] = {"conv1d_input", "conv2d_input", "conv3d_input"};
constexpr const char* kWeight[3] = {"conv1d_weight", "conv2d_weight", "conv3d_weight"};

template <class T>
ConvCall<T> make_call(const ConvProblem& p, const Ref& grad) {
  ConvCall<T> call;
  call.p = &p;
  call.threads = useful_threads(p, num_threads());
  call.grad = data<T>(grad);
  return call;
}

// The gradient of the input or of the weight; with the latter comes that of the bias, where it is
// wanted and `row` sums it on its way.
Ref gradient(const ConvProblem& p, Direction direction, const char* fn, const char* algorithm,
             int type, const Ref& grad, const Ref& other, const Shape& shape, bool last,
             Ref* bias = nullptr) {
  const int threads = useful_threads(p, num_threads());
  const Algorithm& row = choose(p, direction, algorithm, item_of(type), threads, false, fn);
  Result result(fn, Py_None, shape, type, last, p.rank, {});
  if (bias && row.sums_bias) *bias = new_array(Shape(p.k, 1), type);
  typed(type, [&](auto zero) {
    using T = decltype(zero);
    ConvCall<T> call = make_call<T>(p, grad);
    (direction == Direction::input ? call.weight : call.input) = data<T>(other);
    call.result = static_cast<T*>(result.data());
    if (bias) call.bias_grad = data<T>(*bias);
    convolve(call, row);
  });
  return Ref(result.finish());
}

// The gradients of input and weight, and that of the bias as above.
void both_gradients(const ConvProblem& p, const char* fn, const char* algorithm, int type,
                    const Ref& grad, PyArrayObject* input, PyArrayObject* weight, bool need_bias,
                    Ref (&grads)[3]) {
  const int threads = useful_threads(p, num_threads());
  const auto row = [&](Direction d) -> const Algorithm& {
    return choose(p, d, algorithm, item_of(type), threads, false, fn);
  };
  const Algorithm &of_input = row(Direction::input), &of_weight = row(Direction::weight);
  const Ref x = dense(input), w = dense(weight);
  Result dx(fn, Py_None, p.input_shape(), type, channels_last(input, p.rank), p.rank, {});
  Result dw(fn, Py_None, p.weight_shape(), type, channels_last(weight, p.rank), p.rank, {});
  if (need_bias && of_weight.sums_bias) grads[2] = new_array(Shape(p.k, 1), type);
  typed(type, [&](auto zero) {
    using T = decltype(zero);
    ConvCall<T> call = make_call<T>(p, grad);
    call.input = data<T>(x);
    call.weight = data<T>(w);
    call.bias_grad = data<T>(grads[2]);
    convolve_back(call, of_input, of_weight, static_cast<T*>(dx.data()),
                  static_cast<T*>(dw.data()));
  });
  grads[0] = Ref(dx.finish());
  grads[1] = Ref(dw.finish());
}

// conv_backward(rank, grad_output, input, weight, stride, padding, dilation, groups, need,
//               algorithm) -> (grad_input, grad_weight, grad_bias), None where not needed
PyObject* conv_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 10);
    ConvArgs a = conv_args(args[0], kBackward);
    const char* fn = a.name;
    PyArrayObject* grad = float_array(fn, "grad_output", args[1]);
    PyArrayObject* input = float_array_like(fn, "input", args[2], grad);
    PyArrayObject* weight = float_array_like(fn, "weight", args[3], grad);
    a.input = shape_of(input);
    a.weight = shape_of(weight);
    parse_geometry(&a, args + 4);
    if (!PySequence_Check(args[8])) wrong_type(fn, "need", "three bools", type_name(args[8]));
    const Ref flags(PySequence_Fast(args[8], "need"));
    if (PySequence_Fast_GET_SIZE(flags.get()) != 3) {
      throw std::invalid_argument(std::string(fn) +
                                  ": need must be three bools: input, weight, bias");
    }
    bool need[3];
    for (int i = 0; i < 3; ++i) {
      need[i] = parse_bool(fn, "need", PySequence_Fast_GET_ITEM(flags.get(), i));
    }
    const char* algorithm = parse_text(fn, "algorithm", args[9]);
    const ConvProblem p = make_conv_problem(a);
    check_output_shape(fn, "grad_output", grad, p.output_shape());
    const int type = PyArray_TYPE(grad);
    Ref grads[3];
    if (channels_last(grad, p.rank) && channels_last(input, p.rank) &&
        !std::strcmp(algorithm, "auto")) {
      backward_last(p, grad, input, weight, need, grads);
    }
    const Ref g = need[0] || need[1] || need[2] ? dense(grad) : Ref();
    if (need[0] && need[1]) {
      both_gradients(p, fn, algorithm, type, g, input, weight, need[2], grads);
    } else if (need[0]) {
      grads[0] = gradient(p, Direction::input, fn, algorithm, type, g, dense(weight),
                          p.input_shape(), channels_last(input, p.rank));
    } else if (need[1]) {
      grads[1] =
          gradient(p, Direction::weight, fn, algorithm, type, g, dense(input), p.weight_shape(),
                   channels_last(weight, p.rank), need[2] ? &grads[2] : nullptr);
    }
    if (need[2] && !grads[2]) {
      grads[2] = new_array(Shape(p.k, 1), type);
      typed(type, [&](auto zero) {
        using T = decltype(zero);
        const double adds = static_cast<double>(p.n * p.k * p.out_plane());
        // A sum that comes from memory takes as long as a dozen operations.
        bias_gradient(p, data<T>(g), data<T>(grads[2]), useful_threads(12 * adds, num_threads()));
      });
    }
    Ref tuple(PyTuple_New(3));
    for (int i = 0; i < 3; ++i) {
      PyTuple_SET_ITEM(tuple.get(), i,
                       grads[i] ? grads[i].release() : Ref::borrow(Py_None).release());
    }
    return tuple.release();
  });
}

// conv_input_grad(rank, input_shape, weight, grad_output, stride, padding, dilation, groups,
//                 algorithm)
PyObject* conv_input_grad(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 9);
    ConvArgs a = conv_args(args[0], kInput);
    const char* fn = a.name;
    PyArrayObject* grad = float_array(fn, "grad_output", args[3]);
    PyArrayObject* weight = float_array_like(fn, "weight", args[2], grad);
    a.input = parse_shape(fn, "input_size", args[1]);
    a.weight = shape_of(weight);
    parse_geometry(&a, args + 4);
    const ConvProblem p = make_conv_problem(a);
    check_output_shape(fn, "grad_output", grad, p.output_shape());
    return gradient(p, Direction::input, fn, parse_text(fn, "algorithm", args[8]),
                    PyArray_TYPE(grad), dense(grad), dense(weight), p.input_shape(),
                    channels_last(grad, p.rank))
        .release();
  });
}

// conv_weight_grad(rank, input, weight_shape, grad_output, stride, padding, dilation, groups,
//                  algorithm)
PyObject* conv_weight_grad(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 9);
    ConvArgs a = conv_args(args[0], kWeight);
    const char* fn = a.name;
    PyArrayObject* grad = float_array(fn, "grad_output", args[3]);
    PyArrayObject* input = float_array_like(fn, "input", args[1], grad);
    a.input = shape_of(input);
    a.weight = parse_shape(fn, "weight_size", args[2]);
    parse_geometry(&a, args + 4);
    const ConvProblem p = make_conv_problem(a);
    check_output_shape(fn, "grad_output", grad, p.output_shape());
    return gradient(p, Direction::weight, fn, parse_text(fn, "algorithm", args[8]),
                    PyArray_TYPE(grad), dense(grad), dense(input), p.weight_shape(), false)
        .release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD(conv_backward),
    FASTCONV_METHOD(conv_input_grad),
    FASTCONV_METHOD(conv_weight_grad),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_conv_backward(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
