// exp(x) and expm1(x) for one x <= 0, from one range reduction and one polynomial.
//
//   x = n ln 2 + t,   n an integer,   t in [-0.680 ln 2, 0.320 ln 2] = [-0.471, 0.222]
//
//   p        = expm1(t)  = t + t^2 Q(t)
//   expm1(x) = 2^n p + (2^n - 1)
//   exp(x)   = 2^n (1 + p)
//
// n is not the nearest integer to x / ln 2: the interval of t is shifted so that n stays 0 down to
// x = -0.471, and p <= 1/4 wherever n < 0. For n < 0 the two terms of expm1(x) then never cancel: the
// result is at most 1/2 * 5/4 - 1 = -3/8, and the rounding errors of p enter it halved at least.
//
// Q is a polynomial fitted to (expm1(t) - t) / t^2, with an error weighted by the last place of
// expm1(x). tools/fit_expm1.py derives its coefficients and checks those written here.

#ifndef ELULAYER_MATH_EXPONENTIAL_HPP
#define ELULAYER_MATH_EXPONENTIAL_HPP

#include "bits.hpp"

namespace elulayer {
namespace {

// x / ln 2 is rounded by adding a constant so large that the sum has only `fraction_bits` bits left
// below the binary point. Clearing them in the bit pattern rounds down, so n = floor(x / ln 2 + c) with
// c = 43/64, in effect 0.680 because the addition rounds to the nearest 1/64. The constant carries the
// bias of the exponent too: the pattern, shifted left, is that of 2^n.
template <class T>
struct Reduction {
  static constexpr int fraction_bits = 6;
  static constexpr int shift = Format<T>::mantissa_bits - fraction_bits;
  static constexpr WordOf<T> fraction_mask = (WordOf<T>{1} << fraction_bits) - 1;
  // 1.5 * 2^shift: its last place is 2^-fraction_bits, and its low bits are all zero.
  static constexpr T anchor = T(3) * T(WordOf<T>{1} << (shift - 1));
  static constexpr T origin = anchor + T(Format<T>::exponent_bias);
  static constexpr T rounder = origin + T(43) / T(64);
};

// ln 2 = ln2_hi + ln2_lo. ln2_hi is so short that n * ln2_hi is exact for every n that occurs
// (9 bits in float, 12 in double), and x - n * ln2_hi with it.
template <class T>
struct Logarithm;

template <>
struct Logarithm<float> {
  static constexpr float log2_e = 0x1.715476p+0f;
  static constexpr float ln2 = 0x1.62e430p-1f;
  static constexpr float ln2_hi = 0x1.62e4p-1f;
  static constexpr float ln2_lo = 0x1.7f7d1cp-20f;
};

template <>
struct Logarithm<double> {
  static constexpr double log2_e = 0x1.71547652b82fep+0;
  static constexpr double ln2 = 0x1.62e42fefa39efp-1;
  static constexpr double ln2_hi = 0x1.62e42fefa2p-1;
  static constexpr double ln2_lo = 0x1.9ef35793c7673p-41;
};

// c0 + c1 t + c2 t^2 + ...: pairs of coefficients, and Horner's rule in t^2 over the pairs.
template <class T>
ELULAYER_FN T polynomial(T, T, T c0) {
  return c0;
}

template <class T>
ELULAYER_FN T polynomial(T t, T, T c0, T c1) {
  return multiply_add(c1, t, c0);
}

template <class T, class... Rest>
ELULAYER_FN T polynomial(T t, T t_squared, T c0, T c1, T c2, Rest... rest) {
  return multiply_add(polynomial(t, t_squared, c2, rest...), t_squared, multiply_add(c1, t, c0));
}

// Q(t) = c0 + t (c1 + c2 t + ...). The leading coefficient is added last, with one rounding.
template <class T, class... Rest>
ELULAYER_FN T leading_coefficient_last(T t, T t_squared, T c0, Rest... rest) {
  return multiply_add(polynomial(t, t_squared, rest...), t, c0);
}

// Degree 5. The fit's own error is 0.002 ULP of expm1(x).
ELULAYER_FN float quotient(float t, float t_squared) {
  return leading_coefficient_last(t, t_squared, 0x1.000000p-1f, 0x1.555556p-3f, 0x1.555608p-5f,
                                  0x1.1118dap-7f, 0x1.6ad44cp-10f, 0x1.710ec8p-13f);
}

// Degree 10. The fit's own error is 0.001 ULP of expm1(x).
ELULAYER_FN double quotient(double t, double t_squared) {
  return leading_coefficient_last(
      t, t_squared, 0x1.0000000000000p-1, 0x1.555555555555ap-3, 0x1.555555555562ep-5,
      0x1.11111111101fap-7, 0x1.6c16c16b822ffp-10, 0x1.a01a019aca16cp-13, 0x1.a01a05303cea2p-16,
      0x1.71de9fc4b027ap-19, 0x1.27e1a344ea292p-22, 0x1.ac2ad872c8e38p-26, 0x1.fa84ea9e58d03p-30);
}

// expm1(x) and exp(x) before their last addition.
template <class T>
struct Exponential {
  T p;         // expm1(t)
  T origin_n;  // Reduction<T>::origin + n, exactly
};

// x: any number not far below the range in which n fits its 9 or 12 bits. A NaN comes out as p.
template <class T>
ELULAYER_FN Exponential<T> exponential(T x) {
  const T sum = multiply_add(x, Logarithm<T>::log2_e, Reduction<T>::rounder);
  const T origin_n = from_bits<T>(to_bits(sum) & ~Reduction<T>::fraction_mask);
  const T n = origin_n - Reduction<T>::origin;
  const T t = multiply_add(n, -Logarithm<T>::ln2_lo, multiply_add(n, -Logarithm<T>::ln2_hi, x));
  const T t_squared = t * t;
  return {multiply_add(quotient(t, t_squared), t_squared, t), origin_n};
}

// 2^k, given origin + k with k in the range of normal exponents: its low bits are the exponent field.
template <class T>
ELULAYER_FN T power_of_two(T origin_k) {
  return from_bits<T>(to_bits(origin_k) << Reduction<T>::shift);
}

// 2^n p + (2^n - 1), for n in the range of normal exponents.
template <class T>
ELULAYER_FN T expm1_from(T p, T origin_n) {
  const T power = power_of_two(origin_n);
  return multiply_add(power, p, power - T(1));
}

}  // namespace
}  // namespace elulayer

#endif  // ELULAYER_MATH_EXPONENTIAL_HPP
