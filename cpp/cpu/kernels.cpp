// The loops of forward and backward. This file is compiled once for each instruction set; README.md
// says what follows from that. The formulae are in elulayer.hpp, math/forward.hpp and
// math/backward.hpp.
//
// A block is computed in the short form; the loop also looks whether all of it was within the short
// form's range, and if not, the block is computed again in the form for every input.
//
// What the loop finds it collects in a word, by bitwise or, which every compiler vectorizes, and
// without `omp simd`: the directive's reduction keeps g++ from vectorizing the rest of a run that
// is no whole number of vectors. So results are __restrict there.
#include "cpu/kernels.hpp"

#include "cpu/block.hpp"
#include "cpu/double_backward.hpp"
#include "cpu/runs.hpp"
#include "cpu/sums.hpp"
#include "math/backward.hpp"

namespace elulayer::cpu {
namespace {

// Forward -----------------------------------------------------------------------------------------

// False where an x was outside of the short form's range.
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

template <class T, class A>
ELULAYER_LOOP void forward_any(const T* x, A alpha, T* z, int n) {
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    z[i] = elu_any(x[i], alpha[i]);
  }
}

// Whether the short form takes this alpha: not negative (-0 included), not infinite, not NaN.
template <class T>
bool is_short_forward_alpha(T alpha) {
  return is_finite(alpha) && to_bits(alpha) < to_bits(-T(0));
}

template <class S, class A>
void forward_block(const S* x, A alpha, bool short_alpha, S* z, int n, Store store) {
  using T = Arithmetic<S>;
  alignas(64) T x_buffer[max_run<T>];
  alignas(64) T z_buffer[max_run<T>];
  const T* const from = read(x, x_buffer, n);
  T* const to = target(z, z_buffer, store);
  if (!short_alpha || !forward_short(from, alpha, to, n)) {
    forward_any(from, alpha, to, n);
  }
  write(to, z, n, store);
}

template <class S>
void forward(const Tile& tile, Store store, const S* x, const Arithmetic<S>* alpha, S* z) {
  using T = Arithmetic<S>;
  alpha += tile.first_channel;
  if (tile.outers_per_run == 0) {
    for (int64_t c = 0; c < tile.channels; ++c) {
      const bool short_alpha = is_short_forward_alpha(alpha[c]);
      for_each_piece<T>(tile, c, [&](int64_t at, int n) {
        forward_block(x + at, Uniform<T>{alpha[c]}, short_alpha, z + at, n, store);
      });
    }
  } else {
    alignas(64) T pattern[max_run<T>];
    bool short_alphas = true;
    int width = 0;
    for_each_in_pattern(tile, [&](int64_t c) {
      short_alphas = short_alphas && is_short_forward_alpha(alpha[c]);
      pattern[width++] = alpha[c];
    });
    const T* const alphas = pattern;
    for_each_pattern(tile, width, [&](int64_t at, int n) {
      forward_block(x + at, alphas, short_alphas, z + at, n, store);
    });
  }
  finish_stores(store);
}

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
  alpha += tile.first_channel;
  const auto block = [&](int64_t at, auto alphas, int n) {
    alignas(64) T x_buffer[max_run<T>];
    alignas(64) T z_buffer[max_run<T>];
    alignas(64) T memory_buffer[max_run<T>];
    const T* const from = read(x + at, x_buffer, n);
    forward_with_memory_block(from, alphas, z_buffer, memory_buffer, n);
    write(z_buffer, z + at, n, Store::buffered);
    write(memory_buffer, memory + at, n, Store::buffered);
  };
  if (tile.outers_per_run == 0) {
    for (int64_t c = 0; c < tile.channels; ++c) {
      for_each_piece<T>(tile, c, [&](int64_t at, int n) { block(at, Uniform<T>{alpha[c]}, n); });
    }
    return;
  }
  alignas(64) T pattern[max_run<T>];
  int width = 0;
  for_each_in_pattern(tile, [&](int64_t c) { pattern[width++] = alpha[c]; });
  const T* const alphas = pattern;
  for_each_pattern(tile, width, [&](int64_t at, int n) { block(at, alphas, n); });
}

// Backward ----------------------------------------------------------------------------------------

// dx, and the terms of dL/dalpha at scale 2^term_exponent. An element outside of the short form's
// range shows in one of two ways: the result is false, or its term is not finite, as add_fours
// finds.
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

// dx, and the terms of dL/dalpha as two factors each.
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

// What the form for every input is given for alpha, for each element of a run.
template <class P, size_t capacity>
struct PreparedPattern {
  alignas(64) P values[capacity];
  void set(int i, P value) { values[i] = value; }
  P operator[](int i) const { return values[i]; }
};

template <class T, size_t capacity>
struct PreparedPattern<Alpha<T>, capacity> {
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

  Alpha<T> operator[](int i) const {
    return {mantissa[i],       slope[i],   cut[i],    origin_n_deep[i], half_rounder[i],
            exponent_field[i], reserve[i], scaled[i], deepest[i]};
  }
};

// A prepared pattern, passed by value as Uniform is.
template <class P, size_t capacity>
struct PreparedAlphas {
  const PreparedPattern<P, capacity>* pattern;
  P operator[](int i) const { return (*pattern)[i]; }
};

// The memory of a block's inputs and results, where they are not in the arrays.
template <class T>
struct BackwardBuffers {
  alignas(64) T grad[max_block<T>];
  alignas(64) T source[max_block<T>];
  alignas(64) T dx[max_block<T>];
  alignas(64) T terms[max_block<T>];  // or the first of two factors
  alignas(64) T factor[max_block<T>];
};

template <class T>
void fill_zero(T* values, int begin, int end) {
  for (int i = begin; i < end; ++i) {
    values[i] = T(0);
  }
}

// Rows of one channel, each longer than a run. Element i of a piece adds to lane i % row_lanes.
template <class Mode, class S>
PartialSum backward_rows(const Tile& tile, Store store, const S* grad, const S* source,
                         Arithmetic<S> alpha, S* dx, int64_t channel) {
  using T = Arithmetic<S>;
  using Prepared = typename Mode::template Prepared<T>;
  constexpr int group = terms_per_lane * row_lanes;
  const bool short_alpha = Mode::short_alpha(alpha);
  const Uniform<T> scaled{Mode::scaled(alpha)};
  const Uniform<Prepared> prepared{Mode::prepare(alpha)};
  Sums<T, row_lanes> sums;
  BackwardBuffers<T> buffers;
  for_each_piece<T>(tile, channel, [&](int64_t at, int n) {
    const T* const g = read(grad + at, buffers.grad, n);
    const T* const s = read(source + at, buffers.source, n);
    T* const to = target(dx + at, buffers.dx, store);
    T* const terms = buffers.terms;
    const int padded = (n + group - 1) / group * group;
    bool is_short = short_alpha && backward_short<Mode>(g, s, scaled, to, terms, n);
    if (is_short) {
      fill_zero(terms, n, padded);
      ELULAYER_LANES_INSIDE
      for (int i = 0; i < padded; i += group) {
        is_short = add_fours(terms + i, row_lanes) && is_short;
      }
    }
    if (is_short) {
      ELULAYER_LANES_INSIDE
      for (int i = 0; i < padded; i += group) {
        sums.add(terms + i, row_lanes);
      }
    } else {
      backward_any<Mode>(g, s, prepared, to, buffers.terms, buffers.factor, n);
      fill_zero(buffers.terms, n, padded);
      fill_zero(buffers.factor, n, padded);
      ELULAYER_LANES_INSIDE
      for (int i = 0; i < padded; i += row_lanes) {
        sums.add_products(buffers.terms + i, buffers.factor + i, row_lanes);
      }
    }
    write(to, dx + at, n, store);
  });
  return sums.total(0, row_lanes, 1, 0);
}

// Short rows: element i of every run adds to lane i. Four runs make a block.
template <class Mode, class S>
void backward_patterns(const Tile& tile, Store store, const S* grad, const S* source,
                       const Arithmetic<S>* alpha, S* dx, PartialSum* partials) {
  using T = Arithmetic<S>;
  using Prepared = typename Mode::template Prepared<T>;
  alignas(64) T scaled[max_run<T>];
  bool short_alphas = true;
  int width = 0;
  for_each_in_pattern(tile, [&](int64_t c) {
    short_alphas = short_alphas && Mode::short_alpha(alpha[c]);
    scaled[width++] = Mode::scaled(alpha[c]);
  });
  const T* const scaled_alphas = scaled;
  PreparedPattern<Prepared, max_run<T>> prepared;
  const PreparedAlphas<Prepared, max_run<T>> alphas{&prepared};
  bool is_prepared = false;
  Sums<T, max_run<T>> sums;
  BackwardBuffers<T> buffers;

  int64_t offsets[terms_per_lane];
  int sizes[terms_per_lane];
  int runs = 0;
  const auto block = [&] {
    const T* g[terms_per_lane];
    const T* s[terms_per_lane];
    T* to[terms_per_lane];
    bool is_short = short_alphas;
    for (int r = 0; r < runs; ++r) {
      const int64_t at = offsets[r];
      const int begin = r * width;
      g[r] = read(grad + at, buffers.grad + begin, sizes[r]);
      s[r] = read(source + at, buffers.source + begin, sizes[r]);
      to[r] = target(dx + at, buffers.dx + begin, store);
      is_short = is_short && backward_short<Mode>(g[r], s[r], scaled_alphas, to[r],
                                                  buffers.terms + begin, sizes[r]);
    }
    if (is_short) {
      fill_zero(buffers.terms, (runs - 1) * width + sizes[runs - 1], terms_per_lane * width);
      is_short = add_fours(buffers.terms, width);
    }
    if (is_short) {
      sums.add(buffers.terms, width);
    } else {
      if (!is_prepared) {
        int i = 0;
        for_each_in_pattern(tile, [&](int64_t c) { prepared.set(i++, Mode::prepare(alpha[c])); });
        is_prepared = true;
      }
      for (int r = 0; r < runs; ++r) {
        backward_any<Mode>(g[r], s[r], alphas, to[r], buffers.terms, buffers.factor, sizes[r]);
        sums.add_products(buffers.terms, buffers.factor, sizes[r]);
      }
    }
    for (int r = 0; r < runs; ++r) {
      write(to[r], dx + offsets[r], sizes[r], store);
    }
    runs = 0;
  };
  for_each_pattern(tile, width, [&](int64_t at, int n) {
    offsets[runs] = at;
    sizes[runs] = n;
    if (++runs == terms_per_lane) {
      block();
    }
  });
  if (runs > 0) {
    block();
  }
  pattern_totals(tile, sums, partials);
}

template <class Mode, class S>
void backward(const Tile& tile, Store store, const S* grad, const S* source,
              const Arithmetic<S>* alpha, S* dx, PartialSum* partials) {
  alpha += tile.first_channel;
  partials += tile.first_partial;
  if (tile.outers_per_run == 0) {
    for (int64_t c = 0; c < tile.channels; ++c) {
      partials[c] = backward_rows<Mode>(tile, store, grad, source, alpha[c], dx, c);
    }
  } else {
    backward_patterns<Mode>(tile, store, grad, source, alpha, dx, partials);
  }
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

const Kernels ELULAYER_KERNELS = {
    instruction_set, ELULAYER_FAST_FMA != 0, table<float>,
    table<double>,   table<float16>,         table<bfloat16>,
};

}  // namespace elulayer::cpu
