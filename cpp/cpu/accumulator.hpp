// Sums of the terms g * expm1(x) of dL/dalpha, in a fixed number of lanes so that every vector
// width adds in the same order. Internal linkage only: compiled once for each instruction set.
#pragma once

#include "cpu/kernels.hpp"

namespace elulayer::cpu {
namespace {

constexpr int lanes = 16;
constexpr int block_size = 256;

// Whether all of v[0..lanes) are finite: v * 0 is NaN for an infinity or a NaN.
inline bool all_finite(const double* v) {
  double zero = 0;
  for (int l = 0; l < lanes; ++l) {
    zero += v[l] * 0.0;
  }
  return zero == 0;
}

template <class T>
class Accumulator;

// float terms: their product is exact in double, and a sum of fewer than 2^63 of them is finite.
template <>
class Accumulator<float> {
 public:
  // Adds grad[i] * expm1[i] to lane i % lanes, for rows * lanes elements.
  void add(const float* grad, const float* expm1, int rows) {
    double s[lanes];
    for (int l = 0; l < lanes; ++l) {
      s[l] = sum_[l];
    }
    for (int r = 0; r < rows; ++r) {
#pragma omp simd
      for (int l = 0; l < lanes; ++l) {
        const int i = r * lanes + l;
        s[l] += static_cast<double>(grad[i]) * static_cast<double>(expm1[i]);
      }
    }
    for (int l = 0; l < lanes; ++l) {
      sum_[l] = s[l];
    }
  }

  PartialSum lane(int l) const { return {sum_[l], 0, 1}; }

  // Lanes added pairwise: l with l + 8, then + 4, + 2, + 1.
  PartialSum total() const {
    Accumulator tree = *this;
    for (int width = lanes / 2; width > 0; width /= 2) {
      for (int l = 0; l < width; ++l) {
        tree.sum_[l] += tree.sum_[l + width];
      }
    }
    return tree.lane(0);
  }

 private:
  double sum_[lanes] = {};
};

// double terms: compensated sums (TwoSum: Knuth, The Art of Computer Programming 2, section 4.2.2),
// so that the error does not grow with their number. Where a sum overflows, the lanes go on at
// rescue_scale: terms of both signs may still bring the total back to a finite value.
template <>
class Accumulator<double> {
 public:
  void add(const double* grad, const double* expm1, int rows) {
    const Accumulator before = *this;
    add_scaled(grad, expm1, rows);
    if (scale_ == 1 && !all_finite(sum_)) {
      *this = before;
      rescale();
      add_scaled(grad, expm1, rows);
    }
  }

  PartialSum lane(int l) const { return {sum_[l], compensation_[l], scale_}; }

  PartialSum total() const {
    Accumulator tree = *this;
    tree.fold();
    if (scale_ == 1 && !all_finite(tree.sum_)) {
      tree = *this;
      tree.rescale();
      tree.fold();
    }
    return tree.lane(0);
  }

 private:
  void add_scaled(const double* grad, const double* expm1, int rows) {
    for (int r = 0; r < rows; ++r) {
#pragma omp simd
      for (int l = 0; l < lanes; ++l) {
        const int i = r * lanes + l;
        two_sum(l, grad[i] * scale_ * expm1[i]);
      }
    }
  }

  // sum + compensation becomes sum + compensation + term, exactly but for the rounding of
  // compensation.
  void two_sum(int l, double term) {
    const double s = sum_[l] + term;
    const double t = s - sum_[l];
    compensation_[l] += (sum_[l] - (s - t)) + (term - t);
    sum_[l] = s;
  }

  void fold() {
    for (int width = lanes / 2; width > 0; width /= 2) {
      for (int l = 0; l < width; ++l) {
        two_sum(l, sum_[l + width]);
        compensation_[l] += compensation_[l + width];
      }
    }
  }

  void rescale() {
    for (int l = 0; l < lanes; ++l) {
      sum_[l] *= rescue_scale;
      compensation_[l] *= rescue_scale;
    }
    scale_ = rescue_scale;
  }

  double sum_[lanes] = {};
  double compensation_[lanes] = {};
  double scale_ = 1;
};

}  // namespace
}  // namespace elulayer::cpu
