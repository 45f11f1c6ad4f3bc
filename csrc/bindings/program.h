// The program inside a Python object.
#pragma once

#include "../ops/program.h"
#include "arrays.h"

namespace fastconv {

// TypeError unless `o` is a program. It lives as long as the object.
const Program& program_of(PyObject* o);

}  // namespace fastconv
