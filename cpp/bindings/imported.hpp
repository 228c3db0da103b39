// Arrays of other libraries, taken over by DLPack.
#pragma once

#include <pybind11/pybind11.h>

namespace elulayer::bindings {

// Registers import_dlpack.
void register_imported(pybind11::module_& m);

}  // namespace elulayer::bindings
