// What each binding file registers.
#pragma once

#include "arrays.h"

// Entries of a PyMethodDef table for functions of the fast calling convention.
#define FASTCONV_METHOD_AS(name, function)                                                     \
  {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)), METH_FASTCALL, \
   nullptr}
#define FASTCONV_METHOD(function) FASTCONV_METHOD_AS(#function, function)

namespace fastconv {

inline void add_methods(PyObject* module, PyMethodDef* methods) {
  if (PyModule_AddFunctions(module, methods) < 0) throw python_error{};
}

void register_algorithms(PyObject* module);
void register_batch_norm(PyObject* module);
void register_conv(PyObject* module);
void register_conv_backward(PyObject* module);
void register_flow(PyObject* module);
void register_gates(PyObject* module);
void register_loss(PyObject* module);
void register_softmax(PyObject* module);
void register_linear(PyObject* module);
void register_plan(PyObject* module);
void register_program(PyObject* module);
void register_pooling(PyObject* module);
void register_pool_places(PyObject* module);
void register_norm(PyObject* module);
void register_normalize(PyObject* module);
void register_pointwise(PyObject* module);
void register_resample(PyObject* module);
void register_runtime(PyObject* module);
void register_update(PyObject* module);

}  // namespace fastconv
