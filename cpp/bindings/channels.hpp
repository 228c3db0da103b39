// The functions of batch_normalization/channels.hpp in the module: for the layers, not for users.
#pragma once

#include <pybind11/pybind11.h>

namespace elulayer::bindings {

void register_channel_functions(pybind11::module_& m);

}  // namespace elulayer::bindings
