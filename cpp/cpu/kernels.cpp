// The loops of forward and backward. This file is compiled once for each instruction set; README.md
// says what follows from that.
//
// A run of elements is computed in the short form; the loop also looks whether all of it was within
// the short form's range, and if not, it is computed again in the form for every input.
//
// What the loop finds it collects in a word, by bitwise or, which every compiler vectorizes, and
// without `omp simd`: the directive's reduction keeps g++ from vectorizing the rest of a run that
// is no whole number of vectors. So results are __restrict there.
#include "cpu/kernels.hpp"

#include "cpu/double_backward.hpp"
#include "cpu/runs.hpp"
#include "math/backward.hpp"

namespace elulayer::cpu {
namespace {

// Forward -----------------------------------------------------------------------------------------

// z = x, or alpha expm1(x) where x <= 0. False where an x was outside of the short form's range.
template <class T, class A>
ELULAYER_LOOP bool forward_short(const T* x, A alpha, T* __restrict z, int n) {
  WordOf<T> signs = 0;
  for (int i = 0; i < n; ++i) {
    const T xi = x[i];
    z[i] = elu_short(xi, alpha[i]);
    signs |= to_bits(xi - deep<T>);  // negative where xi < deep
  }
  return !has_sign<T>(signs);
}

// z = x, or alpha expm1(x) where x <= 0.
template <class T, class A>
ELULAYER_LOOP void forward_any(const T* x, A alpha, T* z, int n) {
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    z[i] = elu_any(x[i], alpha[i]);
  }
}

template <class S>
void forward(const Tile& tile, Store store, const S* x, const Arithmetic<S>* alpha, S* z) {
  using T = Arithmetic<S>;
  for_each_group<T>(tile, [&](auto runs) {
    typename decltype(runs)::template Values<T> alphas;
    bool short_alphas = true;
    runs.for_each_channel(
        [&](int64_t c) { short_alphas = short_alphas && is_short_forward_alpha(alpha[c]); });
    runs.template fill<T>(alphas, [&](int64_t c) { return alpha[c]; });
    // Short beside the call that g++ would make of it, because of its arrays.
    runs.for_each_run([&](int64_t at, int n) __attribute__((always_inline)) {
      alignas(64) T x_buffer[max_run<T>];
      alignas(64) T z_buffer[max_run<T>];
      const T* const from = read(x + at, x_buffer, n);
      T* const to = target(z + at, z_buffer, store);
      if (!short_alphas || !forward_short(from, alphas.view(), to, n)) {
        forward_any(from, alphas.view(), to, n);
      }
      write(to, z + at, n, store);
    });
  });
  finish_stores(store);
}

// z as above, and memory = expm1(min(x, 0)).
template <class T, class A>
ELULAYER_LOOP void forward_with_memory_block(const T* x, A alpha, T* z, T* memory, int n) {
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    const Remembered<T> result = elu_remembered(x[i], alpha[i]);
    z[i] = result.z;
    memory[i] = result.memory;
  }
}

template <class S>
void forward_with_memory(const Tile& tile, const S* x, const Arithmetic<S>* alpha, S* z,
                         S* memory) {
  using T = Arithmetic<S>;
  for_each_group<T>(tile, [&](auto runs) {
    typename decltype(runs)::template Values<T> alphas;
    runs.template fill<T>(alphas, [&](int64_t c) { return alpha[c]; });
    runs.for_each_run([&](int64_t at, int n) {
      alignas(64) T x_buffer[max_run<T>];
      alignas(64) T z_buffer[max_run<T>];
      alignas(64) T memory_buffer[max_run<T>];
      const T* const from = read(x + at, x_buffer, n);
      forward_with_memory_block(from, alphas.view(), z_buffer, memory_buffer, n);
      write(z_buffer, z + at, n, Store::buffered);
      write(memory_buffer, memory + at, n, Store::buffered);
    });
  });
}

// Backward ----------------------------------------------------------------------------------------

// dx = g, or g alpha exp(x) where x <= 0, and the terms 0, or g expm1(x), times term_scale.
//
// An element outside of the short form's range shows in one of two ways: the result is false, or
// its term is not finite, as add_by_fours finds.
template <class Mode, class T, class A>
ELULAYER_LOOP bool backward_short(const T* grad, const T* source, A scaled_alpha, T* __restrict dx,
                                  T* __restrict terms, int n) {
  WordOf<T> signs = 0;
  for (int i = 0; i < n; ++i) {
    const T si = source[i];
    const ShortBackward<T> result = Mode::short_form(grad[i], si, scaled_alpha[i]);
    dx[i] = result.dx;
    terms[i] = multiply_add(result.dx, T(0), result.term);  // NaN where dx is not finite
    signs |= to_bits(Mode::depth(si) - deep<T>);            // as in forward_short
  }
  return !has_sign<T>(signs);
}

// dx = g, or g alpha exp(x) where x <= 0, and the terms 0, or g expm1(x), as two factors each.
template <class Mode, class T, class A>
ELULAYER_LOOP void backward_any(const T* grad, const T* source, A alpha, T* dx, T* factor_grad,
                                T* factor, int n) {
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    const AnyBackward<T> result = Mode::any_form(grad[i], source[i], alpha[i]);
    dx[i] = result.dx;
    factor_grad[i] = result.factor_grad;
    factor[i] = result.factor;
  }
}

// What the form for every input is given for alpha, for each element of a run: an array for each
// member.
template <class T, size_t capacity>
struct Pattern<Alpha<T>, capacity> {
  alignas(64) T mantissa[capacity];
  alignas(64) T slope[capacity];
  alignas(64) T cut[capacity];
  alignas(64) T origin_n_deep[capacity];
  alignas(64) T half_rounder[capacity];
  alignas(64) WordOf<T> exponent_field[capacity];
  alignas(64) WordOf<T> reserve[capacity];
  alignas(64) T scaled[capacity];
  alignas(64) T deepest[capacity];

  void set(int i, const Alpha<T>& alpha) {
    mantissa[i] = alpha.mantissa;
    slope[i] = alpha.slope;
    cut[i] = alpha.cut;
    origin_n_deep[i] = alpha.origin_n_deep;
    half_rounder[i] = alpha.half_rounder;
    exponent_field[i] = alpha.exponent_field;
    reserve[i] = alpha.reserve;
    scaled[i] = alpha.scaled;
    deepest[i] = alpha.deep;
  }

  struct View {
    const Pattern* pattern;
    Alpha<T> operator[](int i) const {
      const Pattern& p = *pattern;
      return {p.mantissa[i],       p.slope[i],   p.cut[i],    p.origin_n_deep[i], p.half_rounder[i],
              p.exponent_field[i], p.reserve[i], p.scaled[i], p.deepest[i]};
    }
  };
  View view() const { return {this}; }
};

template <class Mode, class S>
void backward(const Tile& tile, Store store, const S* grad, const S* source,
              const Arithmetic<S>* alpha, S* dx, Sum<Arithmetic<S>>* partials) {
  using T = Arithmetic<S>;
  for_each_group<T>(tile, [&](auto runs) {
    using Runs = decltype(runs);
    typename Runs::template Values<T> scaled;
    bool short_alphas = true;
    runs.for_each_channel(
        [&](int64_t c) { short_alphas = short_alphas && Mode::short_alpha(alpha[c]); });
    runs.template fill<T>(scaled, [&](int64_t c) { return Mode::scaled(alpha[c]); });
    using Prepared = typename Mode::template Prepared<T>;
    typename Runs::template Values<Prepared> prepared;
    bool is_prepared = false;

    // A block's inputs and results, where they are not in the arrays.
    constexpr size_t max_runs = Runs::runs_of_block;
    constexpr size_t max_block = max_runs * max_run<T>;
    alignas(64) T grad_buffer[max_block];
    alignas(64) T source_buffer[max_block];
    alignas(64) T dx_buffer[max_block];
    alignas(64) T terms[max_block];  // or the first of two factors
    alignas(64) T factor[max_run<T>];
    Lanes<T, Runs::max_lanes> lanes;
    const int width = runs.lanes();

    for_each_block(runs, [&](const Run* block, int count) {
      const T* g[max_runs];
      const T* s[max_runs];
      T* to[max_runs];
      bool is_short = short_alphas;
      int size = 0;
      for (int r = 0; r < count; ++r) {
        const auto [at, n] = block[r];
        g[r] = read(grad + at, grad_buffer + size, n);
        s[r] = read(source + at, source_buffer + size, n);
        to[r] = target(dx + at, dx_buffer + size, store);
        is_short =
            is_short && backward_short<Mode>(g[r], s[r], scaled.view(), to[r], terms + size, n);
        size += n;
      }
      if (!is_short || !add_by_fours(lanes, terms, size, width)) {
        if (!is_prepared) {
          runs.template fill<Prepared>(prepared,
                                       [&](int64_t c) { return Mode::prepare(alpha[c]); });
          is_prepared = true;
        }
        for (int r = 0; r < count; ++r) {
          const int n = block[r].n;
          backward_any<Mode>(g[r], s[r], prepared.view(), to[r], terms, factor, n);
          add_products(lanes, terms, factor, n, width);
        }
      }
      for (int r = 0; r < count; ++r) {
        write(to[r], dx + block[r].at, block[r].n, store);
      }
    });
    add_up(runs, lanes, partials);
  });
  finish_stores(store);
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
