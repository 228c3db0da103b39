// The table of kernels that kernels.cpp exports for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "elulayer/types.hpp"

namespace elulayer::cpu {

// A box of an (outer, channels, inner) array. Its rows of `inner` elements are contiguous.
struct Tile {
  std::int64_t offset;  // of its first element in the array
  std::int64_t outers;
  std::int64_t channels;
  std::int64_t inner;
  std::int64_t outer_stride;
  std::int64_t channel_stride;
  std::int64_t first_channel;
  std::int64_t first_partial;  // index of its first channel's partial sum
  // Outer indices whose rows make up one run of contiguous memory, of at most run_size elements; 0
  // where a single row is longer than that.
  std::int64_t outers_per_run;
};

// The most elements of a run, for a type of `size` bytes that is computed in: what fits the first
// level of cache together with everything that belongs to it.
constexpr std::int64_t run_size(std::size_t size) { return 2048 / static_cast<std::int64_t>(size); }

// How results go to memory.
enum class Store {
  direct,    // written as they are computed
  buffered,  // kept until a block is done: the result is the same memory as an input
  streamed   // past the caches
};

// The sum of a tile's terms of dL/dalpha for one channel: (sum + compensation) / scale.
struct PartialSum {
  double sum;
  double compensation;
  double scale;
};

// 2^-128: keeps a sum of up to 2^63 doubles finite.
constexpr double rescue_scale = 0x1p-128;

// Pointers are to the whole arrays; a kernel adds the tile's offset.
template <class S>
struct KernelTable {
  using T = Arithmetic<S>;

  // Writes dx, and one partial sum for each channel of the tile. `source` is what is named.
  using Backward = void (*)(const Tile& tile, Store store, const S* grad, const S* source,
                            const T* alpha, S* dx, PartialSum* partials);

  void (*forward)(const Tile& tile, Store store, const S* x, const T* alpha, S* z);
  void (*forward_with_memory)(const Tile& tile, const S* x, const T* alpha, S* z, S* memory);
  Backward backward_from_input;
  Backward backward_from_memory;
  Backward backward_from_output;
  void (*double_backward)(const Tile& tile, const S* v, const T* w, const S* grad, const S* x,
                          const T* alpha, S* dgrad, S* dx, PartialSum* partials);
};

struct Kernels {
  const char* instruction_set;  // that the compiler was told to use, by its own macros
  bool fused;                   // whether multiply_add rounds once
  KernelTable<float> f32;
  KernelTable<double> f64;
  KernelTable<float16> f16;
  KernelTable<bfloat16> bf16;
};

extern const Kernels kernels_baseline;
extern const Kernels kernels_v3;
extern const Kernels kernels_v4;

}  // namespace elulayer::cpu
