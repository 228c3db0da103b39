// Sums of dL/dalpha's terms in a fixed number of lanes, so that every vector width adds in the same
// order. Internal linkage only: compiled once for each instruction set.
#pragma once

#include "math/sums.hpp"

namespace elulayer::cpu {
namespace {

// Before a loop around loops over a few lanes. clang unrolls those, and would then vectorize the
// loop around them, across the lanes.
#if defined(__clang__)
#define ELULAYER_LANES_INSIDE _Pragma("clang loop vectorize(disable)")
#else
#define ELULAYER_LANES_INSIDE
#endif

// The short form's terms are added by fours in the type of the arithmetic: an error of one unit in
// the last place in all.
constexpr int terms_per_lane = 4;

// terms[l] = (terms[l] + terms[l + width]) + (terms[l + 2 width] + terms[l + 3 width])
//
// False where one of these sums is not finite.
template <class T>
inline bool add_fours(T* terms, int width) {
  T not_finite = 0;  // a finite number times 0 is 0, an infinity or NaN times 0 is NaN
#pragma omp simd reduction(+ : not_finite)
  for (int l = 0; l < width; ++l) {
    const T sum = (terms[l] + terms[l + width]) + (terms[l + 2 * width] + terms[l + 3 * width]);
    not_finite += sum * T(0);
    terms[l] = sum;
  }
  return not_finite == T(0);
}

// Sums side by side, as many as `width` says.
template <class T, size_t capacity>
class Lanes;

template <size_t capacity>
class Lanes<float, capacity> {
 public:
  Sum<float> operator[](int l) const { return {scaled_[l]}; }

  // lane l += terms[l] / term_scale
  void add_terms(const float* terms, int width) {
#pragma omp simd
    for (int l = 0; l < width; ++l) {
      scaled_[l] += sum_term(terms[l]);
    }
  }

  // lane l += a[l] b[l]
  void add_products(const float* a, const float* b, int width) {
#pragma omp simd
    for (int l = 0; l < width; ++l) {
      scaled_[l] += sum_product(a[l], b[l]);
    }
  }

 private:
  alignas(64) double scaled_[capacity] = {};
};

template <size_t capacity>
class Lanes<double, capacity> {
 public:
  Sum<double> operator[](int l) const {
    return {{low_[l], low_compensation_[l]}, {high_[l], high_compensation_[l]}};
  }

  // lane l += terms[l] / term_scale
  void add_terms(const double* terms, int width) {
#pragma omp simd
    for (int l = 0; l < width; ++l) {
      const Compensated sum = add({low_[l], low_compensation_[l]}, sum_term(terms[l]));
      low_[l] = sum.sum;
      low_compensation_[l] = sum.compensation;
    }
  }

  // lane l += a[l] b[l]
  void add_products(const double* a, const double* b, int width) {
#pragma omp simd
    for (int l = 0; l < width; ++l) {
      const LowAndHigh product = sum_product(a[l], b[l]);
      const Compensated low = add({low_[l], low_compensation_[l]}, product.low);
      const Compensated high = add({high_[l], high_compensation_[l]}, product.high);
      low_[l] = low.sum;
      low_compensation_[l] = low.compensation;
      high_[l] = high.sum;
      high_compensation_[l] = high.compensation;
    }
  }

 private:
  alignas(64) double low_[capacity] = {};
  alignas(64) double low_compensation_[capacity] = {};
  alignas(64) double high_[capacity] = {};
  alignas(64) double high_compensation_[capacity] = {};
};

// Zeros in values[n] and beyond, up to a multiple of `group`: which multiple, is the result.
template <class T>
int pad(T* values, int n, int group) {
  const int padded = (n + group - 1) / group * group;
  for (int i = n; i < padded; ++i) {
    values[i] = T(0);
  }
  return padded;
}

// Adds n terms of the short form, of which term i goes to lane i % width, by fours of a lane. Adds
// none where a sum of four is not finite, and is false then. Changes the terms.
template <class T, size_t capacity>
ELULAYER_FN bool add_by_fours(Lanes<T, capacity>& lanes, T* terms, int n, int width) {
  const int group = terms_per_lane * width;
  const int padded = pad(terms, n, group);
  bool are_finite = true;
  ELULAYER_LANES_INSIDE
  for (int i = 0; i < padded; i += group) {
    are_finite = add_fours(terms + i, width) && are_finite;
  }
  if (are_finite) {
    ELULAYER_LANES_INSIDE
    for (int i = 0; i < padded; i += group) {
      lanes.add_terms(terms + i, width);
    }
  }
  return are_finite;
}

// Adds n terms a[i] b[i], of which term i goes to lane i % width.
template <class T, size_t capacity>
ELULAYER_FN void add_products(Lanes<T, capacity>& lanes, T* a, T* b, int n, int width) {
  pad(a, n, width);
  const int padded = pad(b, n, width);
  ELULAYER_LANES_INSIDE
  for (int i = 0; i < padded; i += width) {
    lanes.add_products(a + i, b + i, width);
  }
}

}  // namespace
}  // namespace elulayer::cpu
