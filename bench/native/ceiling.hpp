// Ceilings of the memory traffic: loops that read and write as much as the kernels and compute next
// to nothing, with the widest vectors of this machine.
#pragma once

#include <cstddef>

namespace bench {

enum class Stores {
  ordinary,   // through the caches: a line has to be read before it is written
  streaming,  // non-temporal: past the caches, without that read
};

inline constexpr std::size_t cache_line = 64;

// in, a, b and out start on a cache line and reach to the end of the line that holds their last
// byte; whole lines are read and written. out may be an input, and overlaps them in no other way.
// The threads are OpenMP's; without it there is one.

// out = in: one read, one write.
void copy(const void* in, void* out, std::size_t bytes, int threads, Stores stores);

// out = a + b, byte by byte, so that no value is slow: two reads, one write.
void add(const void* a, const void* b, void* out, std::size_t bytes, int threads, Stores stores);

// "AVX-512", "AVX2", "SSE2" or, where there are no intrinsics, "plain loop".
const char* ceiling_vectors();

// Whether Stores::streaming differs from Stores::ordinary.
bool have_streaming_stores();

}  // namespace bench
