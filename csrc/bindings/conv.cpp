// conv: the forward direction.
#include "../ops/conv.h"

#include <cstring>

#include "../ops/parallel.h"
#include "conv_args.h"
#include "conv_last.h"
#include "module.h"

namespace fastconv {
namespace {

constexpr const char* kNames[3] = {"conv1d", "conv2d", "conv3d"};

// conv(rank, input, weight, bias, stride, padding, dilation, groups, activation, residual,
//      algorithm, out)
PyObject* conv(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 12);
    ConvArgs a = conv_args(args[0], kNames);
    const char* fn = a.name;
    PyArrayObject* input = float_array(fn, "input", args[1]);
    PyArrayObject* weight = float_array_like(fn, "weight", args[2], input);
    PyArrayObject* bias =
        args[3] == Py_None ? nullptr : float_array_like(fn, "bias", args[3], input);
    a.input = shape_of(input);
    a.weight = shape_of(weight);
    a.has_bias = bias != nullptr;
    if (bias) a.bias = shape_of(bias);
    parse_geometry(&a, args + 4);
    const Activation activation = parse_activation(fn, args[8]);
    PyArrayObject* residual =
        args[9] == Py_None ? nullptr : float_array_like(fn, "residual", args[9], input);
    const char* algorithm = parse_text(fn, "algorithm", args[10]);
    const ConvProblem p = make_conv_problem(a);
    const Shape shape = p.output_shape();
    if (residual) check_output_shape(fn, "residual", residual, shape);
    if (args[11] == Py_None && !std::strcmp(algorithm, "auto")) {
      Ref y = forward_last(p, input, weight, bias, residual, activation);
      if (y) return y.release();
    }
    const int type = PyArray_TYPE(input);
    const int threads = useful_threads(p, num_threads());
    const Algorithm& row =
        choose(p, Direction::forward, algorithm, item_of(type), threads, false, fn);
    const bool last = channels_last(input, p.rank) || channels_last(weight, p.rank);
    Result result(fn, args[11], shape, type, last, p.rank, {input, weight, bias, residual});
    const Ref x = dense(input), w = dense(weight);
    const Ref b = bias ? dense(bias) : Ref(), r = residual ? dense(residual) : Ref();
    if (p.n > 0) {
      typed(type, [&](auto zero) {
        using T = decltype(zero);
        ConvCall<T> call;
        call.p = &p;
        call.threads = threads;
        call.input = data<T>(x);
        call.weight = data<T>(w);
        call.bias = data<T>(b);
        call.residual = data<T>(r);
        call.activation = activation;
        call.result = static_cast<T*>(result.data());
        convolve(call, row);
      });
    }
    return result.finish();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD(conv),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_conv(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
