// conv, conv_backward and the single gradients.
#include "../ops/conv.h"

#include <cstring>

#include "../ops/last_conv.h"
#include "../ops/parallel.h"
#include "arrays.h"
#include "conv_rows.h"
#include "module.h"

namespace fastconv {
namespace {

const char* name_of(int rank, const char* const (&names)[3]) {
  return names[rank - 1];
}

constexpr const char* kForward[3] = {"conv1d", "conv2d", "conv3d"};
constexpr const char* kBackward[3] = {"conv1d_backward", "conv2d_backward", "conv3d_backward"};
constexpr const char* kInput[3] = {"conv1d_input", "conv2d_input", "conv3d_input"};
constexpr const char* kWeight[3] = {"conv1d_weight", "conv2d_weight", "conv3d_weight"};

int parse_rank(PyObject* o) {
  const int64_t rank = parse_int("fastconv._core", "rank", o);
  if (rank < 1 || rank > 3) throw std::invalid_argument("fastconv._core: rank must be 1, 2 or 3");
  return static_cast<int>(rank);
}

// stride, padding, dilation, groups as four consecutive arguments.
void parse_geometry(ConvArgs* a, PyObject* const* args) {
  a->stride = parse_ints(a->name, "stride", args[0], a->rank);
  a->padding = parse_padding(a->name, args[1], a->rank, true);
  a->dilation = parse_ints(a->name, "dilation", args[2], a->rank);
  a->groups = parse_int(a->name, "groups", args[3]);
}

template <class T>
ConvCall<T> make_call(const ConvProblem& p) {
  ConvCall<T> call;
  call.p = &p;
  call.threads = useful_threads(p, num_threads());
  return call;
}

// Whether pictures lie channels-last and no algorithm is named: those may be taken where they lie.
bool lie_last(const ConvProblem& p, const char* algorithm, PyArrayObject* a, PyArrayObject* b) {
  return channels_last(a, p.rank) && channels_last(b, p.rank) && !std::strcmp(algorithm, "auto");
}

// conv(rank, input, weight, bias, stride, padding, dilation, groups, activation, residual,
//      algorithm, out)
PyObject* conv(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 12);
    ConvArgs a;
    a.rank = parse_rank(args[0]);
    const char* fn = a.name = name_of(a.rank, kForward);
    PyArrayObject* input = float_array(fn, "input", args[1]);
    PyArrayObject* weight = float_array_like(fn, "weight", args[2], input);
    PyArrayObject* bias =
        args[3] == Py_None ? nullptr : float_array_like(fn, "bias", args[3], input);
    a.input = shape_of(input);
    a.weight = shape_of(weight);
    a.has_bias = bias != nullptr;
    if (bias) a.bias = shape_of(bias);
    parse_geometry(&a, args + 4);
    const Activation activation = args[8] == Py_None
                                      ? Activation::none
                                      : parse_activation(fn, parse_text(fn, "activation", args[8]));
    PyArrayObject* residual =
        args[9] == Py_None ? nullptr : float_array_like(fn, "residual", args[9], input);
    const char* algorithm = parse_text(fn, "algorithm", args[10]);
    const ConvProblem p = make_conv_problem(a);
    const Shape shape = p.output_shape();
    if (residual && !(shape_of(residual) == shape)) {
      throw std::invalid_argument(std::string(fn) + ": residual must have the output's shape " +
                                  shape_text(shape) + ", but got shape " +
                                  shape_text(shape_of(residual)));
    }
    if (args[11] == Py_None && runs_as_rows(p) && lie_last(p, algorithm, input, input)) {
      return forward_rows(p, input, weight, bias, residual, activation).release();
    }
    if (args[11] == Py_None && !residual && !std::strcmp(algorithm, "auto")) {
      Ref y = forward_last(p, input, weight, bias, activation);
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
        ConvCall<T> call = make_call<T>(p);
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

void check_grad(const ConvProblem& p, const char* fn, PyArrayObject* grad) {
  if (!(shape_of(grad) == p.output_shape())) {
    throw std::invalid_argument(std::string(fn) + ": grad_output must have the output's shape " +
                                shape_text(p.output_shape()) + ", but got shape " +
                                shape_text(shape_of(grad)));
  }
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
    ConvCall<T> call = make_call<T>(p);
    call.grad = data<T>(grad);
    (direction == Direction::input ? call.weight : call.input) = data<T>(other);
    call.result = static_cast<T*>(result.data());
    if (bias && *bias) call.bias_grad = static_cast<T*>(PyArray_DATA(bias->array()));
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
    ConvCall<T> call = make_call<T>(p);
    call.grad = data<T>(grad);
    call.input = data<T>(x);
    call.weight = data<T>(w);
    if (grads[2]) call.bias_grad = static_cast<T*>(PyArray_DATA(grads[2].array()));
    convolve_back(call, of_input, of_weight, static_cast<T*>(dx.data()),
                  static_cast<T*>(dw.data()));
  });
  grads[0] = Ref(dx.finish());
  grads[1] = Ref(dw.finish());
}

// Which gradients are computed where channels-last pictures lie, of those needed.
struct Lying {
  bool rows, last, of[3];

  Lying(const ConvProblem& p, size_t item, const bool (&need)[3]) : rows(backs_as_rows(p)) {
    const bool depthwise = backs_last(p, item);
    last = depthwise || (!rows && weights_last(p, item));
    of[0] = need[0] && (rows || depthwise ||
                        (!last && inputs_last(p, item, useful_threads(p, num_threads()))));
    of[1] = need[1] && ((rows && weights_as_rows(p)) || last);
    of[2] = need[2] && of[1] == need[1];  // from copies it comes with the weight's
  }
};

void backward_lying(const ConvProblem& p, const Lying& lying, PyArrayObject* grad,
                    PyArrayObject* input, PyArrayObject* weight, Ref (&grads)[3]) {
  const int type = PyArray_TYPE(grad), rank = p.rank;
  const Ref g = dense_channels_last(grad, rank), x = dense_channels_last(input, rank);
  const Ref w = dense(weight);
  if (lying.of[0]) grads[0] = new_channels_last(p.input_shape(), rank, type);
  if (lying.of[1]) grads[1] = new_array(p.weight_shape(), type);
  if (lying.of[2]) grads[2] = new_array(Shape(p.k, 1), type);
  typed(type, [&](auto zero) {
    using T = decltype(zero);
    const int threads = useful_threads(p, num_threads());
    T *dx = data<T>(grads[0]), *dw = data<T>(grads[1]), *db = data<T>(grads[2]);
    if constexpr (sizeof(T) == sizeof(float)) {
      if (lying.last) {
        return last_backward(p, data<T>(g), data<T>(x), data<T>(w), dx, dw, db, threads);
      }
      if (dx && !lying.rows) last_input(p, data<T>(g), data<T>(w), dx, threads);
    }
    if (lying.rows) rows_backward(p, data<T>(g), data<T>(x), data<T>(w), dx, dw, threads);
    if (db) rows_bias(p, data<T>(g), db);
  });
}

// conv_backward(rank, grad_output, input, weight, stride, padding, dilation, groups, need,
//               algorithm) -> (grad_input, grad_weight, grad_bias), None where not needed
PyObject* conv_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 10);
    ConvArgs a;
    a.rank = parse_rank(args[0]);
    const char* fn = a.name = name_of(a.rank, kBackward);
    PyArrayObject* grad = float_array(fn, "grad_output", args[1]);
    PyArrayObject* input = float_array_like(fn, "input", args[2], grad);
    PyArrayObject* weight = float_array_like(fn, "weight", args[3], grad);
    a.input = shape_of(input);
    a.weight = shape_of(weight);
    parse_geometry(&a, args + 4);
    const Ref flags(PySequence_Check(args[8]) ? PySequence_Fast(args[8], "need") : nullptr);
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
    check_grad(p, fn, grad);
    const int type = PyArray_TYPE(grad);
    Ref grads[3];
    if (lie_last(p, algorithm, grad, input)) {
      const Lying lying(p, item_of(type), need);
      if (lying.of[0] || lying.of[1] || lying.of[2]) {
        backward_lying(p, lying, grad, input, weight, grads);
      }
      for (int i = 0; i < 3; ++i) need[i] = need[i] && !lying.of[i];
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
      Shape shape;
      shape.push_back(p.k);
      grads[2] = new_array(shape, type);
      typed(type, [&](auto zero) {
        using T = decltype(zero);
        const double adds = static_cast<double>(p.n * p.k * p.out_plane());
        // A sum that comes from memory takes as long as a dozen operations.
        bias_gradient(p, data<T>(g), static_cast<T*>(PyArray_DATA(grads[2].array())),
                      useful_threads(12 * adds, num_threads()));
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
    ConvArgs a;
    a.rank = parse_rank(args[0]);
    const char* fn = a.name = name_of(a.rank, kInput);
    PyArrayObject* grad = float_array(fn, "grad_output", args[3]);
    PyArrayObject* weight = float_array_like(fn, "weight", args[2], grad);
    a.input = parse_shape(fn, "input_size", args[1]);
    a.weight = shape_of(weight);
    parse_geometry(&a, args + 4);
    const ConvProblem p = make_conv_problem(a);
    check_grad(p, fn, grad);
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
    ConvArgs a;
    a.rank = parse_rank(args[0]);
    const char* fn = a.name = name_of(a.rank, kWeight);
    PyArrayObject* grad = float_array(fn, "grad_output", args[3]);
    PyArrayObject* input = float_array_like(fn, "input", args[1], grad);
    a.input = shape_of(input);
    a.weight = parse_shape(fn, "weight_size", args[2]);
    parse_geometry(&a, args + 4);
    const ConvProblem p = make_conv_problem(a);
    check_grad(p, fn, grad);
    return gradient(p, Direction::weight, fn, parse_text(fn, "algorithm", args[8]),
                    PyArray_TYPE(grad), dense(grad), dense(input), p.weight_shape(), false)
        .release();
  });
}

Direction parse_direction(PyObject* o) {
  const std::string text = parse_text("fastconv._core", "direction", o);
  if (text == "forward") return Direction::forward;
  if (text == "input") return Direction::input;
  if (text == "weight") return Direction::weight;
  throw std::invalid_argument("fastconv._core: direction must be 'forward', 'input' or 'weight'");
}

PyObject* text(const std::string& s) {
  return Ref(PyUnicode_FromString(s.c_str())).release();
}

// algorithms(direction) -> names
PyObject* algorithms_of(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 1);
    Ref list(PyList_New(0));
    for (const std::string& name : algorithm_names(parse_direction(args[0]))) {
      const Ref item(text(name));
      if (PyList_Append(list.get(), item.get()) < 0) throw python_error{};
    }
    return list.release();
  });
}

// conv_rows(rank, direction, input_shape, weight_shape, stride, padding, dilation, groups,
// itemsize)
//   -> (output_shape, flops, [(name, summary, supported, cost, workspace_bytes), ...])
// What selection sees; explain() and the tests walk it.
PyObject* conv_rows(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 9);
    ConvArgs a;
    a.rank = parse_rank(args[0]);
    a.name = name_of(a.rank, kForward);
    const Direction direction = parse_direction(args[1]);
    a.input = parse_shape(a.name, "input shape", args[2]);
    a.weight = parse_shape(a.name, "weight shape", args[3]);
    parse_geometry(&a, args + 4);
    const size_t item = static_cast<size_t>(parse_int(a.name, "itemsize", args[8]));
    if (item != 4 && item != 8) throw std::invalid_argument("conv_rows: itemsize must be 4 or 8");
    const ConvProblem p = make_conv_problem(a);
    const int threads = useful_threads(p, num_threads());
    Ref rows(PyList_New(0));
    for (const Algorithm* row : algorithms()) {
      if (row->direction != direction) continue;
      const bool fits = row->supports(p);
      const Ref item_row(Py_BuildValue(
          "(ssOdn)", row->name, row->summary, fits ? Py_True : Py_False,
          fits ? row->cost(p, item, false) : 0.0,
          fits ? static_cast<Py_ssize_t>(row->workspace(p, item, threads, false)) : 0));
      if (PyList_Append(rows.get(), item_row.get()) < 0) throw python_error{};
    }
    return Ref(Py_BuildValue("(NdN)", shape_tuple(p.output_shape()).release(), p.flops(),
                             rows.release()))
        .release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD(conv),
    FASTCONV_METHOD(conv_backward),
    FASTCONV_METHOD(conv_input_grad),
    FASTCONV_METHOD(conv_weight_grad),
    FASTCONV_METHOD_AS("algorithms", algorithms_of),
    FASTCONV_METHOD(conv_rows),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

Ref forward_rows(const ConvProblem& p, PyArrayObject* input, PyArrayObject* weight,
                 PyArrayObject* bias, PyArrayObject* residual, Activation activation) {
  const int type = PyArray_TYPE(input), rank = p.rank;
  Ref y = new_channels_last(p.output_shape(), rank, type);
  const Ref x = dense_channels_last(input, rank), w = dense(weight);
  const Ref b = bias ? dense(bias) : Ref();
  const Ref r = residual ? dense_channels_last(residual, rank) : Ref();
  typed(type, [&](auto zero) {
    using T = decltype(zero);
    rows_forward<T>(p, data<T>(x), data<T>(w), data<T>(b), data<T>(r), activation, data<T>(y),
                    useful_threads(p, num_threads()));
  });
  return y;
}

Ref forward_last(const ConvProblem& p, PyArrayObject* input, PyArrayObject* weight,
                 PyArrayObject* bias, Activation activation) {
  const int type = PyArray_TYPE(input);
  if (!channels_last(input, p.rank)) return {};
  const int threads = useful_threads(p, num_threads());
  if (!runs_last(p, item_of(type), threads)) return {};
  Ref y = new_channels_last(p.output_shape(), p.rank, type);
  const Ref x = dense_channels_last(input, p.rank), w = dense(weight);
  const Ref b = bias ? dense(bias) : Ref();
  bool done;
  {
    const WithoutGil free;
    done = last_forward(p, data<float>(x), data<float>(w), data<float>(b), activation,
                        data<float>(y), threads);
  }
  return done ? std::move(y) : Ref();
}

void register_conv(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
