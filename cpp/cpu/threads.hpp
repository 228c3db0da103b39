// Threads for independent tasks.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>

#include "cpu/standard_floats.hpp"

namespace elulayer::cpu {

// Threads that OpenMP's own settings give a large array here and now; 1 without OpenMP.
int default_threads();

// Who does some work.
struct Team {
  int threads = 1;
  bool others_sleep = false;  // whether more would have been of use, but were not woken
};

// Threads for an array of `elements`: `requested` (0: the default), fewer for a small array and
// where OpenMP's limit or the system does not allow as many, and 1 in a forked child, where the
// parent's OpenMP threads no longer exist and would be waited for in vain. By default also 1 where
// the threads sleep and to wake them would cost more than they gain (waking.hpp); `cost` is what an
// element costs, in those of the cheapest function. Throws std::invalid_argument for a negative
// request.
Team choose_threads(int requested, std::int64_t elements, int cost = 1);

// Name of the OpenMP runtime; empty without one.
std::string openmp_runtime();

// The time that a team takes to begin and to end, by which choose_threads goes.
class Region {
 public:
  explicit Region(Team team);
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  // Called by each thread.
  void begins() const;

 private:
  Team team_;
  std::int64_t start_ = 0;
  mutable std::atomic<std::int64_t> last_begin_{0};
};

// Calls task(i) for each i in [0, count), in threads that compute with the standard's settings.
template <class Task>
void parallel_for(std::int64_t count, Team team, const Task& task) {
  static_assert(noexcept(task(std::int64_t{})), "no exception leaves a parallel region");
  team.threads = static_cast<int>(std::min<std::int64_t>(team.threads, count));
  const Region region(team);
#ifdef _OPENMP
  if (team.threads > 1) {
#pragma omp parallel num_threads(team.threads)
    {
      const StandardFloats floats;
      region.begins();
#pragma omp for schedule(static) nowait
      for (std::int64_t i = 0; i < count; ++i) {
        task(i);
      }
    }
    return;
  }
#endif
  const StandardFloats floats;
  for (std::int64_t i = 0; i < count; ++i) {
    task(i);
  }
}

}  // namespace elulayer::cpu
