// The compiled module fastconv._core. Choosing the instruction set comes first: an unknown or
// unavailable FASTCONV_ISA is an ImportError that lists the choices.
#define FASTCONV_IMPORT_ARRAY
#include "module.h"

#include <pybind11/pybind11.h>

#include <cstdlib>

#include "../isa.h"
#include "../ops/parallel.h"

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  if (_import_array() < 0) throw pybind11::error_already_set();
  try {
    fastconv::select_isa(std::getenv("FASTCONV_ISA"));
    fastconv::register_runtime(m.ptr());
    fastconv::register_conv(m.ptr());
    fastconv::register_conv_backward(m.ptr());
    fastconv::register_algorithms(m.ptr());
    fastconv::register_linear(m.ptr());
    fastconv::register_plan(m.ptr());
    fastconv::register_program(m.ptr());
    fastconv::register_flow(m.ptr());
    fastconv::register_batch_norm(m.ptr());
    fastconv::register_norm(m.ptr());
    fastconv::register_normalize(m.ptr());
    fastconv::register_pointwise(m.ptr());
    fastconv::register_update(m.ptr());
    fastconv::register_gates(m.ptr());
    fastconv::register_loss(m.ptr());
    fastconv::register_softmax(m.ptr());
    fastconv::register_pooling(m.ptr());
    fastconv::register_pool_places(m.ptr());
    fastconv::register_resample(m.ptr());
  } catch (const fastconv::python_error&) {
    throw pybind11::error_already_set();
  } catch (const std::invalid_argument& e) {
    throw pybind11::import_error(e.what());
  }
  fastconv::install_fork_handler();
}
