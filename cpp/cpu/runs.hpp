// The runs of a tile: contiguous memory, and for it the alphas. Internal linkage only: compiled
// once for each instruction set.
#pragma once

#include "cpu/kernels.hpp"
#include "cpu/sums.hpp"

// A loop over a block is a function of its own: so the symbol table and the compilers' reports name
// it with its types, and tests/test_vectorization.py can tell that each is vectorized.
#define ELULAYER_LOOP __attribute__((noinline))

// Before a loop around loops over a few lanes. clang unrolls those, and would then vectorize the
// loop around them, across the lanes.
#if defined(__clang__)
#define ELULAYER_LANES_INSIDE _Pragma("clang loop vectorize(disable)")
#else
#define ELULAYER_LANES_INSIDE
#endif

namespace elulayer::cpu {
namespace {

// One value for all elements of a block, where others have an array.
template <class V>
struct Uniform {
  V value;
  const V& operator[](int) const { return value; }
};

// The most elements of a run, and of a block of four.
template <class T>
constexpr int max_run = static_cast<int>(run_size(sizeof(T)));
template <class T>
constexpr int max_block = terms_per_lane * max_run<T>;

// The number of elements of a run: compilers and analysers need not think of empty ones.
inline int64_t not_empty(int64_t n) {
  if (n < 1) {
    __builtin_unreachable();
  }
  return n;
}

// The runs of a tile: contiguous memory, and in it `width` numbers with a channel's alpha each.
// Row: a piece of a row longer than max_run. Pattern: whole rows of all the tile's channels, so
// that element i of every run has the same channel.

// Calls element(channel) for each element of a run.
template <class Element>
void for_each_in_pattern(const Tile& tile, const Element& element) {
  for (int64_t n = 0; n < tile.outers_per_run; ++n) {
    for (int64_t c = 0; c < tile.channels; ++c) {
      for (int64_t k = 0; k < tile.inner; ++k) {
        element(c);
      }
    }
  }
}

// Calls run(offset, n) for each run of a tile of patterns of `width` elements.
template <class Run>
void for_each_pattern(const Tile& tile, int width, const Run& run) {
  const int64_t per_run = tile.outers_per_run;
  const int64_t row = tile.channels * tile.inner;
  for (int64_t n = 0; n < tile.outers; n += per_run) {
    const int64_t left = not_empty((tile.outers - n) * row);
    run(tile.offset + n * tile.outer_stride, left < width ? static_cast<int>(left) : width);
  }
}

// Calls run(offset, n) for the pieces of one channel's rows, of at most max_run elements.
template <class T, class Run>
void for_each_piece(const Tile& tile, int64_t channel, const Run& run) {
  for (int64_t n = 0; n < tile.outers; ++n) {
    const int64_t row = tile.offset + n * tile.outer_stride + channel * tile.channel_stride;
    for (int64_t i = 0; i < tile.inner; i += max_run<T>) {
      const int64_t left = tile.inner - i;
      run(row + i, left < max_run<T> ? static_cast<int>(left) : max_run<T>);
    }
  }
}

}  // namespace
}  // namespace elulayer::cpu
