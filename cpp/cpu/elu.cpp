// The native API: tiles on threads, then the partial sums of alpha's gradient in a fixed order.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "cpu/cache.hpp"
#include "cpu/dispatch.hpp"
#include "cpu/partition.hpp"
#include "cpu/threads.hpp"
#include "elulayer/elulayer.hpp"
#include "math/backward.hpp"

namespace elulayer {
namespace {

template <class T>
const cpu::KernelTable<T>& kernels() {
  if constexpr (std::is_same_v<T, float>) {
    return cpu::active_kernels().f32;
  } else if constexpr (std::is_same_v<T, double>) {
    return cpu::active_kernels().f64;
  } else if constexpr (std::is_same_v<T, float16>) {
    return cpu::active_kernels().f16;
  } else {
    return cpu::active_kernels().bf16;
  }
}

template <class T>
cpu::Partition partition(Shape shape) {
  return {shape, cpu::run_size(sizeof(Arithmetic<T>))};
}

// Streamed stores save the reading of the lines that are written, and lose them for a reader that
// follows at once: they pay where the arrays are larger than the last level of cache.
template <class T>
cpu::Store choose_store(std::int64_t size, const T* result,
                        std::initializer_list<const T*> inputs) {
  for (const T* const input : inputs) {
    if (input == result) {
      return cpu::Store::buffered;
    }
  }
  const std::int64_t cache = cpu::last_level_cache();
  const std::int64_t arrays = 1 + static_cast<std::int64_t>(inputs.size());
  const bool larger = size > cache / (arrays * static_cast<std::int64_t>(sizeof(T)));
  return cache > 0 && larger ? cpu::Store::streamed : cpu::Store::direct;
}

// Number of elements of the shape.
std::int64_t checked_size(Shape shape) {
  constexpr std::int64_t max = std::numeric_limits<std::int64_t>::max();
  const std::int64_t extents[] = {shape.outer, shape.channels, shape.inner};
  bool empty = false;
  for (const std::int64_t extent : extents) {
    if (extent < 0) {
      throw std::invalid_argument("shape (" + std::to_string(shape.outer) + ", " +
                                  std::to_string(shape.channels) + ", " +
                                  std::to_string(shape.inner) + ") has a negative extent");
    }
    empty = empty || extent == 0;
  }
  if (empty) {
    return 0;
  }
  std::int64_t size = 1;
  for (const std::int64_t extent : extents) {
    if (extent > max / size) {
      throw std::invalid_argument(
          "shape (" + std::to_string(shape.outer) + ", " + std::to_string(shape.channels) + ", " +
          std::to_string(shape.inner) + ") has more than 2^63 - 1 elements");
    }
    size *= extent;
  }
  return size;
}

// Partial sums of a channel, added in order at one scale, compensated (Knuth's TwoSum).
struct RunningSum {
  double sum = 0;
  double compensation = 0;
  double scale = 1;

  void add(const cpu::PartialSum& partial) {
    const double factor = scale / partial.scale;
    const double term = partial.sum * factor;
    const double s = sum + term;
    const double t = s - sum;
    compensation += (sum - (s - t)) + (term - t);
    compensation += partial.compensation * factor;
    sum = s;
  }

  // The sum / (scale * divisor).
  double unscaled(double divisor) const {
    if (std::isnan(sum)) {
      return std::numeric_limits<double>::quiet_NaN();
    }
    // An infinite sum has a NaN for compensation.
    const double total = std::isfinite(sum) ? sum + compensation : sum;
    // By mantissas and exponents: neither the sum at its scale nor a quotient on the way overflows
    // or becomes subnormal where the result does not.
    int exponent = 0;
    int divisor_exponent = 0;
    const double mantissa = std::frexp(total, &exponent);
    const double divisor_mantissa = std::frexp(divisor, &divisor_exponent);
    return std::ldexp(mantissa / divisor_mantissa, exponent - divisor_exponent - std::ilogb(scale));
  }
};

// Channels whose partial sums are added side by side: they share lines of the cache.
constexpr std::int64_t channel_group = 16;

// dalpha[c] = sum / divisor(c) for the channels [first, last), at most channel_group, from the
// partial sums of all channels, leaf by leaf.
template <class T, class Divisor>
void combine(const cpu::PartialSum* partials, std::int64_t leaves, std::int64_t channels,
             std::int64_t first, std::int64_t last, const Divisor& divisor, T* dalpha) {
  RunningSum totals[channel_group];
  for (std::int64_t c = first; c < last; ++c) {
    totals[c - first].scale = partials[c].scale;
  }
  for (std::int64_t leaf = 0; leaf < leaves; ++leaf) {
    for (std::int64_t c = first; c < last; ++c) {
      totals[c - first].add(partials[leaf * channels + c]);
    }
  }
  for (std::int64_t c = first; c < last; ++c) {
    RunningSum& total = totals[c - first];
    if (!std::isfinite(total.sum)) {
      // At a scale at which finite partial sums cannot overflow on the way.
      total = {0, 0, cpu::rescue_scale};
      for (std::int64_t leaf = 0; leaf < leaves; ++leaf) {
        total.add(partials[leaf * channels + c]);
      }
    }
    dalpha[c] = static_cast<T>(total.unscaled(divisor(c)));
  }
}

// Runs task(tile, partials) on all tiles, and adds up each channel's partial sums to
// dalpha[c] = sum / divisor(c).
template <class T, class Task, class Divisor>
void run_with_sums(Shape shape, std::int64_t size, int threads, T* dalpha, const Task& task,
                   const Divisor& divisor) {
  if (size == 0) {
    for (std::int64_t c = 0; c < shape.channels; ++c) {
      dalpha[c] = T(0);
    }
    return;
  }
  const cpu::Partition tiles(shape, cpu::run_size(sizeof(T)));
  const std::int64_t sums = tiles.leaves() * shape.channels;
  // Without values: the tasks write each of them.
  const std::unique_ptr<cpu::PartialSum[]> partials(
      new cpu::PartialSum[static_cast<std::size_t>(sums)]);
  cpu::parallel_for(tiles.tiles(), threads,
                    [&](std::int64_t i) { task(tiles.tile(i), partials.get()); });
  const std::int64_t groups = (shape.channels + channel_group - 1) / channel_group;
  cpu::parallel_for(groups, cpu::choose_threads(threads, sums), [&](std::int64_t i) {
    const std::int64_t first = i * channel_group;
    combine(partials.get(), tiles.leaves(), shape.channels, first,
            std::min(first + channel_group, shape.channels), divisor, dalpha);
  });
}

template <class T, class Divisor>
void run_backward(typename cpu::KernelTable<T>::Backward kernel, const T* grad, const T* source,
                  const Arithmetic<T>* alpha, T* dx, Arithmetic<T>* dalpha, Shape shape,
                  int num_threads, const Divisor& divisor) {
  const std::int64_t size = checked_size(shape);
  const int threads = cpu::choose_threads(num_threads, size);
  const cpu::Store store = choose_store<T>(size, dx, {grad, source});
  run_with_sums(
      shape, size, threads, dalpha,
      [&](const cpu::Tile& tile, cpu::PartialSum* partials) {
        kernel(tile, store, grad, source, alpha, dx, partials);
      },
      divisor);
}

double one(std::int64_t) { return 1; }

}  // namespace

template <class T>
void elu(const T* x, const Arithmetic<T>* alpha, T* z, Shape shape, int num_threads) {
  const std::int64_t size = checked_size(shape);
  const int threads = cpu::choose_threads(num_threads, size);
  const cpu::KernelTable<T>& table = kernels<T>();
  if (size == 0) {
    return;
  }
  const cpu::Store store = choose_store<T>(size, z, {x});
  const cpu::Partition tiles = partition<T>(shape);
  cpu::parallel_for(tiles.tiles(), threads,
                    [&](std::int64_t i) { table.forward(tiles.tile(i), store, x, alpha, z); });
}

template <class T>
void elu_with_memory(const T* x, const Arithmetic<T>* alpha, T* z, T* memory, Shape shape,
                     int num_threads) {
  const std::int64_t size = checked_size(shape);
  const int threads = cpu::choose_threads(num_threads, size);
  const cpu::KernelTable<T>& table = kernels<T>();
  if (size == 0) {
    return;
  }
  const cpu::Partition tiles = partition<T>(shape);
  cpu::parallel_for(tiles.tiles(), threads, [&](std::int64_t i) {
    table.forward_with_memory(tiles.tile(i), x, alpha, z, memory);
  });
}

template <class T>
void elu_backward(const T* grad, const T* x, const Arithmetic<T>* alpha, T* dx,
                  Arithmetic<T>* dalpha, Shape shape, int num_threads) {
  run_backward(kernels<T>().backward_from_input, grad, x, alpha, dx, dalpha, shape, num_threads,
               one);
}

template <class T>
void elu_backward_from_memory(const T* grad, const T* memory, const Arithmetic<T>* alpha, T* dx,
                              Arithmetic<T>* dalpha, Shape shape, int num_threads) {
  run_backward(kernels<T>().backward_from_memory, grad, memory, alpha, dx, dalpha, shape,
               num_threads, one);
}

template <class T>
void elu_backward_from_output(const T* grad, const T* z, const Arithmetic<T>* alpha, T* dx,
                              Arithmetic<T>* dalpha, Shape shape, int num_threads) {
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    if (!(alpha[c] > 0)) {
      throw std::invalid_argument("alpha[" + std::to_string(c) + "] is " +
                                  std::to_string(alpha[c]) +
                                  "; backward from the output needs alphas greater than 0");
    }
  }
  run_backward(
      kernels<T>().backward_from_output, grad, z, alpha, dx, dalpha, shape, num_threads,
      [alpha](std::int64_t c) { return static_cast<double>(FromOutput::term_divisor(alpha[c])); });
}

template <class T>
void elu_double_backward(const T* v, const Arithmetic<T>* w, const T* grad, const T* x,
                         const Arithmetic<T>* alpha, T* dgrad, T* dx, Arithmetic<T>* dalpha,
                         Shape shape, int num_threads) {
  const std::int64_t size = checked_size(shape);
  const int threads = cpu::choose_threads(num_threads, size);
  const cpu::KernelTable<T>& table = kernels<T>();
  run_with_sums(
      shape, size, threads, dalpha,
      [&](const cpu::Tile& tile, cpu::PartialSum* partials) {
        table.double_backward(tile, v, w, grad, x, alpha, dgrad, dx, partials);
      },
      one);
}

#define ELULAYER_INSTANTIATE(T)                                                                   \
  template void elu(const T*, const Arithmetic<T>*, T*, Shape, int);                              \
  template void elu_with_memory(const T*, const Arithmetic<T>*, T*, T*, Shape, int);              \
  template void elu_backward(const T*, const T*, const Arithmetic<T>*, T*, Arithmetic<T>*, Shape, \
                             int);                                                                \
  template void elu_backward_from_memory(const T*, const T*, const Arithmetic<T>*, T*,            \
                                         Arithmetic<T>*, Shape, int);                             \
  template void elu_backward_from_output(const T*, const T*, const Arithmetic<T>*, T*,            \
                                         Arithmetic<T>*, Shape, int);                             \
  template void elu_double_backward(const T*, const Arithmetic<T>*, const T*, const T*,           \
                                    const Arithmetic<T>*, T*, T*, Arithmetic<T>*, Shape, int);

ELULAYER_INSTANTIATE(float)
ELULAYER_INSTANTIATE(double)
ELULAYER_INSTANTIATE(float16)
ELULAYER_INSTANTIATE(bfloat16)
#undef ELULAYER_INSTANTIATE

}  // namespace elulayer
