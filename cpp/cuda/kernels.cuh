// The kernels of the CUDA unit. The formulae are the CPU's: math/forward.hpp and math/backward.hpp.
//
// The bodies use threadIdx, blockIdx, __syncthreads, __shfl_xor_sync, and what device.cuh has;
// tests/cpp/cuda runs them unchanged on a CPU.
#pragma once

#include <type_traits>

#include "cuda/device.cuh"
#include "cuda/plan.hpp"
#include "cuda/sums.cuh"
#include "math/backward.hpp"
#include "math/forward.hpp"

namespace elulayer::cuda {
namespace {

// Vectors of each array that a thread reads before it needs the first. Where double, or an alpha
// for each element, needs the registers, the other blocks' reads must do.
template <class T, bool fold>
constexpr int in_flight = fold && sizeof(T) < sizeof(double) ? 2 : 1;

// Elements of a vector whose form in backward is chosen together: more take more registers.
template <int vector, bool fold>
constexpr int together = vector < 2           ? 1
                         : vector > 2 && fold ? 4
                                              : 2;

__device__ int thread_x(const Plan& plan) {
  return static_cast<int>(threadIdx.x) & (plan.block_x - 1);
}
__device__ int thread_y(const Plan& plan) { return static_cast<int>(threadIdx.x) >> plan.x_bits; }

// Where a thread works: at `first`, and in `steps` steps of `stride` from there. Of a vector there
// it has the elements that lie in [low, high): none, beyond the end of a last row that is shorter.
struct Place {
  std::int64_t first;
  std::int64_t stride;
  int steps;
  std::int64_t low;
  std::int64_t high;
  std::int64_t column;  // of the first element
};

// count / 2^bits, rounded up; 0 for a negative count.
__device__ int steps_of(std::int64_t count, int bits) {
  return count <= 0 ? 0 : static_cast<int>((count + (std::int64_t{1} << bits) - 1) >> bits);
}

// `vector` and `fold` are the plan's; planes are always folded.
template <int vector, bool fold>
__device__ Place find_place(const Plan& plan) {
  const std::int64_t x = static_cast<std::int64_t>(thread_x(plan)) * vector;
  Place place;
  if (fold && plan.by_planes) {
    const std::int64_t plane = blockIdx.x / plan.tiles;
    const std::int64_t part = blockIdx.x % plan.tiles;
    place.low = plane * plan.inner;
    place.high = place.low + plan.inner;
    place.stride = block_size * vector;
    const std::int64_t steps = part * plan.slab_rows;  // of the parts before
    place.first = place.low - place.low % vector + steps * place.stride + x;
    constexpr int vector_bits = vector == 1 ? 0 : vector == 2 ? 1 : vector == 4 ? 2 : 3;
    static_assert(vector == 1 << vector_bits, "a vector is of 1, 2, 4 or 8 elements");
    const int left = steps_of(place.high - place.first, block_bits + vector_bits);
    place.steps = left < plan.slab_rows ? left : static_cast<int>(plan.slab_rows);
    place.column = place.low;
  } else {
    place.column = blockIdx.x * plan.tile_columns() + x;
    place.low = 0;
    place.high = plan.size;
    place.stride = plan.block_y * plan.columns;
    const std::int64_t slab = blockIdx.y * plan.slab_rows;
    const std::int64_t row = slab + thread_y(plan);
    place.first = row * plan.columns + place.column;
    const std::int64_t end = slab + plan.slab_rows < plan.rows ? slab + plan.slab_rows : plan.rows;
    place.steps = place.column < plan.columns ? steps_of(end - row, block_bits - plan.x_bits) : 0;
  }
  return place;
}

// The alphas of a thread's vector, or of its first column for all, from the array or, where there
// is none, `value`.
template <int count, class T>
__device__ void read_alphas(const Plan& plan, const Place& place, const T* alpha, T value,
                            T (&alphas)[count]) {
  std::int64_t channel = 0;
  std::int64_t inside = 0;  // its columns before this one
  if (alpha != nullptr) {
    if (place.column < (std::int64_t{1} << 32) && plan.inner < (std::int64_t{1} << 32)) {
      const auto column = static_cast<std::uint32_t>(place.column);
      const auto inner = static_cast<std::uint32_t>(plan.inner);
      channel = column / inner;
      inside = column % inner;
    } else {
      channel = place.column / plan.inner;
      inside = place.column % plan.inner;
    }
    if (channel >= plan.channels) {
      channel %= plan.channels;
    }
  }
  ELULAYER_UNROLL
  for (int v = 0; v < count; ++v) {
    alphas[v] = alpha == nullptr ? value : alpha[channel];
    if (count > 1 && ++inside == plan.inner) {
      inside = 0;
      channel = channel + 1 == plan.channels ? 0 : channel + 1;
    }
  }
}

// Whether all elements of the vector at `at` are the thread's.
template <int vector>
__device__ bool is_whole(const Place& place, std::int64_t at) {
  return at >= place.low && at + vector <= place.high;
}

// The elements of the vector at `at` as numbers; zeros for those that are not the thread's.
template <int vector, class S>
__device__ void read(const Place& place, const S* from, std::int64_t at, S (&values)[vector]) {
  if (is_whole<vector>(place, at)) {
    load_vector(from + at, values);
  } else {
    ELULAYER_UNROLL
    for (int v = 0; v < vector; ++v) {
      const bool own = at + v >= place.low && at + v < place.high;
      values[v] = own ? from[at + v] : S{};
    }
  }
}

template <int vector, class S>
__device__ void write(const Place& place, const S (&values)[vector], S* to, std::int64_t at) {
  if (is_whole<vector>(place, at)) {
    store_vector(values, to + at);
  } else {
    ELULAYER_UNROLL
    for (int v = 0; v < vector; ++v) {
      if (at + v >= place.low && at + v < place.high) {
        to[at + v] = values[v];
      }
    }
  }
}

template <class S>
__device__ Arithmetic<S> to_arithmetic(S value) {
  if constexpr (sizeof(S) == 2) {
    return widen(value);
  } else {
    return value;
  }
}

// Rounds values to elements of a vector, from `first` on.
template <int count, int vector, class S>
__device__ void from_arithmetic(const Arithmetic<S> (&values)[count], S (&results)[vector],
                                int first = 0) {
  if constexpr (sizeof(S) == 2) {
    narrow(values, results + first);
  } else {
    ELULAYER_UNROLL
    for (int i = 0; i < count; ++i) {
      results[first + i] = values[i];
    }
  }
}

// Z of a vector in place of its xs.
template <int vector, int alphas_count, class S>
__device__ void forward_vector(S (&xs)[vector], const Arithmetic<S> (&alphas)[alphas_count]) {
  Arithmetic<S> zs[vector];
  ELULAYER_UNROLL
  for (int v = 0; v < vector; ++v) {
    zs[v] = elu_element(to_arithmetic(xs[v]), alphas[v % alphas_count], expm1_x_min<Arithmetic<S>>);
  }
  from_arithmetic(zs, xs);
}

// The second launch bound of a kernel is how many blocks on a multiprocessor it leaves registers
// for, where the compiler alone would take more, or spill one; 0 leaves it alone.

// z = x, or alpha expm1(x) where x <= 0. `fold` is the plan's: one alpha for all columns of a
// thread.
template <int vector, bool fold, class S>
__global__ void __launch_bounds__(block_size, fold || vector > 2 ? 0 : five_blocks)
    forward_kernel(Plan plan, const S* x, const Arithmetic<S>* alpha, Arithmetic<S> alpha_value,
                   S* z) {
  using T = Arithmetic<S>;
  const Place place = find_place<vector, fold>(plan);
  T alphas[fold ? 1 : vector];
  read_alphas(plan, place, alpha, alpha_value, alphas);
  constexpr int count = in_flight<T, fold>;
  std::int64_t at = place.first;
  ELULAYER_NO_UNROLL
  for (int left = place.steps; left > 0; left -= count, at += count * place.stride) {
    S xs[count][vector];
    ELULAYER_UNROLL
    for (int i = 0; i < count; ++i) {
      if (i < left) {
        read(place, x, at + i * place.stride, xs[i]);
      }
    }
    ELULAYER_UNROLL
    for (int i = 0; i < count; ++i) {
      if (i < left) {
        forward_vector(xs[i], alphas);
        write(place, xs[i], z, at + i * place.stride);
      }
    }
  }
}

// z as above, and memory = expm1(min(x, 0)).
template <int vector, bool fold, class S>
__global__ void __launch_bounds__(block_size, vector == 2 || vector == 8 ? five_blocks : 0)
    remember_kernel(Plan plan, const S* x, const Arithmetic<S>* alpha, Arithmetic<S> alpha_value,
                    S* z, S* memory) {
  using T = Arithmetic<S>;
  const Place place = find_place<vector, fold>(plan);
  constexpr int alphas_count = fold ? 1 : vector;
  T alphas[alphas_count];
  read_alphas(plan, place, alpha, alpha_value, alphas);
  std::int64_t at = place.first;
  ELULAYER_NO_UNROLL
  for (int left = place.steps; left > 0; --left, at += place.stride) {
    S xs[vector];
    read(place, x, at, xs);
    S memories[vector];
    ELULAYER_UNROLL
    for (int v = 0; v < vector; ++v) {
      const Remembered<T> both =
          elu_remembered(to_arithmetic(xs[v]), alphas[v % alphas_count], expm1_x_min<T>);
      const T z_value[] = {both.z};
      const T memory_value[] = {both.memory};
      from_arithmetic(z_value, xs, v);
      from_arithmetic(memory_value, memories, v);
    }
    write(place, xs, z, at);
    write(place, memories, memory, at);
  }
}

// dX of one element, and its term, by the form for every input: rare, and too long to be unrolled.
template <class Mode, class T>
__device__ __noinline__ AnyBackward<T> backward_any(T g, T source, T alpha) {
  return Mode::any_form(g, source, alpha,
                        Mode::short_form(g, source, scaled_or_nan<Mode>(alpha)).dx);
}

// dX of `count` elements from `first` on in place of their gs, and their terms: by the short form
// if that is right for all of them.
template <class Mode, int count, int vector, int sums_count, class S>
__device__ void backward_part(int first, S (&gs)[vector], const S (&sources)[vector],
                              const Arithmetic<S> (&alphas)[sums_count], bool short_alphas,
                              Sum<Arithmetic<S>> (&sums)[sums_count]) {
  using T = Arithmetic<S>;
  T dx[count];
  T terms[count];
  T probe = T(0);  // becomes NaN where a result is not finite
  bool is_short = short_alphas;
  ELULAYER_UNROLL
  for (int i = 0; i < count; ++i) {
    const int v = first + i;
    const T source = to_arithmetic(sources[v]);
    const ShortBackward<T> element =
        Mode::short_form(to_arithmetic(gs[v]), source, Mode::scaled(alphas[v % sums_count]));
    dx[i] = element.dx;
    terms[i] = element.term;
    probe = multiply_add(element.dx, T(0), multiply_add(element.term, T(0), probe));
    if constexpr (Mode::goes_deep) {
      is_short = is_short && source >= deep<T>;
    }
  }
  if (is_short && probe == T(0)) {
    ELULAYER_UNROLL
    for (int i = 0; i < count; ++i) {
      Sum<T>& sum = sums[(first + i) % sums_count];
      sum = add_term(sum, terms[i]);
    }
  } else {
    ELULAYER_UNROLL
    for (int i = 0; i < count; ++i) {
      const int v = first + i;
      const AnyBackward<T> element = backward_any<Mode>(
          to_arithmetic(gs[v]), to_arithmetic(sources[v]), alphas[v % sums_count]);
      dx[i] = element.dx;
      Sum<T>& sum = sums[v % sums_count];
      sum = add_product(sum, element.factor_grad, element.factor);
    }
  }
  from_arithmetic(dx, gs, first);
}

// Adds the sums that a block's threads have of its columns, channel by channel, into `partials`.
template <int sums_count, class T>
__device__ void add_block(const Plan& plan, const Sum<T> (&sums)[sums_count], Sum<T>* partials) {
  // The rows of threads of each entry: a column, or a folded vector of columns.
  Sum<T>* const shared = shared_memory<Sum<T>>();
  const int width = plan.block_x * sums_count;
  ELULAYER_UNROLL
  for (int v = 0; v < sums_count; ++v) {
    shared[thread_y(plan) * width + thread_x(plan) * sums_count + v] = sums[v];
  }
  __syncthreads();
  if (plan.block_y > 1) {
    for (int i = static_cast<int>(threadIdx.x); i < width; i += block_size) {
      Sum<T> sum = shared[i];
      for (int y = 1; y < plan.block_y; ++y) {
        sum = add(sum, shared[y * width + i]);
      }
      shared[i] = sum;
    }
    __syncthreads();
  }

  // The entries of each channel.
  const int columns_of_entry = plan.vector / sums_count;
  const std::int64_t inner = plan.by_planes ? width : plan.inner / columns_of_entry;
  const std::int64_t begin = plan.by_planes ? 0 : blockIdx.x * static_cast<std::int64_t>(width);
  const std::int64_t all = plan.by_planes ? width : (plan.columns - 1) / columns_of_entry + 1;
  const std::int64_t end = begin + width < all ? begin + width : all;
  const std::int64_t first_channel = begin / inner;
  const int channels = static_cast<int>((end - 1) / inner - first_channel + 1);
  Sum<T>* const own = partials + (blockIdx.x + first_channel) * plan.slabs + blockIdx.y;
  const int team = inner < warp_size ? 1 : warp_size;
  const int member = static_cast<int>(threadIdx.x) % team;
  for (int i = static_cast<int>(threadIdx.x) / team; i < channels; i += block_size / team) {
    const std::int64_t first = (first_channel + i) * inner - begin;
    const int from = first > 0 ? static_cast<int>(first) : 0;
    const int to = static_cast<int>(first + inner < end - begin ? first + inner : end - begin);
    Sum<T> sum{};
    for (int entry = from + member; entry < to; entry += team) {
      sum = add(sum, shared[entry]);
    }
    if (team == warp_size) {
      sum = add_warp(sum);
    }
    if (member == 0) {
      own[static_cast<std::int64_t>(i) * plan.slabs] = sum;
    }
  }
}

// dx = g, or g alpha exp(x) where x <= 0, and each block's sums of its terms, 0 or g expm1(x).
// `fold` is the plan's: one sum and one alpha for all columns of a thread.
template <class Mode, int vector, bool fold, class S>
__global__ void __launch_bounds__(block_size, fold || vector < 8 ? 0 : 3)
    backward_kernel(Plan plan, const S* grad, const S* source, const Arithmetic<S>* alpha,
                    Arithmetic<S> alpha_value, S* dx, Sum<Arithmetic<S>>* partials) {
  using T = Arithmetic<S>;
  constexpr int sums_count = fold ? 1 : vector;
  const Place place = find_place<vector, fold>(plan);
  T alphas[sums_count];
  read_alphas(plan, place, alpha, alpha_value, alphas);
  bool short_alphas = true;
  ELULAYER_UNROLL
  for (int v = 0; v < sums_count; ++v) {
    if constexpr (std::is_same_v<Mode, FromOutput>) {
      alphas[v] = alphas[v] > T(0) ? alphas[v] : T(__builtin_nanf(""));
    }
    short_alphas = short_alphas && Mode::short_alpha(alphas[v]);
  }
  Sum<T> sums[sums_count] = {};
  constexpr int count = in_flight<T, fold>;
  std::int64_t at = place.first;
  ELULAYER_NO_UNROLL
  for (int left = place.steps; left > 0; left -= count, at += count * place.stride) {
    S gs[count][vector];
    S sources[count][vector];
    ELULAYER_UNROLL
    for (int i = 0; i < count; ++i) {
      if (i < left) {
        read(place, grad, at + i * place.stride, gs[i]);
        read(place, source, at + i * place.stride, sources[i]);
      }
    }
    ELULAYER_UNROLL
    for (int i = 0; i < count; ++i) {
      if (i < left) {
        constexpr int part = together<vector, fold>;
        ELULAYER_UNROLL
        for (int v = 0; v < vector; v += part) {
          backward_part<Mode, part>(v, gs[i], sources[i], alphas, short_alphas, sums);
        }
        write(place, gs[i], dx, at + i * place.stride);
      }
    }
  }
  add_block(plan, sums, partials);
}

// The partial sums of a channel that a team of threads has been given, `count` neighbours in each
// of the groups: by columns, joined rows have their own; by planes, each row of the array.
template <class T>
__device__ Sum<T> add_partials(const Plan& plan, const Sum<T>* partials, std::int64_t channel,
                               int member, int team) {
  Sum<T> sum{};
  const std::int64_t groups = plan.by_planes ? plan.rows / plan.channels : plan.joined;
  for (std::int64_t group = 0; group < groups; ++group) {
    const std::int64_t own = group * plan.channels + channel;
    std::int64_t first = own * plan.tiles;
    std::int64_t count = plan.tiles;
    if (!plan.by_planes) {
      const std::int64_t width = plan.tile_columns();
      const std::int64_t first_tile = own * plan.inner / width;
      const std::int64_t last_tile = ((own + 1) * plan.inner - 1) / width;
      first = (first_tile + own) * plan.slabs;
      count = (last_tile - first_tile + 1) * plan.slabs;
    }
    for (std::int64_t i = member; i < count; i += team) {
      sum = add(sum, partials[first + i]);
    }
  }
  return sum;
}

// dalpha = the sum of the terms / term_divisor, from the partial sums: a team of threads, a warp or
// a block, for each channel.
template <class Mode, int team, class T>
__global__ void __launch_bounds__(block_size)
    combine_kernel(Plan plan, const Sum<T>* partials, const T* alpha, T alpha_value, T* dalpha) {
  constexpr int teams = block_size / team;
  const int member = static_cast<int>(threadIdx.x) % team;
  for (std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * teams; first < plan.channels;
       first += combine_blocks * teams) {
    // Teams beyond the last channel add that of the last, and do not write it.
    const std::int64_t own = first + static_cast<int>(threadIdx.x) / team;
    const std::int64_t channel = own < plan.channels ? own : plan.channels - 1;
    Sum<T> sum = add_warp(add_partials(plan, partials, channel, member, team));
    if constexpr (team > warp_size) {
      Sum<T>* const shared = shared_memory<Sum<T>>();
      __syncthreads();  // the sums of the channel before have been read
      if (member % warp_size == 0) {
        shared[member / warp_size] = sum;
      }
      __syncthreads();
      if (member == 0) {
        for (int warp = 1; warp < team / warp_size; ++warp) {
          sum = add(sum, shared[warp]);
        }
      }
    }
    if (own == channel && member == 0) {
      const T channel_alpha = alpha == nullptr ? alpha_value : alpha[channel];
      dalpha[channel] = quotient(sum, Mode::term_divisor(channel_alpha));
    }
  }
}

}  // namespace
}  // namespace elulayer::cuda
