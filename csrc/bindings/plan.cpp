// The type fastconv._core.Plan: Plan(rank, weight, bias, stride, padding, dilation, groups,
// activation, input_shape, algorithm), called as plan(x, out=None, residual=None).
#include "../ops/plan.h"

#include <algorithm>
#include <string>
#include <vector>

#include "../ops/conv.h"
#include "../ops/parallel.h"
#include "conv_args.h"
#include "conv_last.h"
#include "module.h"
#include "plan.h"

namespace fastconv {
namespace {

constexpr const char* kNames[3] = {"Conv1dPlan", "Conv2dPlan", "Conv3dPlan"};

struct PlanObject {
  PyObject_HEAD Plan* plan;
  Ref* weight;  // dense copies that the plan points into
  Ref* bias;
  int type;
  bool channels_last;
};

PlanObject* self_of(PyObject* o) {
  return reinterpret_cast<PlanObject*>(o);
}

Ref private_copy(PyArrayObject* a) {
  Ref copy = new_array(shape_of(a), PyArray_TYPE(a));
  if (PyArray_CopyInto(copy.array(), a) < 0) throw python_error{};
  return copy;
}

// What does not depend on the input is refused at construction: tried on the smallest input there
// is.
void check_without_input(ConvArgs a, const char* algorithm, size_t item) {
  a.input = Shape(1, a.rank + 2);
  if (a.weight.size() == a.rank + 2) {
    int64_t size;
    if (!__builtin_mul_overflow(a.weight[1], a.groups, &size) && size >= 0) a.input[1] = size;
    for (int i = 0; i < a.rank; ++i) {
      if (!__builtin_mul_overflow(a.weight[2 + i], a.dilation[i], &size) && size > 0) {
        a.input[2 + i] = size;
      }
    }
  }
  const ConvProblem p = make_conv_problem(a);
  const std::vector<std::string> names = algorithm_names(Direction::forward);
  const std::string name = algorithm;
  if (name != "auto" && std::find(names.begin(), names.end(), name) == names.end()) {
    choose(p, Direction::forward, name, item, 1, false, a.name);  // says which there are
  }
}

PyObject* plan_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  return guarded([&]() -> PyObject* {
    expect_args(PyTuple_GET_SIZE(args), 10);
    if (kwargs && PyDict_GET_SIZE(kwargs)) throw type_error("Plan takes no keyword arguments");
    const auto arg = [&](int i) { return PyTuple_GET_ITEM(args, i); };
    ConvArgs a = conv_args(arg(0), kNames);
    const char* fn = a.name;
    PyArrayObject* weight = float_array(fn, "weight", arg(1));
    PyArrayObject* bias =
        arg(2) == Py_None ? nullptr : float_array_like(fn, "bias", arg(2), weight);
    a.weight = shape_of(weight);
    a.has_bias = bias != nullptr;
    if (bias) a.bias = shape_of(bias);
    parse_geometry(&a, &PyTuple_GET_ITEM(args, 3));
    const Activation activation = parse_activation(fn, arg(7));
    const char* algorithm = parse_text(fn, "algorithm", arg(9));
    check_without_input(a, algorithm, PyArray_ITEMSIZE(weight));
    Ref w = private_copy(weight), b = bias ? private_copy(bias) : Ref();
    Ref object(type->tp_alloc(type, 0));
    PlanObject* self = self_of(object.get());
    self->type = PyArray_TYPE(weight);
    self->channels_last = channels_last(weight, a.rank);
    self->weight = new Ref(std::move(w));
    self->bias = new Ref(std::move(b));
    self->plan = new Plan(a, algorithm, activation, self->type == NPY_FLOAT ? 4 : 8,
                          PyArray_DATA(self->weight->array()),
                          *self->bias ? PyArray_DATA(self->bias->array()) : nullptr);
    if (arg(8) != Py_None) {
      const Shape input = parse_shape(fn, "input_shape", arg(8));
      self->plan->entry(input);
    }
    return object.release();
  });
}

void plan_dealloc(PyObject* o) {
  PlanObject* self = self_of(o);
  delete self->plan;
  delete self->weight;
  delete self->bias;
  PyTypeObject* type = Py_TYPE(o);
  type->tp_free(o);
  Py_DECREF(type);
}

PyObject* plan_call(PyObject* o, PyObject* args, PyObject* kwargs) {
  return guarded([&] {
    PlanObject* self = self_of(o);
    const ConvArgs& a = self->plan->args();
    const char* fn = a.name;
    if (PyTuple_GET_SIZE(args) != 1) {
      throw type_error(std::string(fn) +
                       ": a plan takes one array, and out= and residual= by keyword");
    }
    PyObject *out = Py_None, *residual_object = Py_None;
    if (kwargs) {
      PyObject *key, *value;
      Py_ssize_t at = 0;
      while (PyDict_Next(kwargs, &at, &key, &value)) {
        if (PyUnicode_CompareWithASCIIString(key, "out") == 0) {
          out = value;
        } else if (PyUnicode_CompareWithASCIIString(key, "residual") == 0) {
          residual_object = value;
        } else {
          throw type_error(std::string(fn) + ": unexpected keyword argument '" +
                           parse_text(fn, "keyword", key) + "'");
        }
      }
    }
    PyArrayObject* input =
        float_array_like(fn, "input", PyTuple_GET_ITEM(args, 0), self->weight->array());
    const std::shared_ptr<const PlanEntry> entry = self->plan->entry(shape_of(input));
    const ConvProblem& p = entry->problem;
    const Shape shape = p.output_shape();
    PyArrayObject* residual = nullptr;
    if (residual_object != Py_None) {
      residual = float_array_like(fn, "residual", residual_object, input);
      check_output_shape(fn, "residual", residual, shape);
    }
    if (out == Py_None && self->plan->automatic()) {
      PyArrayObject* bias = *self->bias ? self->bias->array() : nullptr;
      Ref y =
          forward_last(p, input, self->weight->array(), bias, residual, self->plan->activation());
      if (y) return y.release();
    }
    const bool last = self->channels_last || channels_last(input, p.rank);
    Result result(fn, out, shape, self->type, last, p.rank, {input, residual});
    const Ref x = dense(input), r = residual ? dense(residual) : Ref();
    if (p.n > 0) {
      const WithoutGil free;
      const void* add = r ? PyArray_DATA(r.array()) : nullptr;
      if (self->type == NPY_FLOAT) {
        self->plan->run(*entry, static_cast<const float*>(PyArray_DATA(x.array())),
                        static_cast<const float*>(add), static_cast<float*>(result.data()));
      } else {
        self->plan->run(*entry, static_cast<const double*>(PyArray_DATA(x.array())),
                        static_cast<const double*>(add), static_cast<double*>(result.data()));
      }
    }
    return result.finish();
  });
}

// info(input_shape) -> {"algorithm", "workspace_bytes", "prepared_bytes", "flops", "output_shape"}
PyObject* plan_info(PyObject* o, PyObject* shape) {
  return guarded([&] {
    PlanObject* self = self_of(o);
    const char* fn = self->plan->args().name;
    const auto e = self->plan->entry(parse_shape(fn, "input_shape", shape));
    const int threads = useful_threads(e->problem, num_threads());
    const size_t item = self->plan->item();
    return Ref(Py_BuildValue(
                   "{s:s,s:n,s:n,s:d,s:N}", "algorithm", e->algorithm->name, "workspace_bytes",
                   static_cast<Py_ssize_t>(
                       e->algorithm->workspace(e->problem, item, threads, e->prepared != nullptr)),
                   "prepared_bytes",
                   static_cast<Py_ssize_t>(e->algorithm->prepared_bytes(e->problem, item)), "flops",
                   e->problem.flops(), "output_shape",
                   shape_tuple(e->problem.output_shape()).release()))
        .release();
  });
}

PyMethodDef kMethods[] = {
    {"info", plan_info, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot kSlots[] = {
    {Py_tp_new, reinterpret_cast<void*>(plan_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(plan_dealloc)},
    {Py_tp_call, reinterpret_cast<void*>(plan_call)},
    {Py_tp_methods, kMethods},
    {0, nullptr},
};

PyType_Spec kSpec = {"fastconv._core.Plan", sizeof(PlanObject), 0,
                     Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, kSlots};

PyObject* plan_type = nullptr;

}  // namespace

Plan& plan_of(PyObject* o) {
  if (!PyObject_TypeCheck(o, reinterpret_cast<PyTypeObject*>(plan_type))) {
    throw type_error("expected a plan, but got " + type_name(o));
  }
  return *self_of(o)->plan;
}

void register_plan(PyObject* module) {
  Ref type(PyType_FromSpec(&kSpec));
  plan_type = type.get();
  if (PyModule_AddObject(module, "Plan", type.get()) < 0) throw python_error{};
  type.release();
}

}  // namespace fastconv
