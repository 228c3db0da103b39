// Threads for independent tasks.
#pragma once

#include <cstdint>
#include <string>

namespace elulayer::cpu {

// Threads that OpenMP's own setting gives a region started here and now; 1 without OpenMP.
int default_threads();

// Threads for an array of `elements`: `requested` (0: the default), fewer for a small array, and 1
// in a forked child, where the parent's OpenMP threads no longer exist and would be waited for in
// vain. Throws std::invalid_argument for a negative request.
int choose_threads(int requested, std::int64_t elements);

// Name of the OpenMP runtime; empty without one.
std::string openmp_runtime();

// Calls task(i) for each i in [0, count).
template <class Task>
void parallel_for(std::int64_t count, [[maybe_unused]] int threads, const Task& task) {
  static_assert(noexcept(task(std::int64_t{})), "no exception leaves a parallel region");
#ifdef _OPENMP
  if (threads > 1) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (std::int64_t i = 0; i < count; ++i) {
      task(i);
    }
    return;
  }
#endif
  for (std::int64_t i = 0; i < count; ++i) {
    task(i);
  }
}

}  // namespace elulayer::cpu
