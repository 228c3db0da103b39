// The sums of alpha's gradient: in double, for double itself with compensation.
//
// A sum of a thread takes the terms that the short form has scaled, or the two factors of a term
// from the form for every input. Sums are added in an order that the plan fixes.
#pragma once

#include "cuda/device.cuh"
#include "math/backward.hpp"

namespace elulayer::cuda {
namespace {

constexpr int warp_size = 32;

// A sum of doubles and what rounding has taken from it (Knuth's TwoSum).
struct Compensated {
  double sum;
  double compensation;
};

__device__ Compensated add(Compensated a, double b) {
  const double sum = a.sum + b;
  const double t = sum - a.sum;
  return {sum, a.compensation + ((a.sum - (sum - t)) + (b - t))};
}

__device__ Compensated add(Compensated a, Compensated b) {
  const Compensated sum = add(a, b.sum);
  return {sum.sum, sum.compensation + b.compensation};
}

__device__ double value_of(Compensated a) {
  // An infinite sum has a NaN for compensation.
  return is_finite(a.sum) ? a.sum + a.compensation : a.sum;
}

__device__ double lane_apart(double value, int distance) {
  return __shfl_xor_sync(0xffffffffu, value, distance);
}

__device__ Compensated lane_apart(Compensated value, int distance) {
  return {lane_apart(value.sum, distance), lane_apart(value.compensation, distance)};
}

template <class T>
struct Sum;

// Of floats' products, which doubles have room for: 2^64 times the sum.
template <>
struct Sum<float> {
  double scaled = 0;

  __device__ void add_scaled_term(float term) { scaled += static_cast<double>(term); }
  __device__ void add_term(float factor_grad, float factor) {
    scaled += static_cast<double>(factor_grad) * static_cast<double>(factor) * term_scale<float>;
  }
  __device__ void add(Sum other) { scaled += other.scaled; }
  __device__ Sum lane(int distance) const { return {lane_apart(scaled, distance)}; }
  __device__ float divided(float divisor) const {
    const double sum = scaled / static_cast<double>(term_scale<float>);
    return with_one_nan(static_cast<float>(sum / static_cast<double>(divisor)));
  }
};

// Of doubles' products. No sum may overflow, or lose digits, where the gradient does not, so terms
// from 2^448 on are added apart.
template <>
struct Sum<double> {
  Compensated low = {0, 0};   // 2^64 times the sum of the smaller terms
  Compensated high = {0, 0};  // 2^-512 times the sum of the others

  // The short form's scale is 2^512, and its terms are below 2^512 without it.
  __device__ void add_scaled_term(double term) { low = cuda::add(low, term * 0x1p-448); }
  __device__ void add_term(double factor_grad, double factor) {
    const double term = factor_grad * factor;
    const double magnitude = term < 0 ? -term : term;
    if (magnitude >= 0x1p448) {
      high = cuda::add(high, (factor_grad * 0x1p-512) * factor);
    } else {
      low = cuda::add(low, factor_grad * (factor * 0x1p64));
    }
  }
  __device__ void add(Sum other) {
    low = cuda::add(low, other.low);
    high = cuda::add(high, other.high);
  }
  __device__ Sum lane(int distance) const {
    return {lane_apart(low, distance), lane_apart(high, distance)};
  }
  __device__ double divided(double divisor) const {
    if (high.sum == 0 && high.compensation == 0) {
      return with_one_nan(value_of(low) / divisor * 0x1p-64);
    }
    const Compensated all =
        cuda::add(high, Compensated{low.sum * 0x1p-576, low.compensation * 0x1p-576});
    return with_one_nan(value_of(all) / divisor * 0x1p512);
  }
};

// The sum of a warp's sums, in every lane.
template <class T>
__device__ Sum<T> add_warp(Sum<T> sum) {
  for (int distance = warp_size / 2; distance > 0; distance /= 2) {
    sum.add(sum.lane(distance));
  }
  return sum;
}

}  // namespace
}  // namespace elulayer::cuda
