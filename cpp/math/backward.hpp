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
//   goes_deep               whether the short form is not for sources below deep
//   short_form(g, source, scaled)   dX, and the term times term_scale; where one of them is not
//                                   finite, neither is to be used
//   any_form(g, source, alpha, short_dx)   dX, and two factors of the term; short_dx is the short
//                                   form's dX, not finite where that does not take alpha
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

// The least x of the short form: n >= -101 in float, -866 in double.
template <class T>
constexpr T deep = sizeof(T) == sizeof(float) ? T(-70) : T(-600);

// For x below it g alpha exp(x) rounds to 0 for every finite g and alpha, and expm1(x) to -1.
template <class T>
constexpr T vanishing = sizeof(T) == sizeof(float) ? T(-300) : T(-2200);

// dX and the term times term_scale for such an x.
template <class T>
ELULAYER_FN ShortBackward<T> vanished(T g, T alpha) {
  return {with_one_nan(g * T(0) * alpha), -g * term_scale<T>};
}

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
  return magnitude(alpha) >= T(0x1p-20) && magnitude(alpha) <= T(0x1p20);
}

// Whether the short form takes this alpha.
template <class T>
ELULAYER_FN bool is_short_alpha(T alpha) {
  return is_ordinary_alpha(alpha) || to_bits(alpha) == 0;
}

// From x, the form for every input --------------------------------------------------------------

// dL/dX = g alpha exp(x) for every g, x <= 0 and alpha, and expm1(x).
template <class T>
struct DxAndExpm1 {
  T dx;
  T expm1;
};

// In double nothing overflows, and nothing is subnormal before the result is rounded to float.
ELULAYER_FN DxAndExpm1<float> dx_and_expm1(float g, float x, float alpha) {
  // exp(x) is 0 below it: NaN beside an infinite g or alpha.
  constexpr double cut = vanishing<float>;
  const double wide_x = static_cast<double>(x);
  const Exponential<double> e =
      exponential<0, Ln2::one_part, double, float>(wide_x < cut ? cut : wide_x);
  const double power = wide_x < cut ? 0.0 : power_of_two(e.origin_n);
  const double exp_x = multiply_add(power, e.p, power);
  const double dx = static_cast<double>(g) * static_cast<double>(alpha) * exp_x;
  const double expm1 = multiply_add(power, e.p, power - 1.0);
  return {static_cast<float>(dx), static_cast<float>(expm1)};
}

// number = value 2^exponent exactly, with a value between 2^-392 and 2^342. 0, infinities and NaN
// stay what they are.
struct Scaled {
  double value;
  double exponent;
};

ELULAYER_FN Scaled scaled(double number) {
  const double above = magnitude(number) > 0x1p341 ? 682.0 : 0.0;
  const double exponent = magnitude(number) < 0x1p-341 ? -682.0 : above;
  return {number * power_of_two(origin<double, 0> - exponent), exponent};
}

// g alpha exp(x) = product 2^k. Half of k brings the product half the way to the result, so that
// only the other half can round, overflow or make it 0.
ELULAYER_FN DxAndExpm1<double> dx_and_expm1(double g, double x, double alpha) {
  constexpr double cut = vanishing<double>;  // as in float
  constexpr double least_k = -2000.0;
  constexpr double rounder = 0x1.8p52;  // rounds what it is added to to an integer

  const Exponential<double> e = exponential<0, Ln2::two_parts>(x < cut ? cut : x);
  const Scaled g_ = scaled(g);
  const Scaled a = scaled(alpha);
  // q + q_low = a (1 + p): only the product with g rounds at full size.
  const double q = multiply_add(a.value, e.p, a.value);
  const double q_low = multiply_add(-a.value, e.excess, multiply_add(a.value, e.p, a.value - q));
  const double sum = multiply_sum(g_.value, q, q_low);
  const double any_sum = is_finite(sum) ? sum : g_.value * a.value * (1.0 + e.p);
  // The sum of a zero product and its correction would have either sign.
  const double product = with_sign(any_sum, to_bits(g) ^ to_bits(alpha));

  const double exact_k = g_.exponent + a.exponent + (e.origin_n - origin<double, 0>);
  const double k = exact_k < least_k ? least_k : exact_k;
  const double half = multiply_add(k, 0.5, rounder) - rounder;
  const double power = x < cut ? 0.0 : power_of_two(origin<double, 0> + (k - half));
  const double dx = product * power_of_two(origin<double, 0> + half) * power;

  constexpr double origin_n_min = origin<double, 0> + expm1_n_min<double>;
  const double power_n = power_of_two(e.origin_n > origin_n_min ? e.origin_n : origin_n_min);
  const double expm1 = multiply_add(power_n, e.p, power_n - 1.0);
  return {dx, expm1 > x ? expm1 : x};  // expm1(x) >= x; NaN for NaN
}

// The three ways ----------------------------------------------------------------------------------

struct FromInput {
  static constexpr bool goes_deep = true;

  template <class T>
  ELULAYER_FN bool short_alpha(T alpha) {
    return is_short_alpha(alpha);
  }

  template <class T>
  ELULAYER_FN T scaled(T alpha) {
    return alpha / term_scale<T>;
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

  // An element that the short form is for keeps its dX: what surrounds it must not matter.
  template <class T>
  ELULAYER_FN AnyBackward<T> any_form(T g, T x, T alpha, T short_dx) {
    const DxAndExpm1<T> any = dx_and_expm1(g, x, alpha);
    const bool is_short = x >= deep<T> && is_finite(short_dx);
    const T dx = is_short ? short_dx : any.dx;
    return {x > T(0) ? g : with_one_nan(dx), x > T(0) ? T(0) : g, x > T(0) ? T(0) : any.expm1};
  }
};

// What the two that start from expm1(x) share.
struct FromExpm1 {
  static constexpr bool goes_deep = false;

  template <class T>
  ELULAYER_FN T scaled(T alpha) {
    return alpha;
  }

  template <class T>
  ELULAYER_FN T term_divisor(T) {
    return T(1);
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
  ELULAYER_FN AnyBackward<T> any_form(T g, T memory, T, T short_dx) {
    const bool above = is_above(memory);
    return {above ? g : with_one_nan(short_dx), above ? T(0) : g, memory};
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
  ELULAYER_FN AnyBackward<T> any_form(T g, T z, T alpha, T) {
    const T factor = clamped(z, alpha) / (is_ordinary_alpha(alpha) ? T(1) : alpha);
    const T dx = short_form(g, z, alpha).dx;
    return {z > T(0) ? g : with_one_nan(dx), z > T(0) ? T(0) : g, z > T(0) ? T(0) : factor};
  }
};

// What the short form is given for alpha: NaN, which makes dX NaN, where it does not take alpha.
template <class Mode, class T>
ELULAYER_FN T scaled_or_nan(T alpha) {
  return Mode::short_alpha(alpha) ? Mode::scaled(alpha) : T(__builtin_nanf(""));
}

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

ELULAYER_FN SecondBackward elu_second_backward(double v, double w, double g, double x,
                                               double alpha) {
  const DxAndExpm1<double> e = dx_and_expm1(1.0, x, 1.0);  // exp(x), expm1(x)
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
