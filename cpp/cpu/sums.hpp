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

// first[l] += second[l]
template <class T>
inline void add_twos(T* first, const T* second, int width) {
#pragma omp simd
  for (int l = 0; l < width; ++l) {
    first[l] += second[l];
  }
}

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

// The same where the first two are one: first[l] = first[l] + (third[l] + fourth[l])
template <class T>
inline bool add_last_twos(T* first, const T* third, const T* fourth, int width) {
  T not_finite = 0;
#pragma omp simd reduction(+ : not_finite)
  for (int l = 0; l < width; ++l) {
    const T sum = first[l] + (third[l] + fourth[l]);
    not_finite += sum * T(0);
    first[l] = sum;
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

  // lane first + l += a[l] b[l]
  void add_products(int first, const float* a, const float* b, int width) {
    double* const scaled = scaled_ + first;
#pragma omp simd
    for (int l = 0; l < width; ++l) {
      scaled[l] += sum_product(a[l], b[l]);
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

  // lane first + l += a[l] b[l]
  void add_products(int first, const double* a, const double* b, int width) {
    double* const low = low_ + first;
    double* const low_compensation = low_compensation_ + first;
    double* const high = high_ + first;
    double* const high_compensation = high_compensation_ + first;
#pragma omp simd
    for (int l = 0; l < width; ++l) {
      const LowAndHigh product = sum_product(a[l], b[l]);
      const Compensated low_sum = add({low[l], low_compensation[l]}, product.low);
      const Compensated high_sum = add({high[l], high_compensation[l]}, product.high);
      low[l] = low_sum.sum;
      low_compensation[l] = low_sum.compensation;
      high[l] = high_sum.sum;
      high_compensation[l] = high_sum.compensation;
    }
  }

 private:
  alignas(64) double low_[capacity] = {};
  alignas(64) double low_compensation_[capacity] = {};
  alignas(64) double high_[capacity] = {};
  alignas(64) double high_compensation_[capacity] = {};
};

// Zeros in values[n] and beyond, before values[end].
template <class T>
void clear(T* values, int n, int end) {
  for (int i = n; i < end; ++i) {
    values[i] = T(0);
  }
}

// The same up to a multiple of `group`: which multiple, is the result.
template <class T>
int pad(T* values, int n, int group) {
  const int padded = (n + group - 1) / group * group;
  clear(values, n, padded);
  return padded;
}

// The terms of a block of runs. add_to() adds them by fours of a lane; it adds none where a sum of
// four is not finite, and is false then. It changes the terms.
template <class T, size_t runs, size_t most>
class Terms;

// One run, of which term i goes to lane i % width.
template <class T, size_t most>
class Terms<T, 1, most> {
 public:
  T* of_run(int) { return values_; }
  T* spare() { return values_ + most; }  // room for another run's
  void complete(int, int n) { size_ = n; }

  template <size_t capacity>
  bool add_to(Lanes<T, capacity>& lanes, int, int width) {
    const int group = terms_per_lane * width;
    const int padded = pad(values_, size_, group);
    bool are_finite = true;
    ELULAYER_LANES_INSIDE
    for (int i = 0; i < padded; i += group) {
      are_finite = add_fours(values_ + i, width) && are_finite;
    }
    if (are_finite) {
      ELULAYER_LANES_INSIDE
      for (int i = 0; i < padded; i += group) {
        lanes.add_terms(values_ + i, width);
      }
    }
    return are_finite;
  }

 private:
  int size_ = 0;  // of the last run
  alignas(64) T values_[2 * most];
};

// Up to four runs, of which term i of each goes to lane i. The second's are added to the first's at
// once: so the third's take their place.
template <class T, size_t most>
class Terms<T, terms_per_lane, most> {
 public:
  T* of_run(int r) { return values_ + static_cast<size_t>((r + 1) / 2) * most; }
  T* spare() { return values_ + most; }  // room for another run's, beside the first

  // The n terms of run r are there: n is less than the lanes for the last run alone.
  void complete(int r, int n) {
    size_ = n;
    if (r == 1) {
      add_twos(values_, values_ + most, n);
      size_ = 0;
    }
  }

  template <size_t capacity>
  bool add_to(Lanes<T, capacity>& lanes, int count, int width) {
    clear(of_run(count - 1), size_, width);
    for (int r = count; r < terms_per_lane; ++r) {
      clear(of_run(r), 0, width);
    }
    const bool are_finite = add_last_twos(values_, values_ + most, values_ + 2 * most, width);
    if (are_finite) {
      lanes.add_terms(values_, width);
    }
    return are_finite;
  }

 private:
  int size_ = 0;  // of the last run
  alignas(64) T values_[3 * most];
};

// Adds n terms a[i] b[i], of which term i goes to lane first + i % width.
template <class T, size_t capacity>
ELULAYER_FN void add_products(Lanes<T, capacity>& lanes, int first, T* a, T* b, int n, int width) {
  pad(a, n, width);
  const int padded = pad(b, n, width);
  ELULAYER_LANES_INSIDE
  for (int i = 0; i < padded; i += width) {
    lanes.add_products(first, a + i, b + i, width);
  }
}

}  // namespace
}  // namespace elulayer::cpu
