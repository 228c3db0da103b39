#include "cpu/cache.hpp"

#include <initializer_list>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace elulayer::cpu {

std::int64_t last_level_cache() {
#if defined(_SC_LEVEL3_CACHE_SIZE) && defined(_SC_LEVEL2_CACHE_SIZE)
  static const std::int64_t bytes = [] {
    for (const int level : {_SC_LEVEL4_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE, _SC_LEVEL2_CACHE_SIZE}) {
      const std::int64_t size = sysconf(level);
      if (size > 0) {
        return size;
      }
    }
    return std::int64_t{0};
  }();
  return bytes;
#else
  return 0;
#endif
}

}  // namespace elulayer::cpu
