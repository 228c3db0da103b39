#include "cpu/threads.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
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

// Waking threads. OpenMP's threads spin for some tens of microseconds after a region, and then
// sleep; to wake them takes from tens to hundreds of microseconds, by the machine. How long it took
// is measured where it is done, and threads are woken for work that gains more than that: by one
// call, or by calls that have followed each other closely.

// Shorter than they spin.
constexpr std::int64_t awake_ns = 20000;
// Of the cheapest function on the fastest machine: what is gained is never less.
constexpr double element_ns = 0.13;
// Calls in close succession do this many times the work that waking costs before they wake
// threads: a loop soon has them, and a few calls lose little.
constexpr int patience = 4;

std::atomic<std::int64_t> wake_ns{0};

// Of the calling thread, which has OpenMP threads of its own.
thread_local std::int64_t last_region_end = 0;
thread_local std::int64_t last_alone_end = 0;  // of a call that went without threads
thread_local std::int64_t alone_ns = 0;        // that such calls took, one after the other
thread_local bool goes_alone = false;          // the call that is about to begin

std::int64_t now_ns() {
  using std::chrono::nanoseconds;
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<nanoseconds>(since).count();
}

bool pays_to_wake(std::int64_t elements, int cost, int threads) {
  const std::int64_t now = now_ns();
  if (now - last_region_end < awake_ns) {
    return true;
  }
  const double gain = static_cast<double>(elements) * cost * element_ns * (threads - 1) / threads;
  if (gain >= static_cast<double>(wake_ns)) {
    return true;
  }
  if (now - last_alone_end > awake_ns) {
    alone_ns = 0;
  }
  if (alone_ns > patience * wake_ns) {
    alone_ns = 0;
    return true;
  }
  wake_ns -= wake_ns / 256;  // what was measured long ago may no longer be so
  return false;
}

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

Region::Region(int threads) : threads_(threads) {
  if (threads_ > 1) {
    start_ = now_ns();
    measured_ = start_ - last_region_end > 10 * awake_ns;  // they sleep
  } else if (goes_alone) {
    goes_alone = false;
    measured_ = true;
    start_ = now_ns();
  }
}

Region::~Region() {
  if (threads_ > 1) {
    last_region_end = now_ns();
    if (measured_ && last_begin_ > 0) {
      const std::int64_t measured = last_begin_ - start_;
      wake_ns = measured < wake_ns ? measured : wake_ns + (measured - wake_ns) / 8;
    }
  } else if (measured_) {
    last_alone_end = now_ns();
    alone_ns += last_alone_end - start_;
  }
}

void Region::begins() {
#ifdef _OPENMP
  if (measured_ && omp_get_num_threads() == threads_) {
    const std::int64_t now = now_ns();
    std::int64_t last = last_begin_;
    while (last < now && !last_begin_.compare_exchange_weak(last, now)) {
    }
  }
#endif
}

int choose_threads(int requested, std::int64_t elements, int cost) {
  if (requested < 0) {
    throw std::invalid_argument("num_threads must be positive, or 0 for the default, not " +
                                std::to_string(requested));
  }
  const std::int64_t useful = elements / elements_per_thread;
  if (useful < 2 || in_forked_child.load()) {
    return 1;
  }
  const int wanted = requested == 0 ? default_threads() : std::min(requested, most_threads());
  const int threads = static_cast<int>(std::min<std::int64_t>(wanted, useful));
  if (threads > 1 && requested == 0 && !pays_to_wake(elements, cost, threads)) {
    goes_alone = true;
    return 1;
  }
  return threads;
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
