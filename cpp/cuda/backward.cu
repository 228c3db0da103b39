// The launches of backward: one pass, then the adding of its partial sums.
#include <algorithm>

#include "cuda/instances.hpp"
#include "cuda/launches.cuh"

namespace elulayer::cuda {
namespace {

template <class Mode, class T>
auto kernel_for(const Plan& plan) {
  if (plan.vector == 1) {
    return &backward_kernel<Mode, 1, true, T>;
  }
  return plan.folded ? &backward_kernel<Mode, vector_of<T>, true, T>
                     : &backward_kernel<Mode, vector_of<T>, false, T>;
}

template <class Mode, class T>
void backward(const T* grad, const T* source, Alphas<Arithmetic<T>> alpha, T* dx,
              Arithmetic<T>* dalpha, void* workspace, Shape shape, cudaStream_t stream) {
  constexpr const char* name = "elu_backward";
  if (is_empty(shape)) {
    if (shape.channels > 0) {
      const auto bytes = static_cast<std::size_t>(shape.channels) * sizeof *dalpha;
      check(cudaMemsetAsync(dalpha, 0, bytes, stream), name);
    }
    return;
  }
  using Partial = Sum<Arithmetic<T>>;
  const Plan plan = plan_for(shape, sizeof(T), {grad, source, dx});
  auto* const partials = static_cast<Partial*>(workspace);
  const int sums_of_thread = plan.folded ? 1 : plan.vector;
  const auto shared = sizeof(Partial) * static_cast<std::size_t>(block_size * sums_of_thread);
  check(launch(kernel_for<Mode, T>(plan), grid_of(plan), block_size, shared, stream, plan, grad,
               source, alpha.array, alpha.value, dx, partials),
        name);
  constexpr std::int64_t few = 8 * warp_size;
  const bool by_warps = plan.partials_of_channel() <= few;
  const auto combine = by_warps ? &combine_kernel<Mode, warp_size, Arithmetic<T>>
                                : &combine_kernel<Mode, block_size, Arithmetic<T>>;
  const std::int64_t teams = by_warps ? block_size / warp_size : 1;
  const std::int64_t blocks = std::min((shape.channels + teams - 1) / teams, combine_blocks);
  check(launch(combine, dim3(static_cast<unsigned>(blocks)), block_size,
               sizeof(Partial) * (block_size / warp_size), stream, plan,
               static_cast<const Partial*>(partials), alpha.array, alpha.value, dalpha),
        name);
}

}  // namespace

std::size_t workspace_bytes(Shape shape, int element_size) {
  if (is_empty(shape)) {
    return 0;
  }
  const std::int64_t sums = std::max(make_plan(shape, element_size, true).partials(),
                                     make_plan(shape, element_size, false).partials());
  return static_cast<std::size_t>(sums) *
         (element_size == sizeof(double) ? sizeof(Sum<double>) : sizeof(Sum<float>));
}

template <class T>
void elu_backward(const T* grad, const T* x, Alphas<Arithmetic<T>> alpha, T* dx,
                  Arithmetic<T>* dalpha, void* workspace, Shape shape, Stream stream) {
  backward<FromInput>(grad, x, alpha, dx, dalpha, workspace, shape,
                      static_cast<cudaStream_t>(stream));
}

template <class T>
void elu_backward_from_memory(const T* grad, const T* memory, Alphas<Arithmetic<T>> alpha, T* dx,
                              Arithmetic<T>* dalpha, void* workspace, Shape shape, Stream stream) {
  backward<FromMemory>(grad, memory, alpha, dx, dalpha, workspace, shape,
                       static_cast<cudaStream_t>(stream));
}

template <class T>
void elu_backward_from_output(const T* grad, const T* z, Alphas<Arithmetic<T>> alpha, T* dx,
                              Arithmetic<T>* dalpha, void* workspace, Shape shape, Stream stream) {
  backward<FromOutput>(grad, z, alpha, dx, dalpha, workspace, shape,
                       static_cast<cudaStream_t>(stream));
}

ELULAYER_FOR_ELEMENT_TYPES(ELULAYER_INSTANTIATE_BACKWARD)

}  // namespace elulayer::cuda
