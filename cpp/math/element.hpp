// The exponential linear unit for one element, without branches.
//
//               x > 0     otherwise
//   Z           x         alpha expm1(x)
//   dL/dX       g         g alpha exp(x)
//   memory      -         expm1(x): times g, the term of dL/dalpha
//
// Cases are selected, never multiplied by a mask, so infinities and NaN stay on their own side.

#ifndef ELULAYER_MATH_ELEMENT_HPP
#define ELULAYER_MATH_ELEMENT_HPP

#include "exponential.hpp"

namespace elulayer {
namespace {

// alpha = mantissa * 2^exponent exactly, 1 <= |mantissa| < 2.
// 0, infinities and NaN are their own mantissa, with exponent 0.
template <class T>
struct SplitAlpha {
  T mantissa;
  IntOf<T> exponent;
};

template <class T>
ELULAYER_FN SplitAlpha<T> split_alpha(T alpha) {
  using Word = WordOf<T>;
  constexpr int mantissa_bits = Format<T>::mantissa_bits;
  constexpr int bias = Format<T>::exponent_bias;
  constexpr Word field = Word{2} * Word{bias} + Word{1};  // an exponent field of ones
  constexpr Word field_mask = field << mantissa_bits;
  constexpr T to_normal = T(Word{1} << (mantissa_bits + 1));

  const bool subnormal = (to_bits(alpha) & field_mask) == 0;
  const T scaled = subnormal ? alpha * to_normal : alpha;
  const Word bits = to_bits(scaled);
  const Word exponent_field = (bits & field_mask) >> mantissa_bits;
  if (exponent_field == 0 || exponent_field == field) {
    return {alpha, 0};
  }
  const T mantissa = from_bits<T>((bits & ~field_mask) | (Word{bias} << mantissa_bits));
  const IntOf<T> exponent =
      static_cast<IntOf<T>>(exponent_field) - bias - (subnormal ? mantissa_bits + 1 : 0);
  return {mantissa, exponent};
}

// Z.
template <class T>
ELULAYER_FN T elu(T x, T alpha) {
  // Below the cut expm1(x) rounds to -1, and the power of two is still a normal number.
  constexpr T cut = T(-(Format<T>::mantissa_bits + 3)) * Logarithm<T>::ln2;
  const T clamped = x > cut ? x : cut;
  const T m = expm1_from(exponential(clamped));
  // expm1(x) >= x, so this comparison changes no result for x < 0. For x = -0 it keeps the sign that
  // the additions lost, and for NaN, on which every comparison fails, it gives x.
  const T expm1_x = m > x ? m : x;
  return x > T(0) ? x : alpha * expm1_x;
}

template <class T>
struct Backward {
  T dx;     // dL/dX
  T expm1;  // expm1(min(x, 0))
};

// The product g alpha exp(x) = g q 2^k, with
//
//   q = mantissa + mantissa p,   5/8 <= |q| <= 5/2,      k = n + exponent,
//
// is exact but for the roundings of p, of q and of one product, as long as no intermediate result leaves
// the range of normal numbers before the final one does. So 2^k is taken in three factors,
//
//   g q 2^k = ((g (q 2^(k - 2h))) 2^h) 2^h,   h = min(k + K, 0) / 2 rounded to an integer.
//
// For k >= -K, h is 0: q 2^k is a normal number and no larger than alpha, so the product with g
// overflows or becomes subnormal only if dL/dX does, and is rounded once. For k < -K,
// q 2^(k - 2h) lies near 2^-K, the product with g is below 2^5, and the two last factors only make it
// smaller, down to the point where every finite g gives 0.
template <class T>
ELULAYER_FN Backward<T> elu_backward(T g, T x, SplitAlpha<T> alpha) {
  using Word = WordOf<T>;
  using R = Reduction<T>;
  constexpr int bias = Format<T>::exponent_bias;
  constexpr int K = bias - 3;
  // The least k: there h = -bias, so the exponent field of 2^h is 0 and 2^h itself becomes 0, as exp(-inf)
  // is. Every product with a finite g has underflowed to 0 before.
  constexpr int k_min = -K - 2 * bias;

  const T exponent = from_bits<T>(to_bits(R::anchor) +
                                  (static_cast<Word>(alpha.exponent) << R::fraction_bits)) -
                     R::anchor;
  const T cut = (T(k_min) - exponent) * Logarithm<T>::ln2;
  const T clamped = x < cut ? cut : x;
  const Exponential<T> e = exponential(clamped);

  // For an infinite alpha, q = alpha, where inf + inf p would be NaN.
  const T slope = __builtin_fabs(alpha.mantissa) < 2 ? alpha.mantissa : T(0);
  const T q = multiply_add(slope, e.p, alpha.mantissa);

  const T origin_k = e.origin_n + exponent;
  const T k_plus_K = origin_k - (R::origin - T(K));
  const T deep = k_plus_K < T(0) ? k_plus_K : T(0);
  // 1.5 * 2^mantissa_bits rounds the sum to an integer, whose low bits are the exponent field of 2^h.
  constexpr T integer_rounder = T(3) * T(Word{1} << (Format<T>::mantissa_bits - 1)) + T(bias);
  const Word h_field = to_bits(multiply_add(deep, T(0.5), integer_rounder))
                       << Format<T>::mantissa_bits;
  const T power_h = from_bits<T>(h_field);
  // The fields are k + bias and h + bias; k - 2 h + bias needs 2 bias back.
  constexpr Word two_biases = Word{2 * bias} << Format<T>::mantissa_bits;
  const T power_rest =
      from_bits<T>((to_bits(origin_k) << R::shift) + two_biases - (h_field + h_field));
  const T below = g * (q * power_rest) * power_h * power_h;

  constexpr T limit = T(-(Format<T>::mantissa_bits + 3));
  const T origin_limit = R::origin + limit;
  const T m = expm1_from(
      Exponential<T>{e.p, e.origin_n < origin_limit ? origin_limit : e.origin_n});
  const T expm1_x = m > x ? m : x;
  return {x > T(0) ? g : below, x > T(0) ? T(0) : expm1_x};
}

}  // namespace
}  // namespace elulayer

#endif  // ELULAYER_MATH_ELEMENT_HPP
