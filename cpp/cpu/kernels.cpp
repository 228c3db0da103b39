// The loops of forward and backward. This file is compiled once for each instruction set; README.md
// says what follows from that.
#include "cpu/kernels.hpp"

#include "cpu/double_backward.hpp"
#include "cpu/runs.hpp"
#include "math/backward.hpp"

namespace elulayer::cpu {
namespace {

// Forward -----------------------------------------------------------------------------------------

// z = x, or alpha expm1(x) where x <= 0.
template <class T, class A>
ELULAYER_LOOP void forward_run(const T* x, A alpha, T* z, int n) {
  const T least_x = as_variable(expm1_x_min<T>);
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    z[i] = elu_element(x[i], alpha[i], least_x);
  }
}

template <class S>
void forward(const Tile& tile, const S* x, const Arithmetic<S>* alpha, S* z) {
  using T = Arithmetic<S>;
  const auto compute = [&](int64_t at, auto alphas, int n) __attribute__((always_inline)) {
    alignas(64) T x_buffer[max_run<T>];
    alignas(64) T z_buffer[max_run<T>];
    T* const to = target(z + at, z_buffer, false);
    forward_run(read(x + at, x_buffer, n), alphas, to, n);
    write(to, z + at, n);
  };
  for_each_run_with_alphas(tile, alpha, compute);
}

// z as above, and memory = expm1(min(x, 0)).
template <class T, class A>
ELULAYER_LOOP void forward_with_memory_block(const T* x, A alpha, T* z, T* memory, int n) {
  const T least_x = as_variable(expm1_x_min<T>);
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    const Remembered<T> result = elu_remembered(x[i], alpha[i], least_x);
    z[i] = result.z;
    memory[i] = result.memory;
  }
}

template <class S>
void forward_with_memory(const Tile& tile, const S* x, const Arithmetic<S>* alpha, S* z,
                         S* memory) {
  using T = Arithmetic<S>;
  const auto compute = [&](int64_t at, auto alphas, int n) __attribute__((always_inline)) {
    alignas(64) T x_buffer[max_run<T>];
    alignas(64) T z_buffer[max_run<T>];
    alignas(64) T memory_buffer[max_run<T>];
    const T* const from = read(x + at, x_buffer, n);
    forward_with_memory_block(from, alphas, z_buffer, memory_buffer, n);
    write(z_buffer, z + at, n);
    write(memory_buffer, memory + at, n);
  };
  for_each_run_with_alphas(tile, alpha, compute);
}

// Backward ----------------------------------------------------------------------------------------

// A run of elements is computed in the short form; the loop also looks whether any x lay deeper
// than that form's range. If so, those are mended that lie where all vanishes, as the -inf of a
// mask does, and only if others are left, the run is computed again in the form for every input.
// Whatever else is outside of the range gives a term that is not finite, as the sums find: then the
// whole block is computed again, and its terms multiplied and added in double.
//
// What the loop finds it collects in a word, by bitwise or, which every compiler vectorizes, and
// without `omp simd`: the directive's reduction keeps g++ from vectorizing the rest of a run that
// is no whole number of vectors. So results are __restrict there.

// dx = g, or g alpha exp(x) where x <= 0, and the terms 0, or g expm1(x), times term_scale.
// False where a source is too deep.
template <class Mode, class T, class A>
ELULAYER_LOOP bool backward_short(const T* grad, const T* source, A scaled_alpha, T* __restrict dx,
                                  T* __restrict terms, int n) {
  WordOf<T> signs = 0;
  for (int i = 0; i < n; ++i) {
    const T si = source[i];
    const ShortBackward<T> result = Mode::short_form(grad[i], si, scaled_alpha[i]);
    dx[i] = result.dx;
    terms[i] = multiply_add(result.dx, T(0), result.term);  // NaN where dx is not finite
    signs |= Mode::goes_deep ? to_bits(si - deep<T>) : 0;   // negative where it is less
  }
  return !has_sign<T>(signs);
}

// dx and terms of backward_short, mended where x lies so deep that they vanish. False where another
// x is too deep for the short form. By masks: of a selection between a new number and the one in
// memory g++ makes a masked store, with which half of x at -inf took 2.9 times the ordinary time
// under AVX2 on a Zen 4, and without it 1.5 times.
template <class T>
ELULAYER_LOOP bool backward_vanished(const T* grad, const T* x, const T* alpha, T* __restrict dx,
                                     T* __restrict terms, int n) {
  const T ones = as_variable(from_bits<T>(~WordOf<T>{0}));
  WordOf<T> signs = 0;
  for (int i = 0; i < n; ++i) {
    const bool vanishes = x[i] < vanishing<T>;
    const T mask = vanishes ? ones : T(0);
    const ShortBackward<T> result = vanished(grad[i], alpha[i]);
    dx[i] = merged(dx[i], result.dx, mask);
    terms[i] = merged(terms[i], multiply_add(result.dx, T(0), result.term), mask);
    signs |= to_bits(vanishes ? T(0) : x[i] - deep<T>);
  }
  return !has_sign<T>(signs);
}

// dx = g, or g alpha exp(x) where x <= 0, and the terms 0, or g expm1(x), as two factors each. dx
// begins as the short form made it, but where x is too deep for that.
template <class Mode, class T>
ELULAYER_LOOP void backward_any(const T* grad, const T* source, const T* alpha, T* dx,
                                T* factor_grad, T* factor, int n) {
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    const AnyBackward<T> result = Mode::any_form(grad[i], source[i], alpha[i], dx[i]);
    dx[i] = result.dx;
    factor_grad[i] = result.factor_grad;
    factor[i] = result.factor;
  }
}

// dx and the terms of backward_short, whose factors backward_any gives.
template <class Mode, class T>
ELULAYER_LOOP void backward_deep(const T* grad, const T* source, const T* alpha, T* dx, T* terms,
                                 int n) {
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    const AnyBackward<T> result = Mode::any_form(grad[i], source[i], alpha[i], dx[i]);
    dx[i] = result.dx;
    terms[i] = result.factor_grad * term_scale<T> * result.factor;
  }
}

template <class Mode, class S>
void backward(const Tile& tile, const S* grad, const S* source, const Arithmetic<S>* alpha, S* dx,
              Sum<Arithmetic<S>>* partials) {
  using T = Arithmetic<S>;
  const bool is_input = dx == grad || dx == source;
  for_each_group<T>(tile, [&](auto runs) {
    using Runs = decltype(runs);
    typename Runs::template Values<T> scaled;
    runs.fill(scaled, [&](int64_t c) { return scaled_or_nan<Mode>(alpha[c]); });
    Pattern<T, max_run<T>> alphas;
    bool has_alphas = false;

    // A run's inputs and a block's results, where they are not in the arrays. A call takes at most
    // 32 KiB of the stack (tests/cpp/stack_test.cpp).
    constexpr size_t max_runs = Runs::runs_of_block;
    constexpr size_t input_size = is_arithmetic<S> ? 1 : max_run<T>;
    alignas(64) T grad_buffer[input_size];
    alignas(64) T source_buffer[input_size];
    alignas(64) T dx_buffer[max_runs * max_run<T>];
    Terms<T, max_runs, max_run<T>> terms;
    Lanes<T, Runs::max_lanes> lanes;
    const int width = runs.lanes();

    const auto every_alpha = [&] {
      if (!has_alphas) {
        runs.fill(alphas, [&](int64_t c) { return alpha[c]; });
        has_alphas = true;
      }
      return alphas.view();
    };
    // dx and the terms of a run of which the short form was not for all.
    const auto compute_deep = [&](const T* g, const T* s, T* to, T* run_terms, int n) {
      if constexpr (Mode::goes_deep) {
        if (!backward_vanished(g, s, every_alpha(), to, run_terms, n)) {
          backward_deep<Mode>(g, s, every_alpha(), to, run_terms, n);
        }
      }
    };

    for_each_block(runs, [&](const Run* block, int count) {
      T* to[max_runs];
      for (int r = 0; r < count; ++r) {
        const int64_t at = block[r].at;
        const int n = not_empty(block[r].n);
        const T* const g = read(grad + at, grad_buffer, n);
        const T* const s = read(source + at, source_buffer, n);
        to[r] = target(dx + at, dx_buffer + r * max_run<T>, is_input);
        if (!backward_short<Mode>(g, s, scaled.view(), to[r], terms.of_run(r), n)) {
          compute_deep(g, s, to[r], terms.of_run(r), n);
        }
        terms.complete(r, n);
      }
      if (!terms.add_to(lanes, count, width)) {
        for (int r = 0; r < count; ++r) {
          const int64_t at = block[r].at;
          const int n = block[r].n;
          const T* const g = read(grad + at, grad_buffer, n);
          const T* const s = read(source + at, source_buffer, n);
          T* const factor_grad = terms.of_run(0);
          T* const factor = terms.spare();
          backward_any<Mode>(g, s, every_alpha(), to[r], factor_grad, factor, n);
          add_products(lanes, 0, factor_grad, factor, n, width);
        }
      }
      for (int r = 0; r < count; ++r) {
        write(to[r], dx + block[r].at, block[r].n);
      }
    });
    add_up(runs, lanes, partials);
  });
}

#if defined(__AVX512F__) && defined(__AVX512VL__)
constexpr char instruction_set[] = "x86-64-v4";
#elif defined(__AVX2__) && defined(__FMA__)
constexpr char instruction_set[] = "x86-64-v3";
#elif defined(__aarch64__)
constexpr char instruction_set[] = "neon";
#else
constexpr char instruction_set[] = "baseline";
#endif

template <class S>
constexpr KernelTable<S> table{
    forward<S>,
    forward_with_memory<S>,
    backward<FromInput, S>,
    backward<FromMemory, S>,
    backward<FromOutput, S>,
    double_backward<S>,
};

}  // namespace

const Kernels ELULAYER_KERNELS = {table<float>,    table<double>,   table<float16>,
                                  table<bfloat16>, instruction_set, ELULAYER_FAST_FMA != 0};

}  // namespace elulayer::cpu
