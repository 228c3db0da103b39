// These loops move more than they compute: the compiler's default instruction set is enough.
#include "batch_normalization/channels.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "cpu/threads.hpp"

namespace elulayer::batch_normalization {
namespace {

// Outer indices are taken together until they have about this many elements: a thread's task, and
// a leaf of the sums, whose shape must not follow from the number of threads.
constexpr std::int64_t task_elements = 16384;
// Of each channel, in a leaf: so that the sums take little memory.
constexpr std::int64_t min_channel_elements = 144;

// Outer indices of a task, of which each channel has at least so many elements.
std::int64_t outers_of_task(Shape shape, std::int64_t least) {
  const std::int64_t inner = std::max<std::int64_t>(1, shape.inner);
  const std::int64_t row = inner * std::max<std::int64_t>(1, shape.channels);
  return std::max((least + inner - 1) / inner, task_elements / row);
}

// Calls row(task, offset, channel) for all rows, the tasks of so many outer indices on threads.
template <class Row>
void for_each_row(Shape shape, std::int64_t outers, int num_threads, const Row& row) {
  const std::int64_t size = shape.outer * shape.channels * shape.inner;
  cpu::parallel_for((shape.outer + outers - 1) / outers, cpu::choose_threads(num_threads, size, 2),
                    [&](std::int64_t task) noexcept {
                      const std::int64_t last = std::min(shape.outer, (task + 1) * outers);
                      for (std::int64_t n = task * outers; n < last; ++n) {
                        for (std::int64_t c = 0; c < shape.channels; ++c) {
                          row(task, (n * shape.channels + c) * shape.inner, c);
                        }
                      }
                    });
}

struct PairOfSums {
  double first = 0;
  double second = 0;

  void operator+=(const PairOfSums& other) {
    first += other.first;
    second += other.second;
  }
};

constexpr int lanes = 8;

// The sums of first(i) and of second(i) for i in [0, n), where term(i) gives both: in eight lanes.
template <class Term>
PairOfSums add_row(std::int64_t n, const Term& term) {
  double first[lanes] = {};
  double second[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
#pragma omp simd
    for (int l = 0; l < lanes; ++l) {
      const PairOfSums terms = term(i + l);
      first[l] += terms.first;
      second[l] += terms.second;
    }
  }
  for (; i < n; ++i) {
    const PairOfSums terms = term(i);
    first[0] += terms.first;
    second[0] += terms.second;
  }
  PairOfSums sums;
  for (int l = 0; l < lanes; ++l) {
    sums.first += first[l];
    sums.second += second[l];
  }
  return sums;
}

// Each channel's sums of row_sums(offset, channel) over all rows, leaf by leaf.
template <class RowSums>
std::vector<PairOfSums> add_channels(Shape shape, int num_threads, const RowSums& row_sums) {
  const auto channels = static_cast<std::size_t>(shape.channels);
  const std::int64_t outers = outers_of_task(shape, min_channel_elements);
  const std::int64_t tasks = (shape.outer + outers - 1) / outers;
  std::vector<PairOfSums> leaves(static_cast<std::size_t>(tasks) * channels);
  for_each_row(shape, outers, num_threads, [&](std::int64_t task, std::int64_t at, std::int64_t c) {
    PairOfSums& leaf = leaves[static_cast<std::size_t>(task * shape.channels + c)];
    leaf += row_sums(at, c);
  });
  std::vector<PairOfSums> totals(channels);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    totals[i % channels] += leaves[i];
  }
  return totals;
}

}  // namespace

template <class T>
void channel_moments(const T* x, double* mean, double* variance, Shape shape, int num_threads) {
  const cpu::StandardFloats floats;
  std::fill(mean, mean + shape.channels, 0.0);
  std::fill(variance, variance + shape.channels, 0.0);
  if (shape.outer == 0 || shape.channels == 0 || shape.inner == 0) {
    return;
  }
  // Deviations from a value of the channel itself: the squares of large means would take the digits
  // of small variances.
  const auto shift = [&](std::int64_t c) { return static_cast<double>(x[c * shape.inner]); };
  const std::vector<PairOfSums> sums =
      add_channels(shape, num_threads, [&](std::int64_t at, std::int64_t c) {
        const T* const row = x + at;
        const double s = shift(c);
        return add_row(shape.inner, [=](std::int64_t i) {
          const double deviation = static_cast<double>(row[i]) - s;
          return PairOfSums{deviation, deviation * deviation};
        });
      });
  const double count = static_cast<double>(shape.outer) * static_cast<double>(shape.inner);
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    const PairOfSums& total = sums[static_cast<std::size_t>(c)];
    const double deviation = total.first / count;
    const double square = total.second / count - deviation * deviation;
    mean[c] = shift(c) + deviation;
    variance[c] = square < 0 ? 0 : square;  // NaN stays
  }
}

template <class T>
void channel_dots(const T* g, const T* x, const double* center, double* sums, double* dots,
                  Shape shape, int num_threads) {
  const cpu::StandardFloats floats;
  const std::vector<PairOfSums> totals =
      add_channels(shape, num_threads, [&](std::int64_t at, std::int64_t c) {
        const T* const g_row = g + at;
        const T* const x_row = x + at;
        const double m = center[c];
        return add_row(shape.inner, [=](std::int64_t i) {
          const double gi = static_cast<double>(g_row[i]);
          return PairOfSums{gi, gi * (static_cast<double>(x_row[i]) - m)};
        });
      });
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    sums[c] = totals[static_cast<std::size_t>(c)].first;
    dots[c] = totals[static_cast<std::size_t>(c)].second;
  }
}

template <class T>
void channel_affine(const T* x, const double* center, const double* a, const double* b, T* z,
                    Shape shape, int num_threads) {
  for_each_row(shape, outers_of_task(shape, 1), num_threads,
               [=](std::int64_t, std::int64_t at, std::int64_t c) {
                 const T* const from = x + at;
                 T* const to = z + at;
                 const T m = static_cast<T>(center[c]);
                 const T ac = static_cast<T>(a[c]);
                 const T bc = static_cast<T>(b[c]);
    // z = a (x - center) + b
#pragma omp simd
                 for (std::int64_t i = 0; i < shape.inner; ++i) {
                   to[i] = ac * (from[i] - m) + bc;
                 }
               });
}

template <class T>
void channel_affine_gradient(const T* g, const T* x, const double* center, const double* a,
                             const double* b, const double* d, T* dx, Shape shape,
                             int num_threads) {
  for_each_row(shape, outers_of_task(shape, 1), num_threads,
               [=](std::int64_t, std::int64_t at, std::int64_t c) {
                 const T* const g_row = g + at;
                 const T* const x_row = x + at;
                 T* const to = dx + at;
                 const T m = static_cast<T>(center[c]);
                 const T ac = static_cast<T>(a[c]);
                 const T bc = static_cast<T>(b[c]);
                 const T dc = static_cast<T>(d[c]);
    // dx = a g + b (x - center) + d
#pragma omp simd
                 for (std::int64_t i = 0; i < shape.inner; ++i) {
                   to[i] = ac * g_row[i] + bc * (x_row[i] - m) + dc;
                 }
               });
}

#define ELULAYER_INSTANTIATE(T)                                                                  \
  template void channel_moments(const T*, double*, double*, Shape, int);                         \
  template void channel_dots(const T*, const T*, const double*, double*, double*, Shape, int);   \
  template void channel_affine(const T*, const double*, const double*, const double*, T*, Shape, \
                               int);                                                             \
  template void channel_affine_gradient(const T*, const T*, const double*, const double*,        \
                                        const double*, const double*, T*, Shape, int);

ELULAYER_INSTANTIATE(float)
ELULAYER_INSTANTIATE(double)
#undef ELULAYER_INSTANTIATE

}  // namespace elulayer::batch_normalization
