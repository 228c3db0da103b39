#include "cpu/threads.hpp"

#include <algorithm>
#include <atomic>
#include <stdexcept>

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define ELULAYER_HAVE_FORK
#endif

namespace elulayer::cpu {
namespace {

// Starting and joining threads costs a few microseconds: about the time of this many elements.
constexpr std::int64_t elements_per_thread = 16384;

std::atomic<bool> in_forked_child{false};

// The runtime ends the process where it cannot start a thread. No result depends on their number.
int most_threads() {
#ifdef _OPENMP
  return std::min(omp_get_thread_limit(), std::max(64, 4 * omp_get_num_procs()));
#else
  return 1;
#endif
}

#ifdef ELULAYER_HAVE_FORK
const int fork_handler_registered =
    pthread_atfork(nullptr, nullptr, [] { in_forked_child.store(true); });
#endif

}  // namespace

int default_threads() {
#ifdef _OPENMP
  return in_forked_child.load() ? 1 : omp_get_max_threads();
#else
  return 1;
#endif
}

int choose_threads(int requested, std::int64_t elements) {
  if (requested < 0) {
    throw std::invalid_argument("num_threads must be positive, or 0 for the default, not " +
                                std::to_string(requested));
  }
  const std::int64_t useful = elements / elements_per_thread;
  if (useful < 2 || in_forked_child.load()) {
    return 1;
  }
  const int wanted = requested == 0 ? default_threads() : std::min(requested, most_threads());
  return static_cast<int>(std::min<std::int64_t>(wanted, useful));
}

std::string openmp_runtime() {
#ifdef _OPENMP
#ifdef __clang__
  const std::string name = "LLVM libomp";
#else
  const std::string name = "GNU libgomp";
#endif
  return name + ", OpenMP " + std::to_string(_OPENMP);
#else
  return "";
#endif
}

}  // namespace elulayer::cpu
