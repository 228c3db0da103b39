// The choice of the kernels for this machine.
#pragma once

#include "cpu/kernels.hpp"

namespace elulayer::cpu {

// The kernels in use. Throws as cpu_info() does.
const Kernels& active_kernels();

}  // namespace elulayer::cpu
