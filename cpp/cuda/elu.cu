// The native API of the CUDA unit: launches of the kernels.
#include <cuda_runtime.h>

#include <algorithm>
#include <initializer_list>
#include <stdexcept>
#include <string>

#include "cuda/elu.hpp"
#include "cuda/kernels.cuh"

namespace elulayer::cuda {
namespace {

void check(cudaError_t status, const char* what) {
  if (status != cudaSuccess) {
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(status));
  }
}

bool is_aligned(std::initializer_list<const void*> pointers) {
  for (const void* const pointer : pointers) {
    if (reinterpret_cast<std::uintptr_t>(pointer) % 16 != 0) {
      return false;
    }
  }
  return true;
}

dim3 grid(const Plan& plan) {
  return {static_cast<unsigned>(plan.tiles), static_cast<unsigned>(plan.slabs)};
}

bool is_empty(Shape shape) { return shape.outer == 0 || shape.channels == 0 || shape.inner == 0; }

}  // namespace

bool built() { return true; }

std::size_t workspace_bytes(Shape shape, int element_size) {
  if (is_empty(shape)) {
    return 0;
  }
  // A plan of single elements has more tiles than one of vectors, one of vectors more slabs.
  const std::int64_t sums = std::max(make_plan(shape, element_size, true).partials(),
                                     make_plan(shape, element_size, false).partials());
  return static_cast<std::size_t>(sums) * sizeof(Sum);
}

template <class T>
void elu(const T* x, const Arithmetic<T>* alpha, T* z, Shape shape, Stream stream) {
  if (is_empty(shape)) {
    return;
  }
  constexpr int vector = 16 / sizeof(T);
  const Plan plan = make_plan(shape, sizeof(T), is_aligned({x, z}));
  const auto queue = static_cast<cudaStream_t>(stream);
  if (plan.vector == 1) {
    forward_kernel<1><<<grid(plan), block_size, 0, queue>>>(plan, x, alpha, z);
  } else {
    forward_kernel<vector><<<grid(plan), block_size, 0, queue>>>(plan, x, alpha, z);
  }
  check(cudaGetLastError(), "elu");
}

template <class T>
void elu_backward(const T* grad, const T* x, const Arithmetic<T>* alpha, T* dx,
                  Arithmetic<T>* dalpha, void* workspace, Shape shape, Stream stream) {
  const auto queue = static_cast<cudaStream_t>(stream);
  if (is_empty(shape)) {
    if (shape.channels > 0) {
      const auto bytes = static_cast<std::size_t>(shape.channels) * sizeof *dalpha;
      check(cudaMemsetAsync(dalpha, 0, bytes, queue), "elu_backward");
    }
    return;
  }
  constexpr int vector = 16 / sizeof(T);
  const Plan plan = make_plan(shape, sizeof(T), is_aligned({grad, x, dx}));
  auto* const partials = static_cast<Sum*>(workspace);
  const std::size_t shared = sizeof(Sum) * block_size * static_cast<std::size_t>(plan.vector);
  if (plan.vector == 1) {
    backward_kernel<1>
        <<<grid(plan), block_size, shared, queue>>>(plan, grad, x, alpha, dx, partials);
  } else {
    backward_kernel<vector>
        <<<grid(plan), block_size, shared, queue>>>(plan, grad, x, alpha, dx, partials);
  }
  check(cudaGetLastError(), "elu_backward");
  constexpr int warps = block_size / warp_size;
  const auto blocks = static_cast<unsigned>((shape.channels + warps - 1) / warps);
  combine_kernel<<<blocks, block_size, 0, queue>>>(plan, partials, dalpha);
  check(cudaGetLastError(), "elu_backward");
}

#define ELULAYER_INSTANTIATE(T)                                                                   \
  template void elu(const T*, const Arithmetic<T>*, T*, Shape, Stream);                           \
  template void elu_backward(const T*, const T*, const Arithmetic<T>*, T*, Arithmetic<T>*, void*, \
                             Shape, Stream);

ELULAYER_INSTANTIATE(float)
ELULAYER_INSTANTIATE(double)
ELULAYER_INSTANTIATE(float16)
ELULAYER_INSTANTIATE(bfloat16)
#undef ELULAYER_INSTANTIATE

}  // namespace elulayer::cuda
