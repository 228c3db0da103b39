// What the kernels take from the device beside CUDA's own names. tests/cpp/cuda has the same for
// its emulator.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstddef>

#include "elulayer/types.hpp"
#include "math/bits.hpp"

#define ELULAYER_UNROLL _Pragma("unroll")
#define ELULAYER_NO_UNROLL _Pragma("unroll 1")

namespace elulayer::cuda {
namespace {

// For launch bounds: five blocks of 256 threads on a multiprocessor, or as many as it has room for.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr int five_blocks = 4;
#else
constexpr int five_blocks = 5;
#endif

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
    // The compiler may split an assignment, beside those of single elements.
    asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)),
                 "r"(bits.x), "r"(bits.y), "r"(bits.z), "r"(bits.w)
                 : "memory");
  }
}

// The 16-bit types and float by the device's own instructions: the numbers of math/half.hpp, and
// one NaN for all.
__device__ float widen(float16 value) { return __half2float(__half_raw{value.bits}); }
__device__ float widen(bfloat16 value) {
  return from_bits<float>(static_cast<unsigned>(value.bits) << 16);
}

template <class Pair, class S>
__device__ void copy_pair(Pair pair, S* to) {
  static_assert(sizeof pair == 2 * sizeof(S), "two elements");
  __builtin_memcpy(to, &pair, sizeof pair);
}

__device__ void narrow_pair(float first, float second, float16* to) {
  copy_pair(__floats2half2_rn(first, second), to);
}
__device__ void narrow_pair(float first, float second, bfloat16* to) {
  copy_pair(__floats2bfloat162_rn(first, second), to);
}

template <int count, class S>
__device__ void narrow(const float (&values)[count], S* results) {
  if constexpr (count == 1) {
    S pair[2];
    narrow_pair(values[0], values[0], pair);
    results[0] = pair[0];
  } else {
    ELULAYER_UNROLL
    for (int i = 0; i < count; i += 2) {
      narrow_pair(values[i], values[i + 1], results + i);
    }
  }
}

// kernel(arguments...) by blocks of `threads`, in a stream.
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, int threads, std::size_t shared_bytes,
                   cudaStream_t stream, const Arguments&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

}  // namespace
}  // namespace elulayer::cuda
