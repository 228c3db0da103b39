// The emulated runtime; the kernels' side of it is cuda/device.cuh.
#pragma once

#include <cuda_runtime_api.h>
