#include "cpu/threads.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "cpu/waking.hpp"

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

// What an element costs the cheapest function on the fastest machine: threads gain no less.
constexpr double element_ns = 0.13;

std::atomic<std::int64_t> waking_cost{least_waking_cost};
thread_local Waking waking(waking_cost);

std::int64_t now_ns() {
  using std::chrono::nanoseconds;
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<nanoseconds>(since).count();
}

// No result depends on the number of threads.
int most_threads() {
#ifdef _OPENMP
  return std::min(omp_get_thread_limit(), std::max(64, 4 * omp_get_num_procs()));
#else
  return 1;
#endif
}

#if defined(_OPENMP) && defined(ELULAYER_HAVE_FORK)
// How many of so many threads the system starts. They end at once.
int start_threads(int wanted) {
  std::mutex gate;
  std::vector<pthread_t> started;
  started.reserve(static_cast<std::size_t>(wanted));
  {
    const std::lock_guard lock(gate);  // all are there together
    const auto pass = [](void* the_gate) -> void* {
      const std::lock_guard its_lock(*static_cast<std::mutex*>(the_gate));
      return nullptr;
    };
    pthread_t thread{};
    for (int i = 0; i < wanted && pthread_create(&thread, nullptr, pass, &gate) == 0; ++i) {
      started.push_back(thread);
    }
  }
  for (const pthread_t thread : started) {
    pthread_join(thread, nullptr);
  }
  return static_cast<int>(started.size());
}

// The runtime ends the process where it cannot start a thread. So before it has to start more for
// the calling thread it is seen whether they can be had; where they cannot, half of what is left is
// for others. The runtime keeps a thread's team until that thread wants a smaller one.
int threads_to_be_had(int wanted) {
  thread_local int team = 1;
  thread_local int refused = std::numeric_limits<int>::max();
  if (wanted > team && wanted < refused) {
    int more = start_threads(wanted - team);
    if (more < wanted - team) {
      refused = wanted;
      more /= 2;
    }
    team += more;
  } else if (1 < wanted && wanted < team) {
    team = wanted;
    refused = std::numeric_limits<int>::max();
  }
  return std::min(wanted, team);
}
#else
int threads_to_be_had(int wanted) { return wanted; }
#endif

#ifdef ELULAYER_HAVE_FORK
const int fork_handler_registered =
    pthread_atfork(nullptr, nullptr, [] { in_forked_child.store(true); });
#endif

}  // namespace

int default_threads() {
#ifdef _OPENMP
  return in_forked_child.load() ? 1 : std::min(omp_get_max_threads(), most_threads());
#else
  return 1;
#endif
}

Region::Region(Team team) : team_(team) {
  if (team_.threads > 1 || team_.others_sleep) {
    start_ = now_ns();
  }
}

Region::~Region() {
  if (team_.threads > 1) {
    waking.had_threads(start_, last_begin_, now_ns());
  } else if (team_.others_sleep) {
    waking.went_alone(start_, now_ns());
  }
}

void Region::begins() const {
#ifdef _OPENMP
  if (omp_get_num_threads() == team_.threads) {
    const std::int64_t now = now_ns();
    std::int64_t last = last_begin_;
    while (last < now && !last_begin_.compare_exchange_weak(last, now)) {
    }
  }
#endif
}

Team choose_threads(int requested, std::int64_t elements, int cost) {
  if (requested < 0) {
    throw std::invalid_argument("num_threads must be positive, or 0 for the default, not " +
                                std::to_string(requested));
  }
  const std::int64_t useful = elements / elements_per_thread;
  if (useful < 2 || in_forked_child.load()) {
    return {};
  }
  const int wanted = requested == 0 ? default_threads() : std::min(requested, most_threads());
  const int threads = static_cast<int>(std::min<std::int64_t>(wanted, useful));
  if (threads > 1 && requested == 0) {
    const double alone = static_cast<double>(elements) * cost * element_ns;
    const auto gain = static_cast<std::int64_t>(alone * (threads - 1) / threads);
    if (!waking.pays(now_ns(), gain)) {
      return {1, true};
    }
  }
  return {threads_to_be_had(threads), false};
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
