// The sums of alpha's gradient in a thread and in a warp; math/sums.hpp has their arithmetic. They
// are added in an order that the plan fixes.
#pragma once

#include "cuda/device.cuh"
#include "math/sums.hpp"

namespace elulayer::cuda {
namespace {

constexpr int warp_size = 32;

// The sum of the warp's lane whose number differs in the bit `distance`.
template <class T>
__device__ Sum<T> lane_apart(Sum<T> sum, int distance) {
  double parts[sizeof sum / sizeof(double)];
  __builtin_memcpy(parts, &sum, sizeof sum);
  for (double& part : parts) {
    part = __shfl_xor_sync(0xffffffffu, part, distance);
  }
  __builtin_memcpy(&sum, parts, sizeof sum);
  return sum;
}

// The sum of a warp's sums, in every lane.
template <class T>
__device__ Sum<T> add_warp(Sum<T> sum) {
  for (int distance = warp_size / 2; distance > 0; distance /= 2) {
    sum = add(sum, lane_apart(sum, distance));
  }
  return sum;
}

}  // namespace
}  // namespace elulayer::cuda
