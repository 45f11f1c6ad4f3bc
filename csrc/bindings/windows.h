// Arguments of pools, as Python gives them.
#pragma once

#include "../ops/pool.h"
#include "arrays.h"

namespace fastconv {
namespace {

PoolArgs named(PyObject* rank, const char* const (&names)[3]) {
  PoolArgs a;
  a.rank = parse_rank(rank);
  a.name = names[a.rank - 1];
  return a;
}

// kernel, stride, padding: three consecutive arguments. No stride (None, or an empty sequence, as
// PyTorch's own default is) means windows side by side.
void parse_windows(PoolArgs* a, PyObject* const* args) {
  a->kernel = parse_ints(a->name, "kernel_size", args[0], a->rank);
  const bool none = args[1] == Py_None || (PyTuple_Check(args[1]) && PyTuple_Size(args[1]) == 0) ||
                    (PyList_Check(args[1]) && PyList_Size(args[1]) == 0);
  a->stride = none ? a->kernel : parse_ints(a->name, "stride", args[1], a->rank);
  a->padding = parse_padding(a->name, args[2], a->rank, false);
}

AverageRule parse_rule(const char* fn, PyObject* count_include_pad, PyObject* divisor_override) {
  AverageRule rule;
  rule.count_padding = parse_bool(fn, "count_include_pad", count_include_pad);
  if (divisor_override != Py_None) {
    rule.divisor = parse_int(fn, "divisor_override", divisor_override);
    if (rule.divisor == 0) {
      throw std::invalid_argument(std::string(fn) + ": divisor_override must not be zero");
    }
  }
  return rule;
}

}  // namespace
}  // namespace fastconv
