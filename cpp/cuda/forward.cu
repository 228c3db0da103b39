// The launches of forward.
#include "cuda/instances.hpp"
#include "cuda/launches.cuh"

namespace elulayer::cuda {

template <class T>
void elu(const T* x, Alphas<Arithmetic<T>> alpha, T* z, Shape shape, Stream stream) {
  if (is_empty(shape)) {
    return;
  }
  const Plan plan = plan_for(shape, sizeof(T), {x, z});
  const auto kernel = plan.vector == 1 ? &forward_kernel<1, true, T>
                      : plan.folded    ? &forward_kernel<vector_of<T>, true, T>
                                       : &forward_kernel<vector_of<T>, false, T>;
  check(launch(kernel, grid_of(plan), block_size, 0, static_cast<cudaStream_t>(stream), plan, x,
               alpha.array, alpha.value, z),
        "elu");
}

template <class T>
void elu_with_memory(const T* x, Alphas<Arithmetic<T>> alpha, T* z, T* memory, Shape shape,
                     Stream stream) {
  if (is_empty(shape)) {
    return;
  }
  const Plan plan = plan_for(shape, sizeof(T), {x, z, memory});
  const auto kernel = plan.vector == 1 ? &remember_kernel<1, true, T>
                      : plan.folded    ? &remember_kernel<vector_of<T>, true, T>
                                       : &remember_kernel<vector_of<T>, false, T>;
  check(launch(kernel, grid_of(plan), block_size, 0, static_cast<cudaStream_t>(stream), plan, x,
               alpha.array, alpha.value, z, memory),
        "elu_with_memory");
}

ELULAYER_FOR_ELEMENT_TYPES(ELULAYER_INSTANTIATE_FORWARD)

}  // namespace elulayer::cuda
