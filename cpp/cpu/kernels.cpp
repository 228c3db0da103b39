// The loops of forward and backward. This file is compiled once for each instruction set; README.md
// says what follows from that. The formulae are in elulayer.hpp and math/element.hpp.
#include "cpu/kernels.hpp"

#include "cpu/accumulator.hpp"
#include "math/element.hpp"

namespace elulayer::cpu {
namespace {

// Forward -----------------------------------------------------------------------------------------

// z[i] = elu(x[i], alpha): a row of one channel.
template <class T>
void forward_row(const T* x, T alpha, T* z, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    z[i] = elu(x[i], alpha);
  }
}

// z[c] = elu(x[c], alpha[c]): one element of each channel.
template <class T>
void forward_channels(const T* x, const T* alpha, T* z, int64_t channels) {
#pragma omp simd
  for (int64_t c = 0; c < channels; ++c) {
    z[c] = elu(x[c], alpha[c]);
  }
}

template <class T>
void forward(const Tile& tile, const T* x, const T* alpha, T* z) {
  alpha += tile.first_channel;
  for (int64_t n = 0; n < tile.outers; ++n) {
    const int64_t begin = tile.offset + n * tile.outer_stride;
    if (tile.channel_stride == 1) {
      forward_channels(x + begin, alpha, z + begin, tile.channels);
      continue;
    }
    for (int64_t c = 0; c < tile.channels; ++c) {
      const int64_t row = begin + c * tile.channel_stride;
      forward_row(x + row, alpha[c], z + row, tile.inner);
    }
  }
}

// Backward ----------------------------------------------------------------------------------------

// The factors of a block's terms of dL/dalpha, kept until dx is written: dx may be grad or x.
template <class T>
struct Factors {
  alignas(64) T grad[block_size];   // 0 where x > 0
  alignas(64) T expm1[block_size];  // expm1(x); finite where x > 0
};

// dx and the factors of n elements of one channel.
template <class T>
void backward_row_block(const T* grad, const T* x, const Alpha<T>& alpha, T* dx, int n,
                        Factors<T>& factors) {
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    const T g = grad[i];
    const T xi = x[i];
    const Backward<T> result = elu_backward(g, xi, alpha);
    factors.grad[i] = xi > T(0) ? T(0) : g;
    factors.expm1[i] = result.expm1;
    dx[i] = result.dx;
  }
}

// Fills the last lanes of a block that ends inside them with terms of 0.
template <class T>
int pad_to_lanes(Factors<T>& factors, int n) {
  const int rows = (n + lanes - 1) / lanes;
  for (int i = n; i < rows * lanes; ++i) {
    factors.grad[i] = T(0);
    factors.expm1[i] = T(0);
  }
  return rows;
}

// Rows of one channel. Element i of each row adds to lane i % lanes.
template <class T>
PartialSum backward_rows(const Tile& tile, const T* grad, const T* x, T alpha, T* dx) {
  const Alpha<T> prepared = prepare_alpha(alpha);
  Accumulator<T> sums;
  Factors<T> factors;
  for (int64_t n = 0; n < tile.outers; ++n) {
    const int64_t row = n * tile.outer_stride;
    for (int64_t i = 0; i < tile.inner; i += block_size) {
      const int64_t left = tile.inner - i;
      const int size = left < block_size ? static_cast<int>(left) : block_size;
      const int64_t at = row + i;
      backward_row_block(grad + at, x + at, prepared, dx + at, size, factors);
      sums.add(factors.grad, factors.expm1, pad_to_lanes(factors, size));
    }
  }
  return sums.total();
}

// The prepared alphas of channels that lie side by side.
template <class T>
struct AlphaLanes {
  alignas(64) T mantissa[lanes];
  alignas(64) T slope[lanes];
  alignas(64) T cut[lanes];
  alignas(64) T origin_n_deep[lanes];
  alignas(64) T half_rounder[lanes];
  alignas(64) WordOf<T> exponent_field[lanes];
  alignas(64) WordOf<T> reserve[lanes];

  void set(int c, const Alpha<T>& alpha) {
    mantissa[c] = alpha.mantissa;
    slope[c] = alpha.slope;
    cut[c] = alpha.cut;
    origin_n_deep[c] = alpha.origin_n_deep;
    half_rounder[c] = alpha.half_rounder;
    exponent_field[c] = alpha.exponent_field;
    reserve[c] = alpha.reserve;
  }

  Alpha<T> get(int c) const {
    return {mantissa[c],     slope[c],          cut[c],    origin_n_deep[c],
            half_rounder[c], exponent_field[c], reserve[c]};
  }
};

// One row of a block of columns: an element of each of n channels.
template <class T>
void backward_channels(const T* grad, const T* x, const AlphaLanes<T>& alpha, T* dx, int n,
                       T* factor_grad, T* factor_expm1) {
#pragma omp simd
  for (int c = 0; c < n; ++c) {
    const T g = grad[c];
    const T xc = x[c];
    const Backward<T> result = elu_backward(g, xc, alpha.get(c));
    factor_grad[c] = xc > T(0) ? T(0) : g;
    factor_expm1[c] = result.expm1;
    dx[c] = result.dx;
  }
}

// Columns of up to `lanes` channels that lie side by side. Channel c adds to lane c.
template <class T>
void backward_columns(const Tile& tile, const T* grad, const T* x, const T* alpha, T* dx,
                      int channels, PartialSum* partials) {
  AlphaLanes<T> prepared;
  for (int c = 0; c < channels; ++c) {
    prepared.set(c, prepare_alpha(alpha[c]));
  }
  constexpr int rows_per_block = block_size / lanes;
  Accumulator<T> sums;
  Factors<T> factors = {};
  for (int64_t n = 0; n < tile.outers; n += rows_per_block) {
    const int64_t left = tile.outers - n;
    const int rows = left < rows_per_block ? static_cast<int>(left) : rows_per_block;
    for (int r = 0; r < rows; ++r) {
      const int64_t at = (n + r) * tile.outer_stride;
      backward_channels(grad + at, x + at, prepared, dx + at, channels, factors.grad + r * lanes,
                        factors.expm1 + r * lanes);
    }
    sums.add(factors.grad, factors.expm1, rows);
  }
  for (int c = 0; c < channels; ++c) {
    partials[c] = sums.lane(c);
  }
}

template <class T>
void backward(const Tile& tile, const T* grad, const T* x, const T* alpha, T* dx,
              PartialSum* partials) {
  grad += tile.offset;
  x += tile.offset;
  dx += tile.offset;
  alpha += tile.first_channel;
  partials += tile.first_partial;
  const bool columns = tile.channel_stride == 1;
  for (int64_t c = 0; c < tile.channels; c += columns ? lanes : 1) {
    const int64_t at = c * tile.channel_stride;
    if (columns) {
      const int64_t left = tile.channels - c;
      const int width = left < lanes ? static_cast<int>(left) : lanes;
      backward_columns(tile, grad + at, x + at, alpha + c, dx + at, width, partials + c);
    } else {
      partials[c] = backward_rows(tile, grad + at, x + at, alpha[c], dx + at);
    }
  }
}

#if defined(__AVX512F__) && defined(__AVX512VL__)
constexpr char instruction_set[] = "x86-64-v4";
#elif defined(__AVX2__) && defined(__FMA__)
constexpr char instruction_set[] = "x86-64-v3";
#else
constexpr char instruction_set[] = "baseline";
#endif

}  // namespace

const Kernels ELULAYER_KERNELS = {
    instruction_set,
    {forward<float>, backward<float>},
    {forward<double>, backward<double>},
};

}  // namespace elulayer::cpu
