// The native API: tiles on threads, then the partial sums of alpha's gradient in a fixed order.
#include <cmath>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "cpu/dispatch.hpp"
#include "cpu/partition.hpp"
#include "cpu/threads.hpp"
#include "elulayer/elulayer.hpp"

namespace elulayer {
namespace {

template <class T>
const cpu::KernelTable<T>& kernels() {
  if constexpr (std::is_same_v<T, float>) {
    return cpu::active_kernels().f32;
  } else {
    return cpu::active_kernels().f64;
  }
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

// The sum of `count` partial sums that lie `stride` apart, in order, at the given scale.
double add_partials(const cpu::PartialSum* partials, std::int64_t count, std::int64_t stride,
                    double scale) {
  double sum = 0;
  double compensation = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const cpu::PartialSum& partial = partials[i * stride];
    const double factor = scale / partial.scale;
    const double term = partial.sum * factor;
    const double s = sum + term;
    const double t = s - sum;
    compensation += (sum - (s - t)) + (term - t);
    compensation += partial.compensation * factor;
    sum = s;
  }
  // An infinite sum has a NaN for compensation.
  return std::isfinite(sum) ? sum + compensation : sum;
}

// The same at scale 1, or, where that overflows on the way, by a scale that cannot.
double combine(const cpu::PartialSum* partials, std::int64_t count, std::int64_t stride) {
  const double sum = add_partials(partials, count, stride, 1);
  if (std::isfinite(sum)) {
    return sum;
  }
  return add_partials(partials, count, stride, cpu::rescue_scale) / cpu::rescue_scale;
}

template <class T>
void run_forward(const T* x, const T* alpha, T* z, Shape shape, int num_threads) {
  const std::int64_t size = checked_size(shape);
  const int threads = cpu::choose_threads(num_threads, size);
  const cpu::KernelTable<T>& table = kernels<T>();
  if (size == 0) {
    return;
  }
  const cpu::Partition partition(shape);
  cpu::parallel_for(partition.tiles(), threads,
                    [&](std::int64_t i) { table.forward(partition.tile(i), x, alpha, z); });
}

template <class T>
void run_backward(const T* grad, const T* x, const T* alpha, T* dx, T* dalpha, Shape shape,
                  int num_threads) {
  const std::int64_t size = checked_size(shape);
  const int threads = cpu::choose_threads(num_threads, size);
  const cpu::KernelTable<T>& table = kernels<T>();
  if (size == 0) {
    for (std::int64_t c = 0; c < shape.channels; ++c) {
      dalpha[c] = T(0);
    }
    return;
  }
  const cpu::Partition partition(shape);
  std::vector<cpu::PartialSum> partials(
      static_cast<std::size_t>(partition.leaves() * shape.channels));
  cpu::parallel_for(partition.tiles(), threads, [&](std::int64_t i) {
    table.backward(partition.tile(i), grad, x, alpha, dx, partials.data());
  });
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    dalpha[c] = static_cast<T>(combine(partials.data() + c, partition.leaves(), shape.channels));
  }
}

}  // namespace

void elu(const float* x, const float* alpha, float* z, Shape shape, int num_threads) {
  run_forward(x, alpha, z, shape, num_threads);
}

void elu(const double* x, const double* alpha, double* z, Shape shape, int num_threads) {
  run_forward(x, alpha, z, shape, num_threads);
}

void elu_backward(const float* grad, const float* x, const float* alpha, float* dx, float* dalpha,
                  Shape shape, int num_threads) {
  run_backward(grad, x, alpha, dx, dalpha, shape, num_threads);
}

void elu_backward(const double* grad, const double* x, const double* alpha, double* dx,
                  double* dalpha, Shape shape, int num_threads) {
  run_backward(grad, x, alpha, dx, dalpha, shape, num_threads);
}

}  // namespace elulayer
