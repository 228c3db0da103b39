// exp(x) and expm1(x) for one x <= 0, from one range reduction and one polynomial.
//
//   x = n ln 2 + t,   n an integer,   t in [-0.696 ln 2, 0.305 ln 2] = [-0.482, 0.212]
//
//   p        = expm1(t)  = t + t w,   w = t/2 + t^2 R(t)
//   expm1(x) = 2^n p + (2^n - 1)
//   exp(x)   = 2^n (1 + p)
//
// n is not the integer nearest to x / ln 2: the interval of t is shifted so that n stays 0 down to
// x = -0.482, and p <= 1/4 wherever n < 0. The two terms of expm1(x) then never cancel: for n < 0
// the result is at most 1/2 * 5/4 - 1 = -3/8, and the rounding errors of p are at least
// halved.
//
// R approximates (expm1(t) - t - t^2/2) / t^3 with the least maximum error, in units in the last
// place (ULP) of expm1(x). tools/fit_expm1.py derives its coefficients and checks those written
// here. t/2 is exact, so that of all roundings before the last only that of w counts.

#ifndef ELULAYER_MATH_EXPONENTIAL_HPP
#define ELULAYER_MATH_EXPONENTIAL_HPP

#include "bits.hpp"

namespace elulayer {
namespace {

// x / ln 2 is rounded by adding a number so large that the sum has only `fraction_bits` bits left
// below the binary point; clearing them in its bit pattern rounds down. So
// n = floor(x / ln 2 + 44/64), in effect + 0.695, because the addition itself rounds to the nearest
// 1/64. The number holds the bias of the exponent field and a k too: the sum's pattern, shifted
// left by `shift`, is that of 2^(n + k).
template <class T>
struct Reduction {
  static constexpr int fraction_bits = 6;
  static constexpr int shift = Format<T>::mantissa_bits - fraction_bits;
  static constexpr WordOf<T> fraction_mask = (WordOf<T>{1} << fraction_bits) - 1;
  // 1.5 * 2^shift: its last place is 2^-fraction_bits, and its low bits are all zero.
  static constexpr T anchor = T(3) * T(WordOf<T>{1} << (shift - 1));
  static constexpr T split = T(44) / T(64);
};

template <class T, int k>
constexpr T origin = Reduction<T>::anchor + T(Format<T>::exponent_bias + k);

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

// R(t), for a result in float or double.
template <class Result>
struct Remainder;

// Of degree 4: with exact arithmetic expm1(x) would be within 0.018 ULP.
template <>
struct Remainder<float> {
  template <class T>
  ELULAYER_FN T of(T t, T t_squared) {
    return polynomial(t, t_squared, T(0x1.555556p-3f), T(0x1.5555fep-5f), T(0x1.1114e6p-7f),
                      T(0x1.6a6984p-10f), T(0x1.6e1b9ap-13f));
  }
};

// Of degree 9: with exact arithmetic expm1(x) would be within 0.007 ULP.
template <>
struct Remainder<double> {
  ELULAYER_FN double of(double t, double t_squared) {
    return polynomial(t, t_squared, 0x1.5555555555559p-3, 0x1.55555555555e9p-5,
                      0x1.111111110fa6cp-7, 0x1.6c16c16b912edp-10, 0x1.a01a01a29249fp-13,
                      0x1.a01a05c4e9c1bp-16, 0x1.71de8cec0ad78p-19, 0x1.27de0e13f2abep-22,
                      0x1.abc26d67acbb5p-26, 0x1.f6627e4afca62p-30);
  }
};

// expm1(x) and exp(x) before their last addition.
template <class T>
struct Exponential {
  T t;
  T w;
  T p;         // expm1(t)
  T excess;    // p - (t + t w), the rounding error of the sum
  T origin_n;  // origin<T, k> + n, exactly
};

// How many numbers stand for ln 2. One is enough for expm1(x) in float with fused operations: the
// error of n ln 2 is multiplied by 2^n, and costs expm1(x) 0.01 ULP at most; exp(x) keeps it whole.
enum class Ln2 { one_part, two_parts };

// For an x whose n fits its 9 or 12 bits, for a result in Result. NaN stays NaN; for x > 0 the
// result means nothing.
template <int k, Ln2 parts, class T, class Result = T>
ELULAYER_FN Exponential<T> exponential(T x) {
  const T sum = multiply_add(x, Logarithm<T>::log2_e, origin<T, k> + Reduction<T>::split);
  const T origin_n = from_bits<T>(to_bits(sum) & ~Reduction<T>::fraction_mask);
  const T n = origin_n - origin<T, k>;
  const T t = parts == Ln2::one_part ? multiply_add(n, -Logarithm<T>::ln2, x)
                                     : multiply_add(n, -Logarithm<T>::ln2_lo,
                                                    multiply_add(n, -Logarithm<T>::ln2_hi, x));
  const T t_squared = t * t;
  const T w = multiply_add(Remainder<Result>::of(t, t_squared), t_squared, T(0.5) * t);
  const T p = multiply_add(w, t, t);
  const T excess = multiply_add(-w, t, p - t);
  return {t, w, p, excess, origin_n};
}

// 2^j, given origin<T, 0> + j with j in the range of normal exponents: its low bits are the
// exponent field.
template <class T>
ELULAYER_FN T power_of_two(T origin_j) {
  return from_bits<T>(to_bits(origin_j) << Reduction<T>::shift);
}

}  // namespace
}  // namespace elulayer

#endif  // ELULAYER_MATH_EXPONENTIAL_HPP
