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

// The least n for which 2^n still changes the result of expm1(x) - down to -1 - and two more.
template <class T>
constexpr int expm1_n_min = -(Format<T>::mantissa_bits + 3);

// Both clamps below are cheapest as one minimum or maximum of the bit patterns, where the machine has
// those. Patterns of negative numbers, read as signed integers, are in the reverse order.

// The larger of x and a negative bound. Where x > 0 or x is NaN, either of them.
ELULAYER_FN float at_least(float x, float bound) {
  const int32_t bits = static_cast<int32_t>(to_bits(x));
  const int32_t bound_bits = static_cast<int32_t>(to_bits(bound));
  return from_bits<float>(static_cast<uint32_t>(bits < bound_bits ? bits : bound_bits));
}

ELULAYER_FN double at_least(double x, double bound) { return x > bound ? x : bound; }

// Z.
template <class T>
ELULAYER_FN T elu(T x, T alpha) {
  const Exponential<T> e = exponential(at_least(x, T(expm1_n_min<T>)*Logarithm<T>::ln2));
  const T m = expm1_from(e.p, e.origin_n);
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
//   g q 2^k = ((g (q 2^(k - 2h))) 2^h) 2^h,   h = min(n - n_deep, 0) / 2 rounded to an integer,
//
// where n_deep is the n at which k is -K or one more, K = bias - 4.
//
// For n >= n_deep, h is 0: q 2^k is a normal number and no larger than alpha, so the product with g
// overflows or becomes subnormal only if dL/dX does, and is rounded once. For n < n_deep,
// q 2^(k - 2h) lies near 2^-K, the product with g is below 2^8, and the two last factors only make it
// smaller, down to the point where every finite g gives 0.
template <class T>
ELULAYER_FN Backward<T> elu_backward(T g, T x, SplitAlpha<T> alpha) {
  using Word = WordOf<T>;
  using R = Reduction<T>;
  constexpr int mantissa_bits = Format<T>::mantissa_bits;
  constexpr int bias = Format<T>::exponent_bias;
  constexpr int K = bias - 4;

  // What depends on alpha alone; a compiler moves it out of the loop over a channel.
  const Word exponent = static_cast<Word>(alpha.exponent);
  const T origin_deep = from_bits<T>(to_bits(R::origin - T(K)) - ((exponent & ~Word{1}) << R::fraction_bits));
  // 1.5 * 2^mantissa_bits rounds to an integer: the low bits of the sum are the exponent field of 2^h.
  constexpr T integer_origin = T(3) * T(Word{1} << (mantissa_bits - 1)) + T(bias);
  const T half_rounder = integer_origin - T(0.5) * origin_deep;
  // At the cut h = -bias: the exponent field of 2^h is 0, and so is 2^h, as exp(-inf) is.
  const T cut = ((origin_deep - R::origin) - T(2 * bias)) * Logarithm<T>::ln2;
  // For an infinite alpha, q = alpha, where inf + inf p could be NaN.
  const bool finite = alpha.mantissa < T(2) && alpha.mantissa > T(-2);
  const T slope = finite ? alpha.mantissa : T(0);

  const Exponential<T> e = exponential(x < cut ? cut : x);
  const T q = multiply_add(slope, e.p, alpha.mantissa);

  const T deep = e.origin_n < origin_deep ? e.origin_n : origin_deep;
  const Word h_field = to_bits(multiply_add(deep, T(0.5), half_rounder)) << mantissa_bits;
  // Exponent fields hold the bias once: (n + bias) - 2 (h + bias) + (exponent + 2 bias).
  const Word rest_field = (to_bits(e.origin_n) << R::shift) - (h_field << 1) +
                          ((exponent + Word{2 * bias}) << mantissa_bits);
  const T power_h = from_bits<T>(h_field);
  const T below = g * (q * from_bits<T>(rest_field)) * power_h * power_h;

  constexpr T origin_min = R::origin + T(expm1_n_min<T>);
  const T m = expm1_from(e.p, e.origin_n > origin_min ? e.origin_n : origin_min);
  const T expm1_x = m > x ? m : x;
  return {x > T(0) ? g : below, x > T(0) ? T(0) : expm1_x};
}

}  // namespace
}  // namespace elulayer

#endif  // ELULAYER_MATH_ELEMENT_HPP
