// Sums of the terms g * expm1(x) of dL/dalpha, each in a fixed number of lanes so that every vector
// width adds in the same order. Internal linkage only: compiled once for each instruction set.
//
// Terms arrive in one of two ways. Short: as products at scale 2^term_exponent, four to a lane
// added in the type of the arithmetic (an error of one unit in its last place in all), their sum
// added to the lane in double. Any: as two factors each, multiplied and added in double; the caller
// turns to this where a product or a sum of four was not finite.
#pragma once

#include "cpu/kernels.hpp"
#include "math/backward.hpp"

namespace elulayer::cpu {
namespace {

constexpr int terms_per_lane = 4;

// terms[l] becomes (terms[l] + terms[l + width]) + (terms[l + 2 width] + terms[l + 3 width]). False
// where one of these sums is not finite.
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

template <class T, size_t capacity>
class Sums;

// In double a product of floats is exact, and 2^63 of them at this scale are finite.
template <size_t capacity>
class Sums<float, capacity> {
 public:
  // Adds sums of four to lanes [0, n).
  void add(const float* sums, int n) {
    double* const sum = sum_;
#pragma omp simd
    for (int l = 0; l < n; ++l) {
      sum[l] += static_cast<double>(sums[l]);
    }
  }

  // Adds grad[l] * factor[l] to lanes [0, n).
  void add_products(const float* grad, const float* factor, int n) {
    constexpr double scale = static_cast<double>(term_scale<float>);
    double* const sum = sum_;
#pragma omp simd
    for (int l = 0; l < n; ++l) {
      sum[l] += static_cast<double>(grad[l]) * static_cast<double>(factor[l]) * scale;
    }
  }

  // The sum of the lanes [begin, begin + size), of those `stride` further, and so on.
  PartialSum total(int begin, int size, int repeats, int stride) const {
    double sum = 0;
    for (int r = 0; r < repeats; ++r) {
      for (int l = 0; l < size; ++l) {
        sum += sum_[begin + r * stride + l];
      }
    }
    return {sum, 0, static_cast<double>(term_scale<float>)};
  }

 private:
  alignas(64) double sum_[capacity] = {};
};

// a + b exactly, as a rounded sum and its error (Knuth, The Art of Computer Programming 2, section
// 4.2.2).
struct TwoSum {
  double sum;
  double error;
};

inline TwoSum two_sum(double a, double b) {
  const double sum = a + b;
  const double t = sum - a;
  return {sum, (a - (sum - t)) + (b - t)};
}

// Compensated, so that the error does not grow with the number of terms. Where a sum overflows, the
// lanes go on at rescue_scale: terms of both signs may still bring the total back to a finite
// value.
template <size_t capacity>
class Sums<double, capacity> {
 public:
  void add(const double* sums, int n) {
    add_at_scale(n, [=](double scale, double* terms) {
      for (int l = 0; l < n; ++l) {
        terms[l] = sums[l] * (scale / term_scale<double>);
      }
    });
  }

  void add_products(const double* grad, const double* factor, int n) {
    add_at_scale(n, [=](double scale, double* terms) {
      for (int l = 0; l < n; ++l) {
        terms[l] = grad[l] * scale * factor[l];
      }
    });
  }

  PartialSum total(int begin, int size, int repeats, int stride) const {
    PartialSum total{0, 0, scale_};
    const double scales[] = {scale_, rescue_scale};
    for (const double scale : scales) {
      total = {0, 0, scale};
      for (int r = 0; r < repeats; ++r) {
        for (int l = begin + r * stride; l < begin + r * stride + size; ++l) {
          const TwoSum added = two_sum(total.sum, sum_[l] * (scale / scale_));
          total.sum = added.sum;
          total.compensation += added.error + compensation_[l] * (scale / scale_);
        }
      }
      if (is_finite(total.sum)) {
        break;
      }
    }
    return total;
  }

 private:
  // Adds the terms that fill(scale, terms) gives for the lanes' scale.
  template <class Fill>
  void add_at_scale(int n, const Fill& fill) {
    alignas(64) double terms[capacity];
    alignas(64) double sum_before[capacity];
    alignas(64) double compensation_before[capacity];
    const size_t bytes = static_cast<size_t>(n) * sizeof(double);
    __builtin_memcpy(sum_before, sum_, bytes);
    __builtin_memcpy(compensation_before, compensation_, bytes);
    fill(scale_, terms);
    if (!add_terms(terms, n) && scale_ != rescue_scale) {
      __builtin_memcpy(sum_, sum_before, bytes);
      __builtin_memcpy(compensation_, compensation_before, bytes);
      rescale();
      fill(scale_, terms);
      add_terms(terms, n);
    }
  }

  // False where a sum is not finite.
  bool add_terms(const double* terms, int n) {
    double* const sum = sum_;
    double* const compensation = compensation_;
#pragma omp simd
    for (int l = 0; l < n; ++l) {
      const TwoSum added = two_sum(sum[l], terms[l]);
      sum[l] = added.sum;
      compensation[l] += added.error;
    }
    double not_finite = 0;
#pragma omp simd reduction(+ : not_finite)
    for (int l = 0; l < n; ++l) {
      not_finite += sum[l] * 0.0;
    }
    return not_finite == 0;
  }

  void rescale() {
    for (size_t l = 0; l < capacity; ++l) {
      sum_[l] *= rescue_scale / scale_;
      compensation_[l] *= rescue_scale / scale_;
    }
    scale_ = rescue_scale;
  }

  double scale_ = term_scale<double>;
  alignas(64) double sum_[capacity] = {};
  alignas(64) double compensation_[capacity] = {};
};

}  // namespace
}  // namespace elulayer::cpu
