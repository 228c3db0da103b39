// The native API: tiles on threads, then the partial sums of alpha's gradient in a fixed order.
#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>

#include "cpu/dispatch.hpp"
#include "cpu/partition.hpp"
#include "cpu/threads.hpp"
#include "elulayer/elulayer.hpp"
#include "math/backward.hpp"

namespace elulayer {
namespace {

// What forward costs an element, in float's.
template <class T>
constexpr int cost = sizeof(Arithmetic<T>) == sizeof(double) ? 3 : 1;

// Number of elements of the shape.
std::int64_t checked_size(Shape shape) {
  const auto refuse = [&](const char* what) {
    throw std::invalid_argument("shape (" + std::to_string(shape.outer) + ", " +
                                std::to_string(shape.channels) + ", " +
                                std::to_string(shape.inner) + ") has " + what);
  };
  if (shape.outer < 0 || shape.channels < 0 || shape.inner < 0) {
    refuse("a negative extent");
  }
  if (shape.outer == 0 || shape.channels == 0 || shape.inner == 0) {
    return 0;
  }
  constexpr std::int64_t max = std::numeric_limits<std::int64_t>::max();
  if (shape.channels > max / shape.outer || shape.inner > max / (shape.outer * shape.channels)) {
    refuse("more than 2^63 - 1 elements");
  }
  return shape.outer * shape.channels * shape.inner;
}

// Calls task(tile) for all tiles.
template <class Task>
void run_tiles(const cpu::Partition& tiles, cpu::Team team, const Task& task) {
  cpu::parallel_for(tiles.tiles(), team, [&](std::int64_t i) noexcept { task(tiles.tile(i)); });
}

template <class T, class Task>
void run_forward(Shape shape, std::int64_t size, cpu::Team team, const Task& task) {
  if (size > 0) {
    run_tiles(cpu::Partition(shape, cpu::run_size(sizeof(Arithmetic<T>)), false), team, task);
  }
}

// Channels whose partial sums are added side by side: they share lines of the cache.
constexpr std::int64_t channel_group = 16;

// Calls task(tile, partials) for all tiles, and adds up the partial sums, leaf by leaf, to
// dalpha[c] = sum / Mode::term_divisor(alpha[c]). The sums are of terms of type P.
template <class Mode, class P, class T, class Task>
void run_with_sums(Shape shape, std::int64_t size, cpu::Team team, const T* alpha, T* dalpha,
                   const Task& task) {
  if (size == 0) {
    std::fill_n(dalpha, shape.channels, T(0));
    return;
  }
  const cpu::Partition tiles(shape, cpu::run_size(sizeof(T)), true);
  const std::int64_t sums = tiles.leaves() * shape.channels;
  // Without values: the tasks write each of them.
  const std::unique_ptr<Sum<P>[]> partials(new Sum<P>[static_cast<std::size_t>(sums)]);
  run_tiles(tiles, team, [&](const cpu::Tile& tile) { task(tile, partials.get()); });
  const std::int64_t groups = (shape.channels + channel_group - 1) / channel_group;
  cpu::parallel_for(groups, cpu::choose_threads(team.threads, sums), [&](std::int64_t i) noexcept {
    const std::int64_t first = i * channel_group;
    const std::int64_t last = std::min(first + channel_group, shape.channels);
    Sum<P> totals[channel_group] = {};
    for (std::int64_t leaf = 0; leaf < tiles.leaves(); ++leaf) {
      for (std::int64_t c = first; c < last; ++c) {
        const Sum<P>& partial = partials[static_cast<std::size_t>(leaf * shape.channels + c)];
        totals[c - first] = add(totals[c - first], partial);
      }
    }
    for (std::int64_t c = first; c < last; ++c) {
      const P divisor = Mode::term_divisor(static_cast<P>(alpha[c]));
      dalpha[c] = static_cast<T>(quotient(totals[c - first], divisor));
    }
  });
}

template <class Mode, class T>
void run_backward(typename cpu::KernelTable<T>::Backward kernel, const T* grad, const T* source,
                  const Arithmetic<T>* alpha, T* dx, Arithmetic<T>* dalpha, Shape shape,
                  int num_threads) {
  using P = Arithmetic<T>;
  const std::int64_t size = checked_size(shape);
  const cpu::Team team = cpu::choose_threads(num_threads, size, 2 * cost<T>);
  run_with_sums<Mode, P>(shape, size, team, alpha, dalpha,
                         [&](const cpu::Tile& tile, Sum<P>* partials) {
                           kernel(tile, grad, source, alpha, dx, partials);
                         });
}

template <class T>
const cpu::KernelTable<T>& kernels() {
  return cpu::active_kernels();
}

}  // namespace

template <class T>
void elu(const T* x, const Arithmetic<T>* alpha, T* z, Shape shape, int num_threads) {
  const std::int64_t size = checked_size(shape);
  const cpu::Team team = cpu::choose_threads(num_threads, size, cost<T>);
  const auto forward = kernels<T>().forward;
  run_forward<T>(shape, size, team, [&](const cpu::Tile& tile) { forward(tile, x, alpha, z); });
}

template <class T>
void elu_with_memory(const T* x, const Arithmetic<T>* alpha, T* z, T* memory, Shape shape,
                     int num_threads) {
  const std::int64_t size = checked_size(shape);
  const cpu::Team team = cpu::choose_threads(num_threads, size, cost<T>);
  const auto forward = kernels<T>().forward_with_memory;
  run_forward<T>(shape, size, team,
                 [&](const cpu::Tile& tile) { forward(tile, x, alpha, z, memory); });
}

template <class T>
void elu_backward(const T* grad, const T* x, const Arithmetic<T>* alpha, T* dx,
                  Arithmetic<T>* dalpha, Shape shape, int num_threads) {
  run_backward<FromInput>(kernels<T>().backward_from_input, grad, x, alpha, dx, dalpha, shape,
                          num_threads);
}

template <class T>
void elu_backward_from_memory(const T* grad, const T* memory, const Arithmetic<T>* alpha, T* dx,
                              Arithmetic<T>* dalpha, Shape shape, int num_threads) {
  run_backward<FromMemory>(kernels<T>().backward_from_memory, grad, memory, alpha, dx, dalpha,
                           shape, num_threads);
}

template <class T>
void elu_backward_from_output(const T* grad, const T* z, const Arithmetic<T>* alpha, T* dx,
                              Arithmetic<T>* dalpha, Shape shape, int num_threads) {
  const cpu::StandardFloats floats;  // a subnormal alpha is greater than 0
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    if (!(alpha[c] > 0)) {
      throw std::invalid_argument("alpha[" + std::to_string(c) + "] is " +
                                  std::to_string(alpha[c]) +
                                  "; backward from the output needs alphas greater than 0");
    }
  }
  run_backward<FromOutput>(kernels<T>().backward_from_output, grad, z, alpha, dx, dalpha, shape,
                           num_threads);
}

template <class T>
void elu_double_backward(const T* v, const Arithmetic<T>* w, const T* grad, const T* x,
                         const Arithmetic<T>* alpha, T* dgrad, T* dx, Arithmetic<T>* dalpha,
                         Shape shape, int num_threads) {
  const std::int64_t size = checked_size(shape);
  const cpu::Team team = cpu::choose_threads(num_threads, size, cost<T>);
  const auto kernel = kernels<T>().double_backward;
  run_with_sums<FromInput, double>(shape, size, team, alpha, dalpha,
                                   [&](const cpu::Tile& tile, Sum<double>* partials) {
                                     kernel(tile, v, w, grad, x, alpha, dgrad, dx, partials);
                                   });
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
