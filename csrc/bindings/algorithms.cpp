// The rows of the registry, as explain() and the tests see them.
#include "../ops/conv.h"
#include "../ops/parallel.h"
#include "conv_args.h"
#include "module.h"

namespace fastconv {
namespace {

constexpr const char* kNames[3] = {"conv1d", "conv2d", "conv3d"};

Direction parse_direction(PyObject* o) {
  const std::string text = parse_text("fastconv._core", "direction", o);
  if (text == "forward") return Direction::forward;
  if (text == "input") return Direction::input;
  if (text == "weight") return Direction::weight;
  throw std::invalid_argument("fastconv._core: direction must be 'forward', 'input' or 'weight'");
}

// algorithms(direction) -> names
PyObject* algorithms_of(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 1);
    Ref list(PyList_New(0));
    for (const std::string& name : algorithm_names(parse_direction(args[0]))) {
      const Ref item(PyUnicode_FromString(name.c_str()));
      if (PyList_Append(list.get(), item.get()) < 0) throw python_error{};
    }
    return list.release();
  });
}

// conv_rows(rank, direction, input_shape, weight_shape, stride, padding, dilation, groups,
// itemsize)
//   -> (output_shape, flops, [(name, summary, supported, cost, workspace_bytes), ...])
// What selection sees.
PyObject* conv_rows(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 9);
    ConvArgs a = conv_args(args[0], kNames);
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
    FASTCONV_METHOD_AS("algorithms", algorithms_of),
    FASTCONV_METHOD(conv_rows),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_algorithms(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
