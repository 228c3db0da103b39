// Double backward, in double for every type. Internal linkage only: compiled once for each
// instruction set.
#pragma once

#include "cpu/runs.hpp"
#include "math/backward.hpp"

namespace elulayer::cpu {
namespace {

//                        x > 0     otherwise
//   dL/dg                v         v alpha exp(x) + w expm1(x)
//   dL/dx                0         g exp(x) (v alpha + w)
//   term of dL/dalpha    0         v g exp(x)
//
// v, grad and x become dL/dg, a factor of the term, and dL/dx.
template <class A>
ELULAYER_LOOP void double_backward_block(double* v, double* grad, double* x, double* factor, A w,
                                         A alpha, int n) {
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    const SecondBackward result = elu_second_backward(v[i], w[i], grad[i], x[i], alpha[i]);
    v[i] = result.dgrad;
    x[i] = result.dx;
    grad[i] = result.factor_grad;
    factor[i] = result.factor;
  }
}

template <class S>
void double_backward(const Tile& tile, const S* v, const Arithmetic<S>* w, const S* grad,
                     const S* x, const Arithmetic<S>* alpha, S* dgrad, S* dx,
                     Sum<double>* partials) {
  using T = Arithmetic<S>;
  for_each_group<T>(tile, [&](auto runs) {
    using Runs = decltype(runs);
    typename Runs::template Values<double> ws;
    typename Runs::template Values<double> alphas;
    runs.fill(ws, [&](int64_t c) { return static_cast<double>(w[c]); });
    runs.fill(alphas, [&](int64_t c) { return static_cast<double>(alpha[c]); });
    Lanes<double, Runs::max_lanes> lanes;
    alignas(64) double v_run[max_run<T>];
    alignas(64) double grad_run[max_run<T>];
    alignas(64) double x_run[max_run<T>];
    alignas(64) double factor[max_run<T>];
    runs.for_each_run([&](int64_t at, int n) {
      for (int i = 0; i < n; ++i) {
        v_run[i] = to_double(v[at + i]);
        grad_run[i] = to_double(grad[at + i]);
        x_run[i] = to_double(x[at + i]);
      }
      double_backward_block(v_run, grad_run, x_run, factor, ws.view(), alphas.view(), n);
      for (int i = 0; i < n; ++i) {
        round_to(v_run[i], dgrad[at + i]);
        round_to(x_run[i], dx[at + i]);
      }
      add_products(lanes, grad_run, factor, n, runs.lanes());
    });
    add_up(runs, lanes, partials);
  });
}

}  // namespace
}  // namespace elulayer::cpu
