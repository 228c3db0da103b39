// CUDA's statuses as exceptions.
#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

namespace elulayer::cuda {

inline void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) {
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
  }
}

// Of the launch before it.
inline void check_launch(const char* what) { check(cudaGetLastError(), what); }

}  // namespace elulayer::cuda
