// dL/dX and the terms of dL/dalpha, for one element and without branches.
//
//                       x > 0     otherwise
//   dL/dX               g         g alpha exp(x)
//   term of dL/dalpha   0         g expm1(x)
//
// from x (FromInput), from the memory expm1(min(x, 0)) (FromMemory), or from Z = elu(x) where
// alpha > 0 (FromOutput). exp(x) = 1 + expm1(x) loses digits as x decreases, and all of them below
// x = -17 in float and -37 in double, so only FromInput is accurate there.
//
// Each of the three has the same members:
//
//   short_alpha(alpha)      whether the short form takes this alpha
//   scaled(alpha)           what the short form is given for alpha
//   depth(source)           the short form is for elements whose depth is at least deep
//   short_form(g, source, scaled)   dX, and the term times term_scale; where one of them is not
//                                   finite, neither is to be used
//   Prepared, prepare(alpha)        what the other form is given for alpha
//   any_form(g, source, prepared)   dX, and two factors of the term
//   term_divisor(alpha)             what the sum of the terms is divided by

#ifndef ELULAYER_MATH_BACKWARD_HPP
#define ELULAYER_MATH_BACKWARD_HPP

#include "forward.hpp"
#include "sums.hpp"

namespace elulayer {
namespace {

template <class T>
struct ShortBackward {
  T dx;
  T term;
};

template <class T>
struct AnyBackward {
  T dx;
  T factor_grad;  // 0 where x > 0
  T factor;       // expm1(x), or Z = alpha expm1(x); finite where x > 0
};

// From x, the short form ------------------------------------------------------------------------

// g a (1 + p) for a power of two times alpha, within 2 ULP in float and 1.5 in double.
ELULAYER_FN float times_exp(float g, float a, float p, float) {
#if ELULAYER_FAST_FMA
  const float product = g * a;
  const float dx = multiply_add(product, p, product);
  // Where the product is -0, the sum may be +0.
  return from_bits<float>(to_bits(dx) | (to_bits(product) & to_bits(-0.0f)));
#else
  const double slope = static_cast<double>(a) * (1.0 + static_cast<double>(p));
  return static_cast<float>(static_cast<double>(g) * slope);
#endif
}

ELULAYER_FN double times_exp(double g, double a, double p, double excess) {
  const double q = multiply_add(a, p, a);
  const double residual = multiply_add(-a, excess, multiply_add(a, p, a - q));
  return with_sign(multiply_sum(g, q, residual), to_bits(g) ^ to_bits(a));
}

// Whether alpha exp(x) is a normal number for every x of the short form.
template <class T>
ELULAYER_FN bool is_ordinary_alpha(T alpha) {
  const T magnitude = alpha < T(0) ? -alpha : alpha;
  return magnitude >= T(0x1p-20) && magnitude <= T(0x1p20);
}

// Whether the short form takes this alpha.
template <class T>
ELULAYER_FN bool is_short_alpha(T alpha) {
  return is_ordinary_alpha(alpha) || to_bits(alpha) == 0;
}

// From x, the form for every input --------------------------------------------------------------

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

// What the form for every input needs of a channel's alpha = mantissa * 2^exponent.
template <class T>
struct Alpha {
  T mantissa;
  T slope;                   // the mantissa, or 0 for an infinity or NaN
  T cut;                     // the least x at which n is computed
  T origin_n_deep;           // origin<T, 0> + n_deep
  T half_rounder;            // rounds origin_n / 2 to the integer h
  WordOf<T> exponent_field;  // (exponent + 2 bias), shifted to the exponent's place
  WordOf<T> reserve;         // last places by which q is made smaller
  T scaled;                  // what the short form is given
  T deep;                    // the least x of the short form: infinite where it does not take alpha
};

// dL/dX = g alpha exp(x) = g q 2^k for x <= 0, with
//
//   q = mantissa (1 + p),   0.61 <= |q| <= 5/2,   k = n + exponent.
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
      from_bits<T>(to_bits(origin<T, 0> - T(K)) - (even_exponent << R::fraction_bits));
  result.half_rounder = integer_origin - T(0.5) * result.origin_n_deep;
  // At the cut h = -bias: the exponent field of 2^h is 0 and so is 2^h, as exp(-inf) is. Every
  // product with a finite g has become 0 before, and so has exp(x) itself as a rounded number.
  result.cut = ((result.origin_n_deep - origin<T, 0>)-T(2 * bias)) * Logarithm<T>::ln2;
  result.exponent_field = (exponent + Word{2 * bias}) << mantissa_bits;
  // q is made a few last places smaller than it is. The residual then has the sign of q and is not
  // 0, so an infinite g multiplies both to the same infinity.
  result.reserve = split.mantissa == T(0) ? 0 : 4;
  result.scaled = alpha / term_scale<T>;
  result.deep = is_short_alpha(alpha) ? deep<T> : T(__builtin_inf());
  return result;
}

// dL/dX for every g, x <= 0 and alpha, and expm1(x).
template <class T>
struct DxAndExpm1 {
  T dx;
  T expm1;
};

template <class T>
ELULAYER_FN DxAndExpm1<T> dx_and_expm1(T g, T x, const Alpha<T>& alpha) {
  using Word = WordOf<T>;
  using R = Reduction<T>;
  constexpr int mantissa_bits = Format<T>::mantissa_bits;

  const Exponential<T> e =
      exponential<0, Ln2::two_parts>(x < alpha.cut ? alpha.cut : x);  // NaN stays NaN
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

  constexpr T origin_n_min = origin<T, 0> + T(expm1_n_min<T>);
  const T power = power_of_two(e.origin_n > origin_n_min ? e.origin_n : origin_n_min);
  const T m = multiply_add(power, e.p, power - T(1));
  return {dx, m > x ? m : x};  // expm1(x) >= x; NaN for NaN
}

// The three ways ----------------------------------------------------------------------------------

struct FromInput {
  template <class T>
  ELULAYER_FN bool short_alpha(T alpha) {
    return is_short_alpha(alpha);
  }

  template <class T>
  ELULAYER_FN T scaled(T alpha) {
    return alpha / term_scale<T>;
  }

  template <class T>
  ELULAYER_FN T depth(T x) {
    return x;
  }

  template <class T>
  ELULAYER_FN ShortBackward<T> short_form(T g, T x, T scaled_alpha) {
    constexpr int k = term_exponent<T>;
    const Exponential<T> e = exponential<k, Ln2::two_parts>(x);
    const T power = power_of_two(e.origin_n);                     // 2^(n + k)
    const T m = multiply_add(power, e.p, power - term_scale<T>);  // 2^k expm1(x)
    const T dx = computed(times_exp(g, scaled_alpha * power, e.p, e.excess));
    const T term = computed(g * m);
    return {x > T(0) ? g : dx, x > T(0) ? T(0) : term};
  }

  template <class T>
  ELULAYER_FN T term_divisor(T) {
    return T(1);
  }

  template <class T>
  using Prepared = Alpha<T>;

  template <class T>
  ELULAYER_FN Alpha<T> prepare(T alpha) {
    return prepare_alpha(alpha);
  }

  // An element that the short form is for gets its dX: what surrounds it must not matter.
  template <class T>
  ELULAYER_FN AnyBackward<T> any_form(T g, T x, const Alpha<T>& alpha) {
    const DxAndExpm1<T> any = dx_and_expm1(g, x, alpha);
    const ShortBackward<T> as_short = short_form(g, x, alpha.scaled);
    const bool is_short = x >= alpha.deep && is_finite(as_short.dx) && is_finite(as_short.term);
    const T dx = is_short ? as_short.dx : any.dx;
    return {x > T(0) ? g : with_one_nan(dx), x > T(0) ? T(0) : g, x > T(0) ? T(0) : any.expm1};
  }
};

// What the two that start from expm1(x) share: nothing is prepared, no depth is too deep.
struct FromExpm1 {
  template <class T>
  ELULAYER_FN T scaled(T alpha) {
    return alpha;
  }

  template <class T>
  ELULAYER_FN T depth(T) {
    return T(0);
  }

  template <class T>
  ELULAYER_FN T term_divisor(T) {
    return T(1);
  }

  template <class T>
  using Prepared = T;

  template <class T>
  ELULAYER_FN T prepare(T alpha) {
    return alpha;
  }
};

struct FromMemory : FromExpm1 {
  template <class T>
  ELULAYER_FN bool short_alpha(T) {
    return true;
  }

  // Whether x > 0: only then the sign bit is clear.
  template <class T>
  ELULAYER_FN bool is_above(T memory) {
    return with_sign(T(1), to_bits(memory)) > T(0);
  }

  template <class T>
  ELULAYER_FN ShortBackward<T> short_form(T g, T memory, T alpha) {
    const bool above = is_above(memory);
    const T dx = g * multiply_add(alpha, memory, alpha);
    return {above ? g : dx, above ? T(0) : (g * term_scale<T>)*memory};
  }

  template <class T>
  ELULAYER_FN AnyBackward<T> any_form(T g, T memory, T alpha) {
    const bool above = is_above(memory);
    return {above ? g : with_one_nan(short_form(g, memory, alpha).dx), above ? T(0) : g, memory};
  }
};

// The terms are g z = alpha g expm1(x); their sum is divided by term_divisor(alpha).
struct FromOutput : FromExpm1 {
  template <class T>
  ELULAYER_FN bool short_alpha(T alpha) {
    return is_short_alpha(alpha);
  }

  // 1 for an alpha whose products could leave the range: any_form divides each z by it. NaN for one
  // with which Z does not tell the sign of x.
  template <class T>
  ELULAYER_FN T term_divisor(T alpha) {
    const T divisor = is_ordinary_alpha(alpha) ? alpha : T(1);
    return alpha > T(0) ? divisor : T(__builtin_nanf(""));
  }

  // Z rounded to 16 bits may lie below -alpha, where no x leads.
  template <class T>
  ELULAYER_FN T clamped(T z, T alpha) {
    return z < -alpha ? -alpha : z;
  }

  template <class T>
  ELULAYER_FN ShortBackward<T> short_form(T g, T z, T alpha) {
    const T above_least = clamped(z, alpha);
    const T dx = g * (alpha + above_least);
    return {z > T(0) ? g : dx, z > T(0) ? T(0) : (g * term_scale<T>)*above_least};
  }

  template <class T>
  ELULAYER_FN AnyBackward<T> any_form(T g, T z, T alpha) {
    const T factor = clamped(z, alpha) / (is_ordinary_alpha(alpha) ? T(1) : alpha);
    return {z > T(0) ? g : with_one_nan(short_form(g, z, alpha).dx), z > T(0) ? T(0) : g,
            z > T(0) ? T(0) : factor};
  }
};

// The second derivative ---------------------------------------------------------------------------

// Of dX = g f(x) and the terms g h(x), with f = 1 or alpha exp(x) and h = 0 or expm1(x), against
// v = dL/d(dX) and the channel's w = dL/d(dalpha):
//
//                       x > 0     otherwise
//   dL/dg               v         v alpha exp(x) + w expm1(x)
//   dL/dx               0         g exp(x) (v alpha + w)
//   term of dL/dalpha   0         v g exp(x)
//
// In plain double arithmetic: where a factor or a product on the way is subnormal or overflows, as
// exp(x) below x = -708 and v alpha may, digits are lost that the result could have.
struct SecondBackward {
  double dgrad;
  double dx;
  double factor_grad;
  double factor;
};

ELULAYER_FN SecondBackward elu_second_backward(double v, double w, double g, double x, double alpha,
                                               const Alpha<double>& one) {
  const DxAndExpm1<double> e = dx_and_expm1(1.0, x, one);  // exp(x), expm1(x)
  const double exp_x = e.dx;
  const double dgrad = v * (alpha * exp_x) + w * e.expm1;
  const double dx = g * exp_x * (v * alpha + w);
  const bool above = x > 0.0;
  return {above ? v : with_one_nan(dgrad), above ? 0.0 : with_one_nan(dx), above ? 0.0 : v * exp_x,
          above ? 0.0 : g};
}

}  // namespace
}  // namespace elulayer

#endif  // ELULAYER_MATH_BACKWARD_HPP
