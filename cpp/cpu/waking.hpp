// Whether to wake OpenMP's threads, which spin for tens of microseconds or more after a region and
// then sleep. To wake them takes from tens to hundreds of microseconds, by the machine: how long it
// took is followed in small steps, which a few late threads change little, and threads are woken
// for work that gains more than that, of one call, or of calls that have followed each other
// closely. Times are in nanoseconds.
#pragma once

#include <atomic>
#include <cstdint>

namespace elulayer::cpu {

// What waking is taken to cost before it has been measured: no more than it does.
constexpr std::int64_t least_waking_cost = 20000;

// Of one calling thread, which has OpenMP threads of its own; what waking costs is known to all.
class Waking {
 public:
  constexpr explicit Waking(std::atomic<std::int64_t>& cost) : cost_(cost) {}

  // Whether to have threads for work that takes so much less time with them.
  bool pays(std::int64_t now, std::int64_t gain) {
    if (now - region_end_ < awake || gain >= cost_) {
      return true;
    }
    if (now - alone_end_ > awake) {
      alone_ = 0;
    }
    if (alone_ > patience * cost_) {
      alone_ = 0;
      return true;
    }
    const std::int64_t cost = cost_;
    cost_ = cost - cost / 2048;  // what was measured long ago may no longer be so
    return false;
  }

  // A region of several threads has ended. `last_begin` is when the last of them began, 0 where
  // that is not known.
  void had_threads(std::int64_t start, std::int64_t last_begin, std::int64_t end) {
    if (start - region_end_ > 4 * awake && last_begin > 0) {  // they slept
      const std::int64_t cost = cost_;
      cost_ = last_begin - start > cost ? cost + cost / 8 + 1 : cost - cost / 8;
    }
    region_end_ = end;
  }

  // Work for which threads were not woken has ended.
  void went_alone(std::int64_t start, std::int64_t end) {
    alone_ += end - start;
    alone_end_ = end;
  }

 private:
  // Shorter than they spin, and longer than what a loop in Python does between two calls.
  static constexpr std::int64_t awake = 50000;
  // Calls in close succession do this many times the work that waking costs before they wake
  // threads: a loop soon has them, and a few calls lose little.
  static constexpr int patience = 4;

  std::atomic<std::int64_t>& cost_;
  std::int64_t region_end_ = 0;
  std::int64_t alone_end_ = 0;
  std::int64_t alone_ = 0;
};

}  // namespace elulayer::cpu
