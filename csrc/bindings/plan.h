// The plan inside a Python object.
#pragma once

#include "../ops/plan.h"
#include "arrays.h"

namespace fastconv {

// TypeError unless `o` is a plan. It lives as long as the object.
Plan& plan_of(PyObject* o);

}  // namespace fastconv
