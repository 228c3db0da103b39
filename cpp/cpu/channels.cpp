// These loops move more than they compute: the compiler's default instruction set is enough.
#include "cpu/channels.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "cpu/threads.hpp"

namespace elulayer::cpu {
namespace {

// Outer indices are taken together until they have about this many elements: a thread's task, and
// a leaf of the sums, whose shape must not follow from the number of threads.
constexpr std::int64_t task_elements = 16384;

struct Tasks {
  explicit Tasks(Shape shape) {
    const std::int64_t row = std::max<std::int64_t>(1, shape.channels * shape.inner);
    outers = std::max<std::int64_t>(1, task_elements / row);
    count = (shape.outer + outers - 1) / outers;
  }

  std::int64_t outers = 0;
  std::int64_t count = 0;
};

std::int64_t size_of(Shape shape) { return shape.outer * shape.channels * shape.inner; }

// Calls row(offset, channel) for each row of a task's outer indices.
template <class Row>
void for_each_row(Shape shape, const Tasks& tasks, std::int64_t task, const Row& row) {
  const std::int64_t last = std::min(shape.outer, (task + 1) * tasks.outers);
  for (std::int64_t n = task * tasks.outers; n < last; ++n) {
    for (std::int64_t c = 0; c < shape.channels; ++c) {
      row((n * shape.channels + c) * shape.inner, c);
    }
  }
}

struct TwoSums {
  double first = 0;
  double second = 0;
};

constexpr int lanes = 8;

// The sums of first(i) and of second(i) for i in [0, n), where term(i) gives both: in eight lanes.
template <class Term>
TwoSums add_row(std::int64_t n, const Term& term) {
  double first[lanes] = {};
  double second[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
#pragma omp simd
    for (int l = 0; l < lanes; ++l) {
      const TwoSums terms = term(i + l);
      first[l] += terms.first;
      second[l] += terms.second;
    }
  }
  for (; i < n; ++i) {
    const TwoSums terms = term(i);
    first[0] += terms.first;
    second[0] += terms.second;
  }
  TwoSums sums;
  for (int l = 0; l < lanes; ++l) {
    sums.first += first[l];
    sums.second += second[l];
  }
  return sums;
}

// Each channel's sums of row_sums(offset, channel) over all rows, leaf by leaf.
template <class RowSums>
std::vector<TwoSums> add_channels(Shape shape, int num_threads, const RowSums& row_sums) {
  const Tasks tasks(shape);
  const auto channels = static_cast<std::size_t>(shape.channels);
  std::vector<TwoSums> leaves(static_cast<std::size_t>(tasks.count) * channels);
  parallel_for(tasks.count, choose_threads(num_threads, size_of(shape)),
               [&](std::int64_t task) noexcept {
                 TwoSums* const leaf = leaves.data() + task * shape.channels;
                 for_each_row(shape, tasks, task, [&](std::int64_t at, std::int64_t c) {
                   const TwoSums sums = row_sums(at, c);
                   leaf[c].first += sums.first;
                   leaf[c].second += sums.second;
                 });
               });
  std::vector<TwoSums> totals(channels);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    totals[i % channels].first += leaves[i].first;
    totals[i % channels].second += leaves[i].second;
  }
  return totals;
}

// Calls row(offset, channel) for all rows, on threads.
template <class Row>
void map_rows(Shape shape, int num_threads, const Row& row) {
  const Tasks tasks(shape);
  parallel_for(tasks.count, choose_threads(num_threads, size_of(shape)),
               [&](std::int64_t task) noexcept { for_each_row(shape, tasks, task, row); });
}

}  // namespace

template <class T>
void channel_moments(const T* x, double* mean, double* variance, Shape shape, int num_threads) {
  std::fill(mean, mean + shape.channels, 0.0);
  std::fill(variance, variance + shape.channels, 0.0);
  if (size_of(shape) == 0) {
    return;
  }
  // Deviations from a value of the channel itself: the squares of large means would take the digits
  // of small variances.
  const auto shift = [&](std::int64_t c) { return static_cast<double>(x[c * shape.inner]); };
  const std::vector<TwoSums> sums =
      add_channels(shape, num_threads, [&](std::int64_t at, std::int64_t c) {
        const T* const row = x + at;
        const double s = shift(c);
        return add_row(shape.inner, [=](std::int64_t i) {
          const double deviation = static_cast<double>(row[i]) - s;
          return TwoSums{deviation, deviation * deviation};
        });
      });
  const double count = static_cast<double>(shape.outer) * static_cast<double>(shape.inner);
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    const TwoSums& total = sums[static_cast<std::size_t>(c)];
    const double deviation = total.first / count;
    const double square = total.second / count - deviation * deviation;
    mean[c] = shift(c) + deviation;
    variance[c] = square < 0 ? 0 : square;  // NaN stays
  }
}

template <class T>
void channel_dots(const T* g, const T* x, const double* center, double* sums, double* dots,
                  Shape shape, int num_threads) {
  const std::vector<TwoSums> totals =
      add_channels(shape, num_threads, [&](std::int64_t at, std::int64_t c) {
        const T* const g_row = g + at;
        const T* const x_row = x + at;
        const double m = center[c];
        return add_row(shape.inner, [=](std::int64_t i) {
          const double gi = static_cast<double>(g_row[i]);
          return TwoSums{gi, gi * (static_cast<double>(x_row[i]) - m)};
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
  map_rows(shape, num_threads, [=](std::int64_t at, std::int64_t c) {
    const T* const from = x + at;
    T* const to = z + at;
    const T m = static_cast<T>(center[c]);
    const T ac = static_cast<T>(a[c]);
    const T bc = static_cast<T>(b[c]);
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
  map_rows(shape, num_threads, [=](std::int64_t at, std::int64_t c) {
    const T* const g_row = g + at;
    const T* const x_row = x + at;
    T* const to = dx + at;
    const T m = static_cast<T>(center[c]);
    const T ac = static_cast<T>(a[c]);
    const T bc = static_cast<T>(b[c]);
    const T dc = static_cast<T>(d[c]);
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

}  // namespace elulayer::cpu
