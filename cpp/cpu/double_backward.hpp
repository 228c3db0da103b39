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

// Runs are computed in parts of so many elements, a multiple of the lanes of a piece: with arrays
// for a whole run the stack would hold 40 KiB.
constexpr int part_size = 64;

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
    alignas(64) double v_part[part_size];
    alignas(64) double grad_part[part_size];
    alignas(64) double x_part[part_size];
    alignas(64) double factor[part_size];
    runs.for_each_run([&](int64_t at, int run) {
      for (int first = 0; first < run; first += part_size) {
        const int64_t from = at + first;
        const int n = run_length(run - first, part_size);
        for (int i = 0; i < n; ++i) {
          v_part[i] = to_double(v[from + i]);
          grad_part[i] = to_double(grad[from + i]);
          x_part[i] = to_double(x[from + i]);
        }
        double_backward_block(v_part, grad_part, x_part, factor, ws.view(first), alphas.view(first),
                              n);
        for (int i = 0; i < n; ++i) {
          round_to(v_part[i], dgrad[from + i]);
          round_to(x_part[i], dx[from + i]);
        }
        add_products(lanes, runs.first_lane(first), grad_part, factor, n, runs.lanes_of_part(n));
      }
    });
    add_up(runs, lanes, partials);
  });
}

}  // namespace
}  // namespace elulayer::cpu
