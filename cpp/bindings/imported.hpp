// Arrays of other libraries, taken over by DLPack, and memory layouts.
#pragma once

#include <pybind11/pybind11.h>

namespace elulayer::bindings {

// Registers import_dlpack and layout.
void register_imported(pybind11::module_& m);

}  // namespace elulayer::bindings
