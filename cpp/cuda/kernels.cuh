// The kernels of the CUDA unit. The formulae are the CPU's: math/forward.hpp and math/backward.hpp.
//
// The bodies use threadIdx, blockIdx, __syncthreads, __shfl_xor_sync, and shared_memory() and the
// vector accesses of device.cuh; tests/cpp/cuda runs them unchanged on a CPU.
#pragma once

#include "cuda/device.cuh"
#include "cuda/plan.hpp"
#include "math/backward.hpp"
#include "math/forward.hpp"
#include "math/half.hpp"

namespace elulayer::cuda {
namespace {

constexpr int warp_size = 32;

ELULAYER_FN float to_arithmetic(float value) { return value; }
ELULAYER_FN double to_arithmetic(double value) { return value; }
ELULAYER_FN float to_arithmetic(float16 value) { return to_float(value); }
ELULAYER_FN float to_arithmetic(bfloat16 value) { return to_float(value); }

ELULAYER_FN void from_arithmetic(float value, float& result) { result = value; }
ELULAYER_FN void from_arithmetic(double value, double& result) { result = value; }
ELULAYER_FN void from_arithmetic(float value, float16& result) { from_float(value, result); }
ELULAYER_FN void from_arithmetic(float value, bfloat16& result) { from_float(value, result); }

// Where a thread works: its columns [column, column + count), and its rows.
struct Place {
  std::int64_t column;
  int count;  // of its vector's columns; 0 beyond the last one
  std::int64_t first_row;
  std::int64_t last_row;
};

__device__ Place find_place(const Plan& plan) {
  const int x = static_cast<int>(threadIdx.x) % plan.block_x;
  const int y = static_cast<int>(threadIdx.x) / plan.block_x;
  Place place;
  place.column = blockIdx.x * plan.tile_columns() + static_cast<std::int64_t>(x) * plan.vector;
  const std::int64_t left = plan.columns - place.column;
  place.count = left >= plan.vector ? plan.vector : left > 0 ? static_cast<int>(left) : 0;
  place.first_row = blockIdx.y * plan.slab_rows + y;
  const std::int64_t end = (blockIdx.y + 1) * plan.slab_rows;
  place.last_row = end < plan.rows ? end : plan.rows;
  return place;
}

// Reads the vector at `from`, or as many of its elements as the array has.
template <int vector, class S>
__device__ void read(const S* from, int count, S (&values)[vector]) {
  if (count == vector) {
    load_vector(from, values);
  } else {
    ELULAYER_UNROLL
    for (int v = 0; v < vector; ++v) {
      values[v] = from[v < count ? v : 0];
    }
  }
}

template <int vector, class S>
__device__ void write(const S (&values)[vector], int count, S* to) {
  if (count == vector) {
    store_vector(values, to);
  } else {
    ELULAYER_UNROLL
    for (int v = 0; v < vector; ++v) {
      if (v < count) {
        to[v] = values[v];
      }
    }
  }
}

// The alphas of a thread's columns.
template <int vector, class T>
__device__ void read_alphas(const Plan& plan, const Place& place, const T* alpha,
                            T (&alphas)[vector]) {
  ELULAYER_UNROLL
  for (int v = 0; v < vector; ++v) {
    alphas[v] = alpha[(place.column + (v < place.count ? v : 0)) / plan.inner];
  }
}

// Z
template <int vector, class S>
__global__ void __launch_bounds__(block_size)
    forward_kernel(Plan plan, const S* x, const Arithmetic<S>* alpha, S* z) {
  using T = Arithmetic<S>;
  const Place place = find_place(plan);
  if (place.count == 0) {
    return;
  }
  T alphas[vector];
  read_alphas(plan, place, alpha, alphas);
  for (std::int64_t row = place.first_row; row < place.last_row; row += plan.block_y) {
    const std::int64_t at = row * plan.columns + place.column;
    S values[vector];
    read(x + at, place.count, values);
    ELULAYER_UNROLL
    for (int v = 0; v < vector; ++v) {
      from_arithmetic(elu_any(to_arithmetic(values[v]), alphas[v]), values[v]);
    }
    write(values, place.count, z + at);
  }
}

// A sum of doubles and what rounding has taken from it (Knuth's TwoSum).
struct Sum {
  double sum;
  double compensation;
};

__device__ Sum add(Sum a, double b) {
  const double sum = a.sum + b;
  const double t = sum - a.sum;
  return {sum, a.compensation + ((a.sum - (sum - t)) + (b - t))};
}

__device__ Sum add(Sum a, Sum b) {
  const Sum sum = add(a, b.sum);
  return {sum.sum, sum.compensation + b.compensation};
}

// What a thread adds the terms of a column in: doubles that are products of floats need no
// compensation, for any number of rows.
template <class T>
struct ThreadSum {
  double sum = 0;
  __device__ void add_term(double term) { sum += term; }
  __device__ Sum total() const { return {sum, 0}; }
};

template <>
struct ThreadSum<double> {
  Sum sum = {0, 0};
  __device__ void add_term(double term) { sum = add(sum, term); }
  __device__ Sum total() const { return sum; }
};

// The sum of a warp's sums, in every lane.
__device__ Sum add_warp(Sum sum) {
  for (int step = warp_size / 2; step > 0; step /= 2) {
    const Sum other{__shfl_xor_sync(0xffffffffu, sum.sum, step),
                    __shfl_xor_sync(0xffffffffu, sum.compensation, step)};
    sum = add(sum, other);
  }
  return sum;
}

// dX, and the term of dL/dalpha, by the short form where that is right; the bits of dX are the
// CPU's.
template <class T>
struct Element {
  T dx;
  double term;
};

// The form for every input: rare, and too long to be unrolled with the loop that calls it.
template <class T>
__device__ __noinline__ Element<T> backward_any(T g, T x, T alpha) {
  const AnyBackward<T> any = FromInput::any_form(g, x, prepare_alpha(alpha));
  return {any.dx, static_cast<double>(any.factor_grad) * static_cast<double>(any.factor)};
}

template <class T>
__device__ Element<T> backward_element(T g, T x, T alpha, bool short_alpha) {
  const ShortBackward<T> brief = backward_short(g, x, alpha / term_scale<T>);
  if (short_alpha && x >= deep<T> && is_finite(brief.dx) && is_finite(brief.term)) {
    return {brief.dx, static_cast<double>(brief.term) / static_cast<double>(term_scale<T>)};
  }
  return backward_any(g, x, alpha);
}

// dX, and each block's sums of its terms, channel by channel, in `partials`.
template <int vector, class S>
__global__ void __launch_bounds__(block_size)
    backward_kernel(Plan plan, const S* grad, const S* x, const Arithmetic<S>* alpha, S* dx,
                    Sum* partials) {
  using T = Arithmetic<S>;
  const Place place = find_place(plan);
  ThreadSum<T> sums[vector];
  if (place.count > 0) {
    T alphas[vector];
    bool short_alphas[vector];
    read_alphas(plan, place, alpha, alphas);
    ELULAYER_UNROLL
    for (int v = 0; v < vector; ++v) {
      short_alphas[v] = is_short_alpha(alphas[v]);
    }
    for (std::int64_t row = place.first_row; row < place.last_row; row += plan.block_y) {
      const std::int64_t at = row * plan.columns + place.column;
      S gs[vector];
      S xs[vector];
      read(grad + at, place.count, gs);
      read(x + at, place.count, xs);
      ELULAYER_UNROLL
      for (int v = 0; v < vector; ++v) {
        const Element<T> element = backward_element(to_arithmetic(gs[v]), to_arithmetic(xs[v]),
                                                    alphas[v], short_alphas[v]);
        from_arithmetic(element.dx, gs[v]);
        sums[v].add_term(element.term);
      }
      write(gs, place.count, dx + at);
    }
  }

  // The rows of threads of each column, in order.
  Sum* const shared = shared_memory<Sum>();
  const int x_index = static_cast<int>(threadIdx.x) % plan.block_x;
  const int y_index = static_cast<int>(threadIdx.x) / plan.block_x;
  const int width = plan.block_x * vector;
  ELULAYER_UNROLL
  for (int v = 0; v < vector; ++v) {
    shared[y_index * width + x_index * vector + v] = v < place.count ? sums[v].total() : Sum{0, 0};
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < width; i += block_size) {
    Sum sum = shared[i];
    for (int y = 1; y < plan.block_y; ++y) {
      sum = add(sum, shared[y * width + i]);
    }
    shared[i] = sum;
  }
  __syncthreads();

  // The columns of each channel.
  const std::int64_t begin = blockIdx.x * plan.tile_columns();
  const std::int64_t end = begin + width < plan.columns ? begin + width : plan.columns;
  const std::int64_t first_channel = begin / plan.inner;
  const int channels = static_cast<int>((end - 1) / plan.inner - first_channel + 1);
  Sum* const own = partials + blockIdx.y * plan.partials_of_slab() + blockIdx.x;
  const auto columns_of = [&](std::int64_t channel, int& from, int& to) {
    const std::int64_t first = channel * plan.inner - begin;
    const std::int64_t last = first + plan.inner;
    from = first > 0 ? static_cast<int>(first) : 0;
    to = last < end - begin ? static_cast<int>(last) : static_cast<int>(end - begin);
  };
  if (plan.inner < warp_size) {
    for (int i = static_cast<int>(threadIdx.x); i < channels; i += block_size) {
      int from = 0;
      int to = 0;
      columns_of(first_channel + i, from, to);
      Sum sum = shared[from];
      for (int column = from + 1; column < to; ++column) {
        sum = add(sum, shared[column]);
      }
      own[first_channel + i] = sum;
    }
  } else {
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    for (int i = static_cast<int>(threadIdx.x) / warp_size; i < channels;
         i += block_size / warp_size) {
      int from = 0;
      int to = 0;
      columns_of(first_channel + i, from, to);
      Sum sum{0, 0};
      for (int column = from + lane; column < to; column += warp_size) {
        sum = add(sum, shared[column]);
      }
      sum = add_warp(sum);
      if (lane == 0) {
        own[first_channel + i] = sum;
      }
    }
  }
}

// dalpha[c] from the partial sums of all slabs and tiles: a warp for each channel.
template <class T>
__global__ void __launch_bounds__(block_size)
    combine_kernel(Plan plan, const Sum* partials, T* dalpha) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  const std::int64_t channel = blockIdx.x * (block_size / warp_size) + threadIdx.x / warp_size;
  if (channel >= plan.channels) {
    return;
  }
  const std::int64_t width = plan.tile_columns();
  const std::int64_t first_tile = channel * plan.inner / width;
  const std::int64_t tiles = ((channel + 1) * plan.inner - 1) / width - first_tile + 1;
  Sum sum{0, 0};
  for (std::int64_t i = lane; i < tiles * plan.slabs; i += warp_size) {
    const std::int64_t at = i / tiles * plan.partials_of_slab() + first_tile + i % tiles + channel;
    sum = add(sum, partials[at]);
  }
  sum = add_warp(sum);
  if (lane == 0) {
    // An infinite sum has a NaN for compensation.
    dalpha[channel] =
        static_cast<T>(is_finite(sum.sum) ? sum.sum + sum.compensation : with_one_nan(sum.sum));
  }
}

}  // namespace
}  // namespace elulayer::cuda
