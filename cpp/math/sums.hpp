// The sums of dL/dalpha's terms, in double. For float products, which are exact in double, it has
// room; sums of double products are compensated, and no sum overflows before dL/dalpha does.
//
// A term comes scaled, from the short form, or as two factors, from the form for every input.

#ifndef ELULAYER_MATH_SUMS_HPP
#define ELULAYER_MATH_SUMS_HPP

#include "bits.hpp"

namespace elulayer {

// A rounded sum, and what rounding has taken from it.
struct Compensated {
  double sum;
  double compensation;
};

// A sum of terms, or a part of it; {} is 0. These types go from one translation unit to another.
template <class T>
struct Sum;

template <>
struct Sum<float> {
  double scaled;  // 2^64 times the sum
};

// No sum of up to 2^63 terms overflows: a product of factors below 2^448 is below 2^960 at its
// scale, one with a factor from there on is at most 2^960 at its own, and the short form's terms
// are below 2^512.
template <>
struct Sum<double> {
  Compensated low;   // 2^64 times the sum of all other terms
  Compensated high;  // 2^-64 times the sum of the products with a factor of 2^448 or more
};

namespace {

// The short form's terms come multiplied by 2^term_exponent: so products of small numbers do not
// become subnormal.
template <class T>
constexpr int term_exponent = sizeof(T) == sizeof(float) ? 64 : 512;

// 2^term_exponent.
template <class T>
constexpr T term_scale = sizeof(T) == sizeof(float) ? T(0x1p64f) : T(0x1p512);

// a + b as a rounded sum and its error, exactly (Knuth, The Art of Computer Programming 2, 4.2.2):
//
//   sum = a + b rounded,   t = sum - a,   error = (a - (sum - t)) + (b - t)
ELULAYER_FN Compensated add(Compensated a, double b) {
  const double sum = a.sum + b;
  const double t = sum - a.sum;
  return {sum, a.compensation + ((a.sum - (sum - t)) + (b - t))};
}

ELULAYER_FN Compensated add(Compensated a, Compensated b) {
  const Compensated sum = add({a.sum, b.compensation}, b.sum);
  return {sum.sum, a.compensation + sum.compensation};
}

ELULAYER_FN Sum<float> add(Sum<float> a, Sum<float> b) { return {a.scaled + b.scaled}; }

ELULAYER_FN Sum<double> add(Sum<double> a, Sum<double> b) {
  return {add(a.low, b.low), add(a.high, b.high)};
}

// A term of the short form at the sum's scale; in double, the low sum's.
ELULAYER_FN double sum_term(float term) { return static_cast<double>(term); }
ELULAYER_FN double sum_term(double term) { return term * 0x1p-448; }

// a b at the sum's scale.
ELULAYER_FN double sum_product(float a, float b) {
  return static_cast<double>(a) * static_cast<double>(b) * 0x1p64;
}

struct LowAndHigh {
  double low;
  double high;
};

// a b at the scale of the sum that it belongs to, and 0 for the other. The larger factor is scaled:
// so it does not overflow, and the smaller one does not vanish beside an infinite one.
ELULAYER_FN LowAndHigh sum_product(double a, double b) {
  const bool a_is_larger = magnitude(a) > magnitude(b);
  const double larger = a_is_larger ? a : b;
  const double smaller = a_is_larger ? b : a;
  const bool is_high = magnitude(larger) >= 0x1p448;
  const double product = larger * (is_high ? 0x1p-64 : 0x1p64) * smaller;
  return {is_high ? 0.0 : product, is_high ? product : 0.0};
}

// sum + term / term_scale
ELULAYER_FN Sum<float> add_term(Sum<float> sum, float term) {
  return {sum.scaled + sum_term(term)};
}

ELULAYER_FN Sum<double> add_term(Sum<double> sum, double term) {
  return {add(sum.low, sum_term(term)), sum.high};
}

// sum + a b
ELULAYER_FN Sum<float> add_product(Sum<float> sum, float a, float b) {
  return {sum.scaled + sum_product(a, b)};
}

ELULAYER_FN Sum<double> add_product(Sum<double> sum, double a, double b) {
  const LowAndHigh product = sum_product(a, b);
  if (product.high != 0) {
    sum.high = add(sum.high, product.high);
  } else {
    sum.low = add(sum.low, product.low);
  }
  return sum;
}

// sum / divisor for a divisor of ordinary size, in the type of the terms.
ELULAYER_FN float quotient(Sum<float> sum, float divisor) {
  return with_one_nan(static_cast<float>(sum.scaled / (static_cast<double>(divisor) * 0x1p64)));
}

ELULAYER_FN double quotient(Sum<double> sum, double divisor) {
  // A small sum keeps its digits at the scale of the low one.
  const bool is_low = sum.high.sum == 0 && sum.high.compensation == 0;
  const double low_scale = is_low ? 1.0 : 0x1p-128;
  const Compensated low = {sum.low.sum * low_scale, sum.low.compensation * low_scale};
  const Compensated total = add(sum.high, low);
  // An infinite sum has a NaN for compensation.
  const double value = is_finite(total.sum) ? total.sum + total.compensation : total.sum;
  return with_one_nan(value / (divisor * (is_low ? 0x1p64 : 0x1p-64)));
}

}  // namespace
}  // namespace elulayer

#endif  // ELULAYER_MATH_SUMS_HPP
