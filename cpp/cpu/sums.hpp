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

// Lanes of rows longer than a run: element i of a piece adds to lane i % row_lanes.
constexpr int row_lanes = 16;

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

inline double magnitude(double value) { return value < 0 ? -value : value; }

// Compensated, so that the error does not grow with the number of terms. A lane whose sum overflows
// goes on at rescue_scale: terms of both signs may still bring it back to a finite value.
template <size_t capacity>
class Sums<double, capacity> {
 public:
  Sums() {
    for (double& scale : scale_) {
      scale = term_scale<double>;
    }
  }

  void add(const double* sums, int n) {
    add_terms(n, [sums](int l, double scale) { return sums[l] * (scale / term_scale<double>); });
  }

  void add_products(const double* grad, const double* factor, int n) {
    add_terms(n, [=](int l, double scale) {
      // The larger factor is scaled: the smaller must not vanish beside an infinite one.
      const bool grad_is_larger = magnitude(grad[l]) > magnitude(factor[l]);
      return grad_is_larger ? grad[l] * scale * factor[l] : factor[l] * scale * grad[l];
    });
  }

  PartialSum total(int begin, int size, int repeats, int stride) const {
    PartialSum total = total_at(term_scale<double>, begin, size, repeats, stride);
    if (!is_finite(total.sum)) {
      total = total_at(rescue_scale, begin, size, repeats, stride);
    }
    return total;
  }

 private:
  // Adds term(l, the lane's scale) to lanes [0, n).
  template <class Term>
  void add_terms(int n, const Term& term) {
    alignas(64) double terms[capacity];
    alignas(64) double sum_before[capacity];
    alignas(64) double compensation_before[capacity];
    const size_t bytes = static_cast<size_t>(n) * sizeof(double);
    __builtin_memcpy(sum_before, sum_, bytes);
    __builtin_memcpy(compensation_before, compensation_, bytes);
    for (int l = 0; l < n; ++l) {
      terms[l] = term(l, scale_[l]);
    }
    if (add_compensated(terms, n)) {
      return;
    }
    for (int l = 0; l < n; ++l) {
      if (!is_finite(sum_[l]) && scale_[l] != rescue_scale) {
        constexpr double factor = rescue_scale / term_scale<double>;
        scale_[l] = rescue_scale;
        const TwoSum added = two_sum(sum_before[l] * factor, term(l, rescue_scale));
        sum_[l] = added.sum;
        compensation_[l] = compensation_before[l] * factor + added.error;
      }
    }
  }

  // False where a sum is not finite.
  bool add_compensated(const double* terms, int n) {
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

  PartialSum total_at(double scale, int begin, int size, int repeats, int stride) const {
    PartialSum total{0, 0, scale};
    for (int r = 0; r < repeats; ++r) {
      for (int l = begin + r * stride; l < begin + r * stride + size; ++l) {
        const double factor = scale / scale_[l];
        const TwoSum added = two_sum(total.sum, sum_[l] * factor);
        total.sum = added.sum;
        total.compensation += added.error + compensation_[l] * factor;
      }
    }
    return total;
  }

  alignas(64) double sum_[capacity] = {};
  alignas(64) double compensation_[capacity] = {};
  alignas(64) double scale_[capacity];
};

// The partial sums of a tile of patterns, whose element i of every run adds to lane i.
template <class T, size_t capacity>
void pattern_totals(const Tile& tile, const Sums<T, capacity>& sums, PartialSum* partials) {
  const int inner = static_cast<int>(tile.inner);
  const int channels = static_cast<int>(tile.channels);
  const int repeats = static_cast<int>(tile.outers_per_run);
  for (int c = 0; c < channels; ++c) {
    partials[c] = sums.total(c * inner, inner, repeats, channels * inner);
  }
}

}  // namespace
}  // namespace elulayer::cpu
