#include "block_cache.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <list>
#include <mutex>
#include <new>
#include <unordered_map>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <sys/mman.h>
#endif

namespace elulayer::bindings::block_cache {
namespace {

#if defined(MADV_FREE)

// What the system gives and takes back without a fault for each of 4 KiB, where it can.
constexpr std::size_t huge_page = std::size_t{2} << 20;
// Blocks from here on are of whole huge pages: a quarter of one may be unused.
constexpr std::size_t least_huge = 4 * huge_page;
constexpr std::size_t small_step = std::size_t{64} << 10;

// Of the blocks at rest the last ones keep their pages, up to so many bytes in all: a loop finds
// them again at once. Those of the others the system may take when it needs memory.
constexpr std::size_t warm_bytes = std::size_t{64} << 20;

struct Block {
  void* memory;
  std::size_t bytes;
  bool may_be_taken;
};

using Blocks = std::list<Block>;

// Never destroyed: arrays may outlive every static object. A block goes from one list to the other
// without an allocation, so that giving it back cannot fail.
struct Cache {
  std::mutex mutex;
  std::size_t limit = 0;
  std::size_t resting_bytes = 0;
  Blocks resting;  // the last one that came to rest first
  Blocks used;
  std::unordered_map<void*, Blocks::iterator> places;  // of those that are used
};

Cache& cache() {
  static Cache& the_cache = *new Cache;
  return the_cache;
}

std::size_t rounded(std::size_t bytes) {
  const std::size_t step = bytes < least_huge ? small_step : huge_page;
  return (bytes + step - 1) / step * step;
}

// nullptr where the system has none.
void* map(std::size_t bytes) {
  const std::size_t spare = bytes < least_huge ? 0 : huge_page;
  void* const start =
      mmap(nullptr, bytes + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) {
    return nullptr;
  }
  if (spare == 0) {
    return start;
  }
  const std::size_t past = reinterpret_cast<std::uintptr_t>(start) % huge_page;
  const std::size_t head = past == 0 ? 0 : huge_page - past;
  char* const memory = static_cast<char*>(start) + head;
  if (head > 0) {
    munmap(start, head);
  }
  if (spare > head) {
    munmap(memory + bytes, spare - head);
  }
#if defined(MADV_HUGEPAGE)
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  return memory;
}

// Takes the blocks that have rested longest out of the cache, until no more than so many bytes
// rest. Whoever is given them unmaps them when the cache is unlocked again.
Blocks shrink(Cache& the_cache, std::size_t bytes) {
  Blocks taken;
  while (the_cache.resting_bytes > bytes) {
    the_cache.resting_bytes -= the_cache.resting.back().bytes;
    taken.splice(taken.end(), the_cache.resting, std::prev(the_cache.resting.end()));
  }
  return taken;
}

void unmap(const Blocks& blocks) {
  for (const Block& block : blocks) {
    munmap(block.memory, block.bytes);
  }
}

// Lets the system take the pages of all blocks but the warm ones.
void offer_pages(Cache& the_cache) {
  std::size_t warm = 0;
  for (Block& block : the_cache.resting) {
    warm += block.bytes;
    if (warm > warm_bytes && !block.may_be_taken) {
      block.may_be_taken = madvise(block.memory, block.bytes, MADV_FREE) == 0;
    }
  }
}

// A block at rest of at least so many bytes, and no more than a quarter larger; or the end.
Blocks::iterator find_resting(Cache& the_cache, std::size_t bytes) {
  auto best = the_cache.resting.end();
  for (auto block = the_cache.resting.begin(); block != the_cache.resting.end(); ++block) {
    const bool fits = block->bytes >= bytes && block->bytes - bytes <= bytes / 4;
    if (fits && (best == the_cache.resting.end() || block->bytes < best->bytes)) {
      best = block;
    }
  }
  return best;
}

// A block that is used from now on, and whether its bytes are all zero. Throws std::bad_alloc.
void* take(std::size_t bytes, bool& is_zero) {
  Cache& the_cache = cache();
  const std::lock_guard lock(the_cache.mutex);
  const auto found = find_resting(the_cache, bytes);
  is_zero = found == the_cache.resting.end();
  if (is_zero) {
    the_cache.used.push_front({nullptr, bytes, false});
    void* const memory = map(bytes);
    if (memory == nullptr) {
      the_cache.used.pop_front();
      return nullptr;
    }
    the_cache.used.front().memory = memory;
  } else {
    the_cache.resting_bytes -= found->bytes;
    found->may_be_taken = false;
    the_cache.used.splice(the_cache.used.begin(), the_cache.resting, found);
  }
  const Blocks::iterator block = the_cache.used.begin();
  try {
    the_cache.places.emplace(block->memory, block);
  } catch (...) {
    munmap(block->memory, block->bytes);
    the_cache.used.erase(block);
    throw;
  }
  return block->memory;
}

// A child has no thread that could unlock the mutex for it.
const int fork_handlers_registered = pthread_atfork(
    [] { cache().mutex.lock(); }, [] { cache().mutex.unlock(); }, [] { cache().mutex.unlock(); });

#endif

}  // namespace

#if defined(MADV_FREE)

void* allocate(std::size_t bytes) noexcept {
  if (bytes < least_bytes || bytes > SIZE_MAX / 2) {
    return std::malloc(std::max<std::size_t>(bytes, 1));
  }
  try {
    bool is_zero = false;
    return take(rounded(bytes), is_zero);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void* allocate_zeros(std::size_t bytes) noexcept {
  if (bytes < least_bytes || bytes > SIZE_MAX / 2) {
    return std::calloc(std::max<std::size_t>(bytes, 1), 1);
  }
  try {
    bool is_zero = false;
    void* const memory = take(rounded(bytes), is_zero);
    return memory == nullptr || is_zero ? memory : std::memset(memory, 0, bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void release(void* memory) noexcept {
  Cache& the_cache = cache();
  Blocks taken;
  {
    const std::lock_guard lock(the_cache.mutex);
    const auto found = the_cache.places.find(memory);
    if (found != the_cache.places.end()) {
      const Blocks::iterator block = found->second;
      the_cache.places.erase(found);
      the_cache.resting_bytes += block->bytes;
      the_cache.resting.splice(the_cache.resting.begin(), the_cache.used, block);
      taken = shrink(the_cache, the_cache.limit);
      offer_pages(the_cache);
      memory = nullptr;
    }
  }
  unmap(taken);
  std::free(memory);
}

void* reallocate(void* memory, std::size_t bytes) noexcept {
  std::size_t before = 0;
  {
    Cache& the_cache = cache();
    const std::lock_guard lock(the_cache.mutex);
    const auto found = the_cache.places.find(memory);
    before = found == the_cache.places.end() ? 0 : found->second->bytes;
  }
  if (before == 0) {
    return std::realloc(memory, std::max<std::size_t>(bytes, 1));
  }
  if (bytes <= before && before - bytes <= before / 4) {
    return memory;
  }
  void* const moved = allocate(bytes);
  if (moved != nullptr) {
    std::memcpy(moved, memory, std::min(before, bytes));
    release(memory);
  }
  return moved;
}

void set_limit(std::size_t bytes) {
  Cache& the_cache = cache();
  Blocks taken;
  {
    const std::lock_guard lock(the_cache.mutex);
    the_cache.limit = bytes;
    taken = shrink(the_cache, bytes);
  }
  unmap(taken);
}

std::size_t empty() {
  Cache& the_cache = cache();
  Blocks taken;
  std::size_t bytes = 0;
  {
    const std::lock_guard lock(the_cache.mutex);
    bytes = the_cache.resting_bytes;
    taken = shrink(the_cache, 0);
  }
  unmap(taken);
  return bytes;
}

#else  // Without a way to give memory back and keep it, none is kept.

void* allocate(std::size_t bytes) noexcept { return std::malloc(std::max<std::size_t>(bytes, 1)); }
void* allocate_zeros(std::size_t bytes) noexcept {
  return std::calloc(std::max<std::size_t>(bytes, 1), 1);
}
void* reallocate(void* memory, std::size_t bytes) noexcept {
  return std::realloc(memory, std::max<std::size_t>(bytes, 1));
}
void release(void* memory) noexcept { std::free(memory); }
void set_limit(std::size_t) {}
std::size_t empty() { return 0; }

#endif

}  // namespace elulayer::bindings::block_cache
