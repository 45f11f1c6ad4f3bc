// The compiled module fastconv._core. Choosing the instruction set comes first: an unknown or
// unavailable FASTCONV_ISA is an ImportError that lists the choices.
#define FASTCONV_IMPORT_ARRAY
#include "module.h"

#include <cstdlib>

#include "../isa.h"
#include "../ops/parallel.h"

namespace fastconv {
namespace {

void fill(PyObject* module) {
  if (_import_array() < 0) throw python_error{};
  try {
    select_isa(std::getenv("FASTCONV_ISA"));
  } catch (const std::invalid_argument& e) {
    PyErr_SetString(PyExc_ImportError, e.what());
    throw python_error{};
  }
  register_runtime(module);
  register_conv(module);
  register_linear(module);
  register_plan(module);
  register_program(module);
  register_flow(module);
  register_batch_norm(module);
  register_norm(module);
  register_normalize(module);
  register_pointwise(module);
  register_update(module);
  register_gates(module);
  register_loss(module);
  register_softmax(module);
  register_pooling(module);
  register_pool_places(module);
  register_resample(module);
#ifdef Py_GIL_DISABLED
  if (PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED) < 0) throw python_error{};
#endif
  install_fork_handler();
}

}  // namespace
}  // namespace fastconv

PyMODINIT_FUNC PyInit__core() {
  static PyModuleDef definition = {
      PyModuleDef_HEAD_INIT, "_core", nullptr, -1, nullptr, nullptr, nullptr, nullptr, nullptr};
  return fastconv::guarded([] {
    fastconv::Ref module(PyModule_Create(&definition));
    fastconv::fill(module.get());
    return module.release();
  });
}
