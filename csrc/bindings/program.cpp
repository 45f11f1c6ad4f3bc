// The type fastconv._core.Program: Program(input_shape, itemsize, steps), run as
// program.run(x, residual, out). Steps are tuples of a name and its arguments:
//   ("conv", plan)
//   ("linear", plan)
//   ("outline", rank, weight_shape, stride, padding, dilation, groups)   a convolution's shapes
//   ("max_pool", rank, kernel, stride, padding, dilation, ceil_mode)
//   ("avg_pool", rank, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)
//   ("adaptive_avg_pool", sizes)            equal windows; 0 keeps an extent
//   ("norm", scale, shift, activation)      float64 vectors; None, "relu" or "relu6"
//   ("unary", name, a, b)
//   ("flatten", first, last)
//   ("excite", steps)                       from an image's means to what scales its channels
#include "program.h"

#include <cstring>
#include <string>
#include <vector>

#include "conv_args.h"
#include "plan.h"
#include "rows.h"
#include "windows.h"

namespace fastconv {
namespace {

constexpr const char* kName = "Program";
constexpr const char* kRanks[3] = {"pool1d", "pool2d", "pool3d"};

struct ProgramObject {
  PyObject_HEAD Program* program;
  PyObject* steps;  // keeps the plans alive
};

ProgramObject* self_of(PyObject* o) {
  return reinterpret_cast<ProgramObject*>(o);
}

std::vector<double> numbers(const char* what, PyObject* o) {
  PyArrayObject* a = float_array(kName, what, o);
  if (PyArray_TYPE(a) != NPY_DOUBLE || PyArray_NDIM(a) != 1) {
    throw type_error(std::string(kName) + ": " + what + " must be a vector of float64");
  }
  const Ref v = dense(a);
  const double* first = data<double>(v);
  return std::vector<double>(first, first + PyArray_SIZE(a));
}

void add_step(Program* program, PyObject* step) {
  if (!PyTuple_Check(step) || PyTuple_GET_SIZE(step) < 1) {
    throw type_error("Program: every step must be a tuple");
  }
  PyObject* const* args = &PyTuple_GET_ITEM(step, 0);
  const Py_ssize_t count = PyTuple_GET_SIZE(step);
  const std::string kind = parse_text(kName, "step", args[0]);
  if (kind == "conv" || kind == "linear") {
    expect_args(count, 2);
    Plan& plan = plan_of(args[1]);
    if (plan.item() != program->item()) throw type_error("Program: plans must have its dtype");
    if (kind == "conv") {
      program->convolve(plan);
    } else {
      program->linear(plan);
    }
  } else if (kind == "outline") {
    expect_args(count, 7);
    ConvArgs a;
    a.rank = parse_rank(args[1]);
    a.weight = parse_shape(kName, "weight_shape", args[2]);
    parse_geometry(&a, args + 3);
    program->outline(a);
  } else if (kind == "max_pool") {
    expect_args(count, 7);
    PoolArgs a = named(args[1], kRanks);
    parse_windows(&a, args + 2);
    a.dilation = parse_ints(a.name, "dilation", args[5], a.rank);
    a.ceil = parse_bool(a.name, "ceil_mode", args[6]);
    program->max_pool(a);
  } else if (kind == "avg_pool") {
    expect_args(count, 8);
    PoolArgs a = named(args[1], kRanks);
    parse_windows(&a, args + 2);
    a.dilation = Shape(1, a.rank);
    a.ceil = parse_bool(a.name, "ceil_mode", args[5]);
    program->average_pool(a, parse_rule(a.name, args[6], args[7]));
  } else if (kind == "norm") {
    expect_args(count, 4);
    program->normalize(numbers("scale", args[1]), numbers("shift", args[2]),
                       parse_activation(kName, args[3]));
  } else if (kind == "unary") {
    expect_args(count, 4);
    program->unary(unary_index(parse_text(kName, "name", args[1])),
                   parse_double(kName, "a", args[2]), parse_double(kName, "b", args[3]));
  } else if (kind == "adaptive_avg_pool") {
    expect_args(count, 2);
    program->adaptive_average_pool(parse_shape(kName, "sizes", args[1]));
  } else if (kind == "excite") {
    expect_args(count, 2);
    Shape means(1, program->output_shape().n);
    if (means.n > 1) means[1] = program->output_shape()[1];
    auto gate = std::make_shared<Program>(means, program->item());
    const Ref steps(PySequence_Tuple(args[1]));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(steps.get()); ++i) {
      add_step(gate.get(), PyTuple_GET_ITEM(steps.get(), i));
    }
    if (!gate->runnable()) throw type_error("Program: there is nothing to run");
    program->excite(std::move(gate));
  } else if (kind == "flatten") {
    expect_args(count, 3);
    program->flatten(static_cast<int>(parse_int(kName, "first", args[1])),
                     static_cast<int>(parse_int(kName, "last", args[2])));
  } else {
    throw std::invalid_argument("Program: unknown step '" + kind + "'");
  }
}

PyObject* program_new(PyTypeObject* type, PyObject* args, PyObject*) {
  return guarded([&] {
    expect_args(PyTuple_GET_SIZE(args), 3);
    const Shape input = parse_shape(kName, "input_shape", PyTuple_GET_ITEM(args, 0));
    const int64_t item = parse_int(kName, "itemsize", PyTuple_GET_ITEM(args, 1));
    if (item != 4 && item != 8) throw std::invalid_argument("Program: itemsize must be 4 or 8");
    const Ref steps(PySequence_Tuple(PyTuple_GET_ITEM(args, 2)));
    auto program = std::make_unique<Program>(input, static_cast<size_t>(item));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(steps.get()); ++i) {
      add_step(program.get(), PyTuple_GET_ITEM(steps.get(), i));
    }
    program->fuse();
    if (checked_product(input) == 0) {
      throw std::invalid_argument("Program: the input must have elements");
    }
    Ref object(type->tp_alloc(type, 0));
    self_of(object.get())->program = program.release();
    self_of(object.get())->steps = Ref::borrow(steps.get()).release();
    return object.release();
  });
}

void program_dealloc(PyObject* o) {
  delete self_of(o)->program;
  Py_XDECREF(self_of(o)->steps);
  PyTypeObject* type = Py_TYPE(o);
  type->tp_free(o);
  Py_DECREF(type);
}

// The input, one array or a list of arrays side by side along the channels, as dense arrays.
std::vector<Ref> inputs(const Program& program, PyObject* o, std::vector<Part>* parts) {
  const Shape& shape = program.input_shape();
  const int type = program.item() == 4 ? NPY_FLOAT : NPY_DOUBLE;
  const bool cut = PyList_Check(o);
  const Py_ssize_t count = cut ? PyList_GET_SIZE(o) : 1;
  std::vector<Ref> kept;
  int64_t channels = 0;
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyArrayObject* a = float_array(kName, "input", cut ? PyList_GET_ITEM(o, i) : o);
    Shape s = shape_of(a);
    const int64_t own = s.n > 1 ? s[1] : 0;
    channels += own;
    if (cut && s.n > 1) s[1] = shape[1];
    if (PyArray_TYPE(a) != type || !(s == shape)) {
      throw std::invalid_argument("Program: the input must have shape " + shape_text(shape) +
                                  ", but got " + shape_text(shape_of(a)));
    }
    kept.push_back(dense(a));
    parts->push_back({PyArray_DATA(kept.back().array()), own});
  }
  if (cut && (count == 0 || channels != shape[1])) {
    throw std::invalid_argument("Program: the parts of the input must have " +
                                std::to_string(shape[1]) + " channels together");
  }
  return kept;
}

// run(x, residual, out) -> y
PyObject* program_run(PyObject* o, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 3);
    const Program& program = *self_of(o)->program;
    if (!program.runnable()) throw type_error("Program: there is nothing to run");
    std::vector<Part> parts;
    const std::vector<Ref> kept = inputs(program, args[0], &parts);
    PyArrayObject* first = kept[0].array();
    const Shape& shape = program.output_shape();
    Ref residual;
    if (args[1] != Py_None) {
      PyArrayObject* r = float_array_like(kName, "residual", args[1], first);
      if (!(shape_of(r) == shape) || !program.takes_residual()) {
        throw std::invalid_argument("Program: no residual of shape " + shape_text(shape_of(r)) +
                                    " can be added");
      }
      residual = dense(r);
    }
    Result result(kName, args[2], shape, PyArray_TYPE(first), false, 0, {});
    {
      const WithoutGil free;
      program.run(parts, residual ? PyArray_DATA(residual.array()) : nullptr, result.data());
    }
    return result.finish();
  });
}

PyObject* program_shape(PyObject* o, void*) {
  return guarded([&] { return shape_tuple(self_of(o)->program->output_shape()).release(); });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD_AS("run", program_run),
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef kGetters[] = {
    {"output_shape", program_shape, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot kSlots[] = {
    {Py_tp_new, reinterpret_cast<void*>(program_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(program_dealloc)},
    {Py_tp_methods, kMethods},
    {Py_tp_getset, kGetters},
    {0, nullptr},
};

PyType_Spec kSpec = {"fastconv._core.Program", sizeof(ProgramObject), 0, Py_TPFLAGS_DEFAULT,
                     kSlots};

PyObject* program_type = nullptr;

}  // namespace

const Program& program_of(PyObject* o) {
  if (!PyObject_TypeCheck(o, reinterpret_cast<PyTypeObject*>(program_type))) {
    throw type_error("expected a program, but got " + type_name(o));
  }
  return *self_of(o)->program;
}

void register_program(PyObject* module) {
  Ref type(PyType_FromSpec(&kSpec));
  program_type = type.get();
  if (PyModule_AddObject(module, "Program", type.get()) < 0) throw python_error{};
  type.release();
}

}  // namespace fastconv
