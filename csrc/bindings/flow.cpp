// The type fastconv._core.Flow: Flow(inputs, steps, outputs), run as flow.run(arrays) -> results.
//   inputs: (shape, itemsize) of each
//   steps: (program, values, residual or -1), or (None, values, -1) for values side by side along
//     the channels; values are numbered, the inputs first, then the steps
//   outputs: the numbers of the steps whose results are wanted
#include "../ops/flow.h"

#include <algorithm>
#include <string>
#include <vector>

#include "module.h"
#include "program.h"

namespace fastconv {
namespace {

constexpr const char* kName = "Flow";

struct FlowObject {
  PyObject_HEAD Flow* flow;
  PyObject* steps;  // keeps the programs alive
};

FlowObject* self_of(PyObject* o) {
  return reinterpret_cast<FlowObject*>(o);
}

// A tuple of so many elements, or of any number where `size` is negative.
PyObject* const* elements(PyObject* o, Py_ssize_t size) {
  if (!PyTuple_Check(o) || (size >= 0 && PyTuple_GET_SIZE(o) != size)) {
    throw type_error("Flow: expected tuples of the right size");
  }
  return &PyTuple_GET_ITEM(o, 0);
}

std::vector<int> numbers(PyObject* o, int first, int end) {
  PyObject* const* given = elements(o, -1);
  std::vector<int> found;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(o); ++i) {
    const int64_t value = parse_int(kName, "value", given[i]);
    if (value < first || value >= end) throw std::invalid_argument("Flow: no such value");
    found.push_back(static_cast<int>(value));
  }
  return found;
}

// The shape that the parts have together.
Shape together(const Flow& flow, const std::vector<int>& parts) {
  if (parts.empty()) throw std::invalid_argument("Flow: a step must read something");
  Shape sum = flow.shape(parts[0]);
  for (size_t i = 1; i < parts.size(); ++i) {
    Shape next = flow.shape(parts[i]);
    const int64_t own = next.n > 1 ? next[1] : 0;
    if (sum.n > 1 && next.n > 1) next[1] = sum[1];
    if (!(next == sum) || sum.n < 2 || flow.item(parts[i]) != flow.item(parts[0])) {
      throw std::invalid_argument("Flow: values side by side must fit each other");
    }
    sum[1] += own;
  }
  return sum;
}

void add_step(Flow* flow, PyObject* o) {
  PyObject* const* step = elements(o, 3);
  std::vector<int> parts = numbers(step[1], 0, flow->values());
  const int64_t residual = parse_int(kName, "residual", step[2]);
  const Shape shape = together(*flow, parts);
  if (step[0] == Py_None) {
    if (shape.n < 2) throw std::invalid_argument("Flow: no channels to put side by side");
    flow->join(std::move(parts));
    return;
  }
  const Program& program = program_of(step[0]);
  if (!program.runnable() || !(program.input_shape() == shape) ||
      program.item() != flow->item(parts[0])) {
    throw std::invalid_argument("Flow: the program does not fit what it is to read");
  }
  if (residual >= 0) {
    if (residual >= flow->values() || !program.takes_residual() ||
        !(flow->shape(static_cast<int>(residual)) == program.output_shape()) ||
        flow->item(static_cast<int>(residual)) != program.item()) {
      throw std::invalid_argument("Flow: the residual does not fit the program");
    }
  }
  flow->step(program, std::move(parts), residual < 0 ? -1 : static_cast<int>(residual));
}

PyObject* flow_new(PyTypeObject* type, PyObject* args, PyObject*) {
  return guarded([&] {
    expect_args(PyTuple_GET_SIZE(args), 3);
    const Ref inputs(PySequence_Tuple(PyTuple_GET_ITEM(args, 0)));
    const Ref steps(PySequence_Tuple(PyTuple_GET_ITEM(args, 1)));
    auto flow = std::make_unique<Flow>();
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(inputs.get()); ++i) {
      PyObject* const* input = elements(PyTuple_GET_ITEM(inputs.get(), i), 2);
      const int64_t item = parse_int(kName, "itemsize", input[1]);
      if (item != 4 && item != 8) throw std::invalid_argument("Flow: itemsize must be 4 or 8");
      flow->input(parse_shape(kName, "shape", input[0]), static_cast<size_t>(item));
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(steps.get()); ++i) {
      add_step(flow.get(), PyTuple_GET_ITEM(steps.get(), i));
    }
    std::vector<int> outputs = numbers(PyTuple_GET_ITEM(args, 2), flow->inputs(), flow->values());
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (std::count(outputs.begin(), outputs.end(), outputs[i]) > 1) {
        throw std::invalid_argument("Flow: every output must be named once");
      }
    }
    flow->finish(outputs);
    Ref object(type->tp_alloc(type, 0));
    self_of(object.get())->flow = flow.release();
    self_of(object.get())->steps = Ref::borrow(steps.get()).release();
    return object.release();
  });
}

void flow_dealloc(PyObject* o) {
  delete self_of(o)->flow;
  Py_XDECREF(self_of(o)->steps);
  PyTypeObject* type = Py_TYPE(o);
  type->tp_free(o);
  Py_DECREF(type);
}

// run(arrays) -> list of arrays
PyObject* flow_run(PyObject* o, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 1);
    const Flow& flow = *self_of(o)->flow;
    if (!PyList_Check(args[0]) || PyList_GET_SIZE(args[0]) != flow.inputs()) {
      throw type_error("Flow: expected a list of " + std::to_string(flow.inputs()) + " arrays");
    }
    std::vector<Ref> kept;
    std::vector<const void*> inputs;
    for (int i = 0; i < flow.inputs(); ++i) {
      PyArrayObject* a = float_array(kName, "input", PyList_GET_ITEM(args[0], i));
      if (item_of(PyArray_TYPE(a)) != flow.item(i) || !(shape_of(a) == flow.shape(i))) {
        throw std::invalid_argument("Flow: input " + std::to_string(i) + " must have shape " +
                                    shape_text(flow.shape(i)) + ", but got " +
                                    shape_text(shape_of(a)));
      }
      kept.push_back(dense(a));
      inputs.push_back(PyArray_DATA(kept.back().array()));
    }
    Ref results(PyList_New(static_cast<Py_ssize_t>(flow.outputs().size())));
    std::vector<void*> outputs;
    for (const int v : flow.outputs()) {
      Ref y = new_array(flow.shape(v), flow.item(v) == 4 ? NPY_FLOAT : NPY_DOUBLE);
      const auto i = static_cast<Py_ssize_t>(outputs.size());
      outputs.push_back(PyArray_DATA(y.array()));
      PyList_SET_ITEM(results.get(), i, y.release());
    }
    {
      const WithoutGil free;
      flow.run(inputs, outputs);
    }
    return results.release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD_AS("run", flow_run),
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot kSlots[] = {
    {Py_tp_new, reinterpret_cast<void*>(flow_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(flow_dealloc)},
    {Py_tp_methods, kMethods},
    {0, nullptr},
};

PyType_Spec kSpec = {"fastconv._core.Flow", sizeof(FlowObject), 0, Py_TPFLAGS_DEFAULT, kSlots};

}  // namespace

void register_flow(PyObject* module) {
  Ref type(PyType_FromSpec(&kSpec));
  if (PyModule_AddObject(module, "Flow", type.get()) < 0) throw python_error{};
  type.release();
}

}  // namespace fastconv
