// exp(x) and expm1(x) for one x <= 0, from one range reduction and one polynomial.
//
//   x = n ln 2 + t,   n an integer,   t in [-0.680 ln 2, 0.320 ln 2] = [-0.471, 0.222]
//
//   p        = expm1(t)  = t + t^2 Q(t)
//   expm1(x) = 2^n p + (2^n - 1)
//   exp(x)   = 2^n (1 + p)
//
// n is not the integer nearest to x / ln 2: the interval of t is shifted so that n stays 0 down to
// x = -0.471, and p <= 1/4 wherever n < 0. The two terms of expm1(x) then never cancel: for n < 0
// the result is at most 1/2 * 5/4 - 1 = -3/8, and the rounding errors of p are at least
// halved.
//
// Q approximates (expm1(t) - t) / t^2 with the least maximum error, in units in the last place
// (ULP) of expm1(x). tools/fit_expm1.py derives its coefficients and checks those written here.

#ifndef ELULAYER_MATH_EXPONENTIAL_HPP
#define ELULAYER_MATH_EXPONENTIAL_HPP

#include "bits.hpp"

namespace elulayer {
namespace {

// x / ln 2 is rounded by adding a number so large that the sum has only `fraction_bits` bits left
// below the binary point; clearing them in its bit pattern rounds down. So
// n = floor(x / ln 2 + 43/64), in effect + 0.680, because the addition itself rounds to the nearest
// 1/64. The number holds the bias of the exponent field too: the sum's pattern, shifted left by
// `shift`, is that of 2^n.
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

// ln 2 = ln2_hi + ln2_lo. ln2_hi is so short that n ln2_hi, and x - n ln2_hi with it, is exact for
// every n that occurs (9 bits in float, 12 in double). ln2 is the sum, rounded.
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

// Degree 5. With these coefficients alone rounded, expm1(x) is within 0.023 ULP.
ELULAYER_FN float quotient(float t, float t_squared) {
  return leading_coefficient_last(t, t_squared, 0x1.000000p-1f, 0x1.555554p-3f, 0x1.555600p-5f,
                                  0x1.1118f0p-7f, 0x1.6ad294p-10f, 0x1.7140cap-13f);
}

// Degree 10. With these coefficients alone rounded, expm1(x) is within 0.014 ULP.
ELULAYER_FN double quotient(double t, double t_squared) {
  return leading_coefficient_last(
      t, t_squared, 0x1.0000000000000p-1, 0x1.555555555555ap-3, 0x1.555555555562ep-5,
      0x1.11111111101fap-7, 0x1.6c16c16b822ffp-10, 0x1.a01a019aca16cp-13, 0x1.a01a05303cea2p-16,
      0x1.71de9fc4b027ap-19, 0x1.27e1a344ea292p-22, 0x1.ac2ad872c8e38p-26, 0x1.fa84ea9e58d03p-30);
}

// expm1(x) and exp(x) before their last addition.
template <class T>
struct Exponential {
  T t;
  T p;         // expm1(t)
  T excess;    // p - (t + t^2 Q(t)), the rounding error of the sum
  T origin_n;  // Reduction<T>::origin + n, exactly
};

// For an x whose n fits its 9 or 12 bits. NaN stays NaN; for x > 0 the result means nothing.
template <class T>
ELULAYER_FN Exponential<T> exponential(T x) {
  const T sum = multiply_add(x, Logarithm<T>::log2_e, Reduction<T>::rounder);
  const T origin_n = from_bits<T>(to_bits(sum) & ~Reduction<T>::fraction_mask);
  const T n = origin_n - Reduction<T>::origin;
  const T t = multiply_add(n, -Logarithm<T>::ln2_lo, multiply_add(n, -Logarithm<T>::ln2_hi, x));
  const T t_squared = t * t;
  const T q = quotient(t, t_squared);
  const T p = multiply_add(q, t_squared, t);
  const T excess = multiply_add(-q, t_squared, p - t);
  return {t, p, excess, origin_n};
}

// 2^k, given origin + k with k in the range of normal exponents: its low bits are the exponent
// field.
template <class T>
ELULAYER_FN T power_of_two(T origin_k) {
  return from_bits<T>(to_bits(origin_k) << Reduction<T>::shift);
}

// 2^n p + (2^n - 1), for 2^n in the range of normal numbers.
template <class T>
ELULAYER_FN T expm1_from(T p, T origin_n) {
  const T power = power_of_two(origin_n);
  return multiply_add(power, p, power - T(1));
}

}  // namespace
}  // namespace elulayer

#endif  // ELULAYER_MATH_EXPONENTIAL_HPP
