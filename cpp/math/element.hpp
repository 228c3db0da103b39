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

// Below this n, expm1(x) rounds to -1.
template <class T>
constexpr int expm1_n_min = -(Format<T>::mantissa_bits + 3);

// expm1(x) for x <= 0, within 0.75 ULP in float (0.9 without fused operations).
ELULAYER_FN float expm1_nonpositive(float x) {
  constexpr float cut = static_cast<float>(expm1_n_min<float>) * Logarithm<float>::ln2;
  // The bit patterns of negative numbers, read as signed integers, are in the reverse order of the
  // numbers: this is the larger of x and the cut for x < 0, and the cut for x > 0. It is one
  // instruction, where a comparison of numbers takes two.
  const int32_t x_bits = static_cast<int32_t>(to_bits(x));
  const int32_t cut_bits = static_cast<int32_t>(to_bits(cut));
  const int32_t clamped_bits = x_bits < cut_bits ? x_bits : cut_bits;
  const Exponential<float> e = exponential(from_bits<float>(static_cast<uint32_t>(clamped_bits)));
  const float m = expm1_from(e.p, e.origin_n);
  // expm1(x) >= x, so this comparison changes no result for x < 0. For x = -0 it keeps the sign
  // that the additions lost, and for NaN, on which every comparison fails, it gives x.
  return m > x ? m : x;
}

// alpha expm1(x) for x <= 0. In float the product adds its rounding to that of expm1(x).
ELULAYER_FN float scaled_expm1(float x, float alpha) { return alpha * expm1_nonpositive(x); }

// alpha expm1(x) for x <= 0. In double expm1(x) is the sum of m and a residual, which holds the
// rounding errors of p and of m, so the product is within 1 ULP for every alpha (1.5 without fused
// operations).
ELULAYER_FN double scaled_expm1(double x, double alpha) {
  constexpr double cut = static_cast<double>(expm1_n_min<double>) * Logarithm<double>::ln2;
  const Exponential<double> e = exponential(x < cut ? cut : x);  // NaN stays NaN
  const double p = e.p > e.t ? e.p : e.t;  // p >= t; for t = -0 it keeps the sign that the sum lost
  const double power = power_of_two(e.origin_n);
  const double rest = 1.0 - power;
  const double m = multiply_add(power, p, -rest);
  const double residual = multiply_add(-power, e.excess, multiply_add(power, p, -(m + rest)));
  const double factor = is_finite(alpha) ? alpha : 0.0;  // inf - inf is NaN
  // The sum of a zero product and its correction would have either sign.
  return with_sign(multiply_add(alpha, m, factor * residual), to_bits(alpha) ^ to_bits(x));
}

// Z.
template <class T>
ELULAYER_FN T elu(T x, T alpha) {
  return x > T(0) ? x : scaled_expm1(x, alpha);
}

// What the gradient with respect to x needs of a channel's alpha = mantissa * 2^exponent.
template <class T>
struct Alpha {
  T mantissa;
  T slope;                   // the mantissa, or 0 for an infinity or NaN
  T cut;                     // the least x at which n is computed
  T origin_n_deep;           // Reduction<T>::origin + n_deep
  T half_rounder;            // rounds origin_n / 2 to the integer h
  WordOf<T> exponent_field;  // (exponent + 2 bias), shifted to the exponent's place
  WordOf<T> reserve;         // last places by which q is made smaller
};

template <class T>
struct Backward {
  T dx;     // dL/dX
  T expm1;  // expm1(min(x, 0))
};

// dL/dX = g alpha exp(x) = g q 2^k for x <= 0, with
//
//   q = mantissa (1 + p),   5/8 <= |q| <= 5/2,   k = n + exponent.
//
// Range. Nothing may leave the range of normal numbers before the product does, so 2^k is taken in
// three factors,
//
//   g q 2^k = ((g (q 2^(k - 2h))) 2^h) 2^h,   h = min(n - n_deep, 0) / 2 rounded to an integer,
//
// where n_deep is the n at which k = -K, or -K + 1 if exponent is odd, and K is odd. For n >=
// n_deep, h = 0: q 2^k is a normal number no larger than alpha, so its product with g, which is
// rounded once, overflows or becomes subnormal only if dL/dX does. For n < n_deep, q 2^(k - 2h) is
// near 2^-K, its product with g is below 2^64, and the last two factors only make it smaller. K
// leaves room below 2^-K for the residual of q.
//
// Accuracy. q is kept as the sum of a rounded number and a residual, so that only the product with
// g rounds at full size.

// Called once for each channel.
template <class T>
ELULAYER_FN Alpha<T> prepare_alpha(T alpha) {
  using Word = WordOf<T>;
  using R = Reduction<T>;
  constexpr int mantissa_bits = Format<T>::mantissa_bits;
  constexpr int bias = Format<T>::exponent_bias;
  constexpr int K = (bias - mantissa_bits - 6) | 1;
  // 1.5 * 2^mantissa_bits rounds a sum to an integer: its low bits become the exponent field
  // of 2^h.
  constexpr T integer_origin = T(3) * T(Word{1} << (mantissa_bits - 1)) + T(bias);

  const SplitAlpha<T> split = split_alpha(alpha);
  const Word exponent = static_cast<Word>(split.exponent);
  const Word even_exponent = exponent & ~Word{1};
  Alpha<T> result;
  result.mantissa = split.mantissa;
  result.slope = is_finite(split.mantissa) ? split.mantissa : T(0);  // inf - inf is NaN
  result.origin_n_deep =
      from_bits<T>(to_bits(R::origin - T(K)) - (even_exponent << R::fraction_bits));
  result.half_rounder = integer_origin - T(0.5) * result.origin_n_deep;
  // At the cut h = -bias: the exponent field of 2^h is 0 and so is 2^h, as exp(-inf) is. Every
  // product with a finite g has become 0 before, and so has exp(x) itself as a rounded number.
  result.cut = ((result.origin_n_deep - R::origin) - T(2 * bias)) * Logarithm<T>::ln2;
  result.exponent_field = (exponent + Word{2 * bias}) << mantissa_bits;
  // q is made a few last places smaller than it is. The residual then has the sign of q and is not
  // 0, so an infinite g multiplies both to the same infinity.
  result.reserve = split.mantissa == T(0) ? 0 : 4;
  return result;
}

template <class T>
ELULAYER_FN Backward<T> elu_backward(T g, T x, const Alpha<T>& alpha) {
  using Word = WordOf<T>;
  using R = Reduction<T>;
  constexpr int mantissa_bits = Format<T>::mantissa_bits;

  const Exponential<T> e = exponential(x < alpha.cut ? alpha.cut : x);  // NaN stays NaN
  const T q_rounded = multiply_add(alpha.slope, e.p, alpha.mantissa);
  const T q = from_bits<T>(to_bits(q_rounded) - alpha.reserve);
  T q_residual = multiply_add(alpha.slope, e.p, alpha.mantissa - q);
  if constexpr (mantissa_bits > Format<float>::mantissa_bits) {
    q_residual = multiply_add(-alpha.slope, e.excess, q_residual);  // in double, for 1 ULP
  }

  const T origin_n_clipped = e.origin_n < alpha.origin_n_deep ? e.origin_n : alpha.origin_n_deep;
  const T integer_h = multiply_add(origin_n_clipped, T(0.5), alpha.half_rounder);
  const Word h_field = to_bits(integer_h) << mantissa_bits;
  // Each field holds its exponent + bias: (n + bias) - 2 (h + bias) + (exponent + 2 bias).
  const Word rest_field = (to_bits(e.origin_n) << R::shift) - (h_field << 1) + alpha.exponent_field;
  const T power_h = from_bits<T>(h_field);
  const T power_rest = from_bits<T>(rest_field);
  const T product = multiply_sum(g, q * power_rest, q_residual * power_rest) * power_h * power_h;
  // The sum of a zero product and its correction would have either sign.
  const T dx = with_sign(product, to_bits(g) ^ to_bits(alpha.mantissa));

  constexpr T origin_n_min = R::origin + T(expm1_n_min<T>);
  const T m = expm1_from(e.p, e.origin_n > origin_n_min ? e.origin_n : origin_n_min);
  const T expm1_x = m > x ? m : x;  // as in expm1_nonpositive
  return {x > T(0) ? g : dx, x > T(0) ? T(0) : expm1_x};
}

}  // namespace
}  // namespace elulayer

#endif  // ELULAYER_MATH_ELEMENT_HPP
