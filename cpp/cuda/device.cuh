// What the kernels take from the device beside CUDA's own names. tests/cpp/cuda has the same for
// its emulator.
#pragma once

#include "math/bits.hpp"

#define ELULAYER_UNROLL _Pragma("unroll")

namespace elulayer::cuda {
namespace {

// The dynamic shared memory of the block.
template <class T>
__device__ T* shared_memory() {
  extern __shared__ __align__(16) unsigned char memory[];
  return reinterpret_cast<T*>(memory);
}

// A vector of 16 bytes in one access, or a single element.
template <int vector, class S>
__device__ void load_vector(const S* from, S (&values)[vector]) {
  if constexpr (vector == 1) {
    values[0] = *from;
  } else {
    const uint4 bits = *reinterpret_cast<const uint4*>(from);
    __builtin_memcpy(values, &bits, sizeof bits);
  }
}

template <int vector, class S>
__device__ void store_vector(const S (&values)[vector], S* to) {
  if constexpr (vector == 1) {
    *to = values[0];
  } else {
    uint4 bits;
    __builtin_memcpy(&bits, values, sizeof bits);
    *reinterpret_cast<uint4*>(to) = bits;
  }
}

}  // namespace
}  // namespace elulayer::cuda
