// The loops of double backward; its formulae are in math/backward.hpp. Internal linkage only:
// compiled once for each instruction set.
#pragma once

#include "cpu/block.hpp"
#include "cpu/runs.hpp"
#include "cpu/sums.hpp"
#include "math/backward.hpp"

namespace elulayer::cpu {
namespace {

// v, grad and x become dgrad, a factor of the terms, and dx.
template <class A>
ELULAYER_LOOP void double_backward_block(double* v, double* grad, double* x, double* factor, A w,
                                         A alpha, int n) {
  const Alpha<double> one = prepare_alpha(1.0);
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    const SecondBackward result = elu_second_backward(v[i], w[i], grad[i], x[i], alpha[i], one);
    v[i] = result.dgrad;
    x[i] = result.dx;
    grad[i] = result.factor_grad;
    factor[i] = result.factor;
  }
}

// In double for every type. A block's v, grad and x become dgrad, dx and the two factors of the
// terms.
template <class S>
struct DoubleBackwardBuffers {
  static constexpr size_t size = max_run<Arithmetic<S>>;
  alignas(64) double v[size];
  alignas(64) double grad[size];
  alignas(64) double x[size];
  alignas(64) double factor[size];

  void fill(const S* from_v, const S* from_grad, const S* from_x, int n) {
    for (int i = 0; i < n; ++i) {
      v[i] = to_double(from_v[i]);
      grad[i] = to_double(from_grad[i]);
      x[i] = to_double(from_x[i]);
    }
  }

  template <class A>
  void compute(A w, A alpha, int n) {
    double_backward_block(v, grad, x, factor, w, alpha, n);
  }

  void write_results(S* dgrad, S* dx, int n) const {
    for (int i = 0; i < n; ++i) {
      round_to(v[i], dgrad[i]);
      round_to(x[i], dx[i]);
    }
  }
};

template <class S>
void double_backward(const Tile& tile, const S* v, const Arithmetic<S>* w, const S* grad,
                     const S* x, const Arithmetic<S>* alpha, S* dgrad, S* dx,
                     PartialSum* partials) {
  using T = Arithmetic<S>;
  w += tile.first_channel;
  alpha += tile.first_channel;
  partials += tile.first_partial;
  DoubleBackwardBuffers<S> buffers;
  if (tile.outers_per_run == 0) {
    for (int64_t c = 0; c < tile.channels; ++c) {
      Sums<double, row_lanes> sums;
      for_each_piece<T>(tile, c, [&](int64_t at, int n) {
        buffers.fill(v + at, grad + at, x + at, n);
        buffers.compute(Uniform<double>{to_double(w[c])}, Uniform<double>{to_double(alpha[c])}, n);
        ELULAYER_LANES_INSIDE
        for (int i = 0; i < n; i += row_lanes) {
          const int lanes = n - i < row_lanes ? n - i : row_lanes;
          sums.add_products(buffers.grad + i, buffers.factor + i, lanes);
        }
        buffers.write_results(dgrad + at, dx + at, n);
      });
      partials[c] = sums.total(0, row_lanes, 1, 0);
    }
    return;
  }
  alignas(64) double w_pattern[max_run<T>];
  alignas(64) double alpha_pattern[max_run<T>];
  int width = 0;
  for_each_in_pattern(tile, [&](int64_t c) {
    w_pattern[width] = to_double(w[c]);
    alpha_pattern[width++] = to_double(alpha[c]);
  });
  const double* const w_values = w_pattern;
  const double* const alphas = alpha_pattern;
  Sums<double, max_run<T>> sums;
  for_each_pattern(tile, width, [&](int64_t at, int n) {
    buffers.fill(v + at, grad + at, x + at, n);
    buffers.compute(w_values, alphas, n);
    sums.add_products(buffers.grad, buffers.factor, n);
    buffers.write_results(dgrad + at, dx + at, n);
  });
  pattern_totals(tile, sums, partials);
}

}  // namespace
}  // namespace elulayer::cpu
