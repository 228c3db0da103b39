// What the launches of forward and backward share.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <initializer_list>

#include "cuda/elu.hpp"
#include "cuda/kernels.cuh"
#include "cuda/status.hpp"

namespace elulayer::cuda {
namespace {

template <class T>
constexpr int vector_of = 16 / static_cast<int>(sizeof(T));

inline Plan plan_for(Shape shape, int element_size, std::initializer_list<const void*> arrays) {
  bool aligned = true;
  for (const void* const array : arrays) {
    aligned = aligned && reinterpret_cast<std::uintptr_t>(array) % 16 == 0;
  }
  return make_plan(shape, element_size, aligned);
}

inline dim3 grid_of(const Plan& plan) {
  return dim3(static_cast<unsigned>(plan.grid_x()), static_cast<unsigned>(plan.slabs));
}

inline bool is_empty(Shape shape) {
  return shape.outer == 0 || shape.channels == 0 || shape.inner == 0;
}

}  // namespace
}  // namespace elulayer::cuda
