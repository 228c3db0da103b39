// Z = elu(x), for one element and without branches.
//
//         x > 0     otherwise
//   Z     x         alpha expm1(x)
//
// Cases are selected, never multiplied by a mask, so infinities and NaN stay on their own side.
//
// Each function exists twice. The short form is for x >= deep, where no intermediate result leaves
// the range of normal numbers, and for the alphas it names; the other form is for every input.
// Where both apply they give the same bits, so that it does not show which one ran.

#ifndef ELULAYER_MATH_FORWARD_HPP
#define ELULAYER_MATH_FORWARD_HPP

#include "exponential.hpp"

namespace elulayer {
namespace {

// The least x of the short forms: n >= -101 in float, -866 in double.
template <class T>
constexpr T deep = sizeof(T) == sizeof(float) ? T(-70) : T(-600);

// Below this n, expm1(x) rounds to -1.
template <class T>
constexpr int expm1_n_min = -(Format<T>::mantissa_bits + 3);

// The least x that expm1(x) is computed from.
template <class T>
constexpr T expm1_x_min = T(expm1_n_min<T>) * Logarithm<T>::ln2;

// expm1(x) for x <= 0 that is not below expm1_x_min or deep; for x = -0 it is +0.
ELULAYER_FN float expm1_unclamped(float x) {
  constexpr Ln2 parts = ELULAYER_FAST_FMA ? Ln2::one_part : Ln2::two_parts;
  const Exponential<float> e = exponential<0, parts>(x);
  const float power = power_of_two(e.origin_n);
  return multiply_add(power, e.p, power - 1.0f);
}

// -expm1(x) as a rounded number, and what rounding it and p has left.
struct NegatedExpm1 {
  double rounded;
  double residual;
};

ELULAYER_FN NegatedExpm1 negated_expm1(double x) {
  const Exponential<double> e = exponential<0, Ln2::two_parts>(x);
  const double power = power_of_two(e.origin_n);
  const double rest = 1.0 - power;
  const double m = multiply_add(-power, e.p, rest);
  const double residual = multiply_add(power, e.excess, multiply_add(-power, e.p, rest - m));
  return {m, residual};
}

// Whether the short form takes this alpha: not negative (-0 included), not infinite, not NaN.
template <class T>
ELULAYER_FN bool is_short_forward_alpha(T alpha) {
  return is_finite(alpha) && to_bits(alpha) < to_bits(-T(0));
}

// Z for x >= deep or NaN, and +0 <= alpha < infinity. In float the product with alpha adds its
// rounding to that of expm1(x).
ELULAYER_FN float elu_short(float x, float alpha) {
  const float z = computed(alpha * expm1_unclamped(x));
  return x < 0.0f ? z : x;
}

// In double the product takes the residual in, and is within 1 ULP for every alpha (1.5 without
// fused operations).
ELULAYER_FN double elu_short(double x, double alpha) {
  const NegatedExpm1 m = negated_expm1(x);
  const double magnitude = multiply_add(alpha, m.rounded, alpha * m.residual);
  // Set, not negated: compilers may move a negation into the sum, where it changes the sign of 0.
  const double z = computed(from_bits<double>(to_bits(magnitude) | to_bits(-0.0)));
  return x < 0.0 ? z : x;
}

// expm1(x) for x <= 0, within 0.68 ULP in float (0.83 without fused operations).
ELULAYER_FN float expm1_nonpositive(float x) {
  constexpr float cut = expm1_x_min<float>;
  const float m = expm1_unclamped(x < cut ? cut : x);               // NaN stays NaN
  return with_sign(m, to_bits(m) | (to_bits(x) & to_bits(-0.0f)));  // -0 for -0
}

// alpha expm1(x) for x <= 0.
ELULAYER_FN float scaled_expm1(float x, float alpha) { return alpha * expm1_nonpositive(x); }

ELULAYER_FN double scaled_expm1(double x, double alpha) {
  constexpr double cut = expm1_x_min<double>;
  const NegatedExpm1 m = negated_expm1(x < cut ? cut : x);  // NaN stays NaN
  const double factor = is_finite(alpha) ? alpha : 0.0;     // inf - inf is NaN
  const double z = multiply_add(alpha, m.rounded, factor * m.residual);
  // m is -expm1(x), and the sum of a zero product and its correction would have either sign.
  return with_sign(z, to_bits(alpha) ^ to_bits(x));
}

// Z for every x and alpha. NaN gives the same NaN.
template <class T>
ELULAYER_FN T elu_any(T x, T alpha) {
  const T z = computed(scaled_expm1(x, alpha));
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
ELULAYER_FN Remembered<T> elu_remembered(T x, T alpha) {
  const T memory = computed(from_bits<T>(to_bits(scaled_expm1(x, T(1))) | to_bits(-T(0))));
  return {elu_any(x, alpha), x > T(0) ? T(0) : memory};
}

}  // namespace
}  // namespace elulayer

#endif  // ELULAYER_MATH_FORWARD_HPP
