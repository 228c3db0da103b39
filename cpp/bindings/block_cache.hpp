// Blocks of memory that arrays have left, kept for the arrays after them. The system hands out
// zeroed pages, and to have them anew for every result costs more than to compute it.
#pragma once

#include <cstddef>

namespace elulayer::bindings::block_cache {

// Memory of fewer bytes is the C library's: it keeps what is small itself. What is larger glibc
// gives back to the system again and again: of a network's mini-batches of 16 images, half the
// time.
constexpr std::size_t least_bytes = std::size_t{256} << 10;

// As malloc, calloc, realloc and free. Any thread may call them.
void* allocate(std::size_t bytes) noexcept;
void* allocate_zeros(std::size_t bytes) noexcept;
void* reallocate(void* memory, std::size_t bytes) noexcept;
void release(void* memory) noexcept;

// How many bytes may be at rest; 0 keeps none.
void set_limit(std::size_t bytes);

// Gives what is at rest back to the system: how many bytes, is the result.
std::size_t empty();

}  // namespace elulayer::bindings::block_cache
