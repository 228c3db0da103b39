// The plain call: C-contiguous float32 or float64 arrays, an out that is one of them or apart
// from them, alpha a float or of the same dtype. It is checked here, since the checks in Python
// take longer than the kernel on a small array.
#pragma once

#include <pybind11/pybind11.h>

namespace elulayer::bindings {

// elu_plain(x, alpha, axis, out) and elu_backward_plain(grad, x, alpha, axis, out): the result, or
// None where the call is not a plain one. They raise nothing that the functions in Python would
// not.
void register_plain_functions(pybind11::module_& m);

}  // namespace elulayer::bindings
