// Arguments of convolutions, as Python gives them.
#pragma once

#include "../ops/conv.h"
#include "arrays.h"

namespace fastconv {

// Of a call by the name that the function has for this rank.
inline ConvArgs conv_args(PyObject* rank, const char* const (&names)[3]) {
  ConvArgs a;
  a.rank = parse_rank(rank);
  a.name = names[a.rank - 1];
  return a;
}

// stride, padding, dilation, groups: four consecutive arguments.
inline void parse_geometry(ConvArgs* a, PyObject* const* args) {
  a->stride = parse_ints(a->name, "stride", args[0], a->rank);
  a->padding = parse_padding(a->name, args[1], a->rank, true);
  a->dilation = parse_ints(a->name, "dilation", args[2], a->rank);
  a->groups = parse_int(a->name, "groups", args[3]);
}

// None or a name.
inline Activation parse_activation(const char* fn, PyObject* o) {
  return o == Py_None ? Activation::none : parse_activation(fn, parse_text(fn, "activation", o));
}

}  // namespace fastconv
