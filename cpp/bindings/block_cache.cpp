#include "block_cache.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
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

// Never destroyed: arrays may outlive every static object.
struct Cache {
  std::mutex mutex;
  std::size_t limit = 0;
  std::size_t resting_bytes = 0;
  std::list<Block> resting;  // the last one that came to rest first
  std::unordered_map<void*, std::size_t> used;
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

// Unmaps the blocks that have rested longest, until no more than so many bytes rest.
void shrink(Cache& the_cache, std::size_t bytes) {
  while (the_cache.resting_bytes > bytes) {
    const Block block = the_cache.resting.back();
    the_cache.resting.pop_back();
    the_cache.resting_bytes -= block.bytes;
    munmap(block.memory, block.bytes);
  }
}

// Lets the system take the pages of all blocks but the warm ones.
void offer_pages(Cache& the_cache) {
  std::size_t warm = 0;
  for (Block& block : the_cache.resting) {
    warm += block.bytes;
    if (warm > warm_bytes && !block.may_be_taken) {
      madvise(block.memory, block.bytes, MADV_FREE);
      block.may_be_taken = true;
    }
  }
}

// A block at rest of at least so many bytes, and no more than a quarter larger; or nullptr.
void* wake(Cache& the_cache, std::size_t bytes) {
  auto& resting = the_cache.resting;
  auto best = resting.end();
  for (auto block = resting.begin(); block != resting.end(); ++block) {
    const bool fits = block->bytes >= bytes && block->bytes - bytes <= bytes / 4;
    if (fits && (best == resting.end() || block->bytes < best->bytes)) {
      best = block;
    }
  }
  if (best == resting.end()) {
    return nullptr;
  }
  void* const memory = best->memory;
  the_cache.used.emplace(memory, best->bytes);
  the_cache.resting_bytes -= best->bytes;
  resting.erase(best);
  return memory;
}

// A child has no thread that could unlock the mutex for it.
const int fork_handlers_registered = pthread_atfork(
    [] { cache().mutex.lock(); }, [] { cache().mutex.unlock(); }, [] { cache().mutex.unlock(); });

#endif

}  // namespace

#if defined(MADV_FREE)

void* allocate(std::size_t bytes) {
  if (bytes < least_bytes || bytes > SIZE_MAX / 2) {
    return std::malloc(std::max<std::size_t>(bytes, 1));
  }
  Cache& the_cache = cache();
  const std::lock_guard lock(the_cache.mutex);
  const std::size_t block = rounded(bytes);
  try {
    void* memory = wake(the_cache, block);
    if (memory == nullptr && (memory = map(block)) != nullptr) {
      the_cache.used.emplace(memory, block);
    }
    return memory;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void release(void* memory) {
  Cache& the_cache = cache();
  {
    const std::lock_guard lock(the_cache.mutex);
    const auto found = the_cache.used.find(memory);
    if (found != the_cache.used.end()) {
      const Block block = {memory, found->second, false};
      the_cache.used.erase(found);
      if (block.bytes > the_cache.limit) {
        munmap(block.memory, block.bytes);
        return;
      }
      shrink(the_cache, the_cache.limit - block.bytes);
      the_cache.resting.push_front(block);
      the_cache.resting_bytes += block.bytes;
      offer_pages(the_cache);
      return;
    }
  }
  std::free(memory);
}

void* reallocate(void* memory, std::size_t bytes) {
  std::size_t before = 0;
  {
    Cache& the_cache = cache();
    const std::lock_guard lock(the_cache.mutex);
    const auto found = the_cache.used.find(memory);
    if (found == the_cache.used.end()) {
      return std::realloc(memory, std::max<std::size_t>(bytes, 1));
    }
    before = found->second;
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
  const std::lock_guard lock(the_cache.mutex);
  the_cache.limit = bytes;
  shrink(the_cache, bytes);
}

std::size_t empty() {
  Cache& the_cache = cache();
  const std::lock_guard lock(the_cache.mutex);
  const std::size_t bytes = the_cache.resting_bytes;
  shrink(the_cache, 0);
  return bytes;
}

#else  // Without a way to give memory back and keep it, none is kept.

void* allocate(std::size_t bytes) { return std::malloc(std::max<std::size_t>(bytes, 1)); }
void* reallocate(void* memory, std::size_t bytes) {
  return std::realloc(memory, std::max<std::size_t>(bytes, 1));
}
void release(void* memory) { std::free(memory); }
void set_limit(std::size_t) {}
std::size_t empty() { return 0; }

#endif

}  // namespace elulayer::bindings::block_cache
