// The caches of this machine.
#pragma once

#include <cstdint>

namespace elulayer::cpu {

// Bytes of the last level of cache, as the operating system reports it; 0 where it does not.
std::int64_t last_level_cache();

}  // namespace elulayer::cpu
