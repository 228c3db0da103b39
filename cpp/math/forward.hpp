// Z = elu(x), for one element and without branches.
//
//         x > 0     otherwise
//   Z     x         alpha expm1(x)
//
// Cases are selected, never multiplied by a mask, so infinities and NaN stay on their own side.

#ifndef ELULAYER_MATH_FORWARD_HPP
#define ELULAYER_MATH_FORWARD_HPP

#include "exponential.hpp"

namespace elulayer {
namespace {

// Below this n, expm1(x) rounds to -1.
template <class T>
constexpr int expm1_n_min = -(Format<T>::mantissa_bits + 3);

// The least x that expm1(x) is computed from: what the functions below are given for least_x.
template <class T>
constexpr T expm1_x_min = T(expm1_n_min<T>) * Logarithm<T>::ln2;

// alpha expm1(x) for x <= 0; NaN for NaN.
//
// In float the product with alpha adds its rounding to that of expm1(x), which is within 0.68 ULP
// (0.83 without fused operations).
template <bool selects = false>
ELULAYER_FN float scaled_expm1(float x, float alpha, float least_x) {
  constexpr Ln2 parts = ELULAYER_FAST_FMA ? Ln2::one_part : Ln2::two_parts;
  const Exponential<float> e = exponential<0, parts>(x < least_x ? least_x : x);
  const float power = power_of_two(e.origin_n);
  const float m = multiply_add(power, e.p, power - 1.0f);
  return alpha * (m > x ? m : x);  // expm1(x) >= x; -0 for -0
}

// In double -expm1(x) = (1 - 2^n) - 2^n t - 2^n t w is kept as a sum of two numbers, of which the
// second has the last term and what rounding the first has left: the result is within 1.02 ULP for
// every alpha (1.5 without fused operations).
//
// An infinite alpha's second product would be -inf: it is made 0, or the sum is not selected, which
// takes fewer registers on a GPU.
template <bool selects = !ELULAYER_FAST_FMA>
ELULAYER_FN double scaled_expm1(double x, double alpha, double least_x) {
  const Exponential<double> e = exponential<0, Ln2::two_parts>(x < least_x ? least_x : x);
  const double power = power_of_two(e.origin_n);
  const double rest = 1.0 - power;
  const double first = power * e.t;
  const double high = rest - first;
  const double low = multiply_add(-first, e.w, (rest - high) - first);
  // Of numbers that are not negative, so that a zero has one sign.
  const double factor = magnitude(alpha);
  double z = 0.0;
  if constexpr (selects) {
    const double sum = multiply_sum(factor, high, low);
    z = is_finite(alpha) ? sum : factor * high;
  } else {
    z = multiply_add(factor, high, (is_finite(alpha) ? factor : 0.0) * low);
  }
  return from_bits<double>(to_bits(z) ^ ((to_bits(alpha) ^ to_bits(x)) & to_bits(-0.0)));
}

// Z for every x and alpha. NaN gives the same NaN.
template <class T>
ELULAYER_FN T elu_element(T x, T alpha, T least_x) {
  const T z = computed(scaled_expm1<>(x, alpha, least_x));
  return x <= T(0) ? z : x;
}

// Z and the memory that backward can start from: expm1(min(x, 0)), with the sign bit set but for
// x > 0.
template <class T>
struct Remembered {
  T z;
  T memory;
};

template <class T>
ELULAYER_FN Remembered<T> elu_remembered(T x, T alpha, T least_x) {
  const T memory =
      from_bits<T>(to_bits(computed(scaled_expm1<>(x, T(1), least_x))) | to_bits(-T(0)));
  const T z = computed(scaled_expm1<true>(x, alpha, least_x));
  return {x <= T(0) ? z : x, x > T(0) ? T(0) : memory};
}

}  // namespace
}  // namespace elulayer

#endif  // ELULAYER_MATH_FORWARD_HPP
