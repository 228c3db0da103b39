// The table of kernels that kernels.cpp exports for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "elulayer/types.hpp"
#include "math/sums.hpp"

namespace elulayer::cpu {

// A box of an (outer, channels, inner) array. Its rows are of `inner` elements side by side.
struct Tile {
  std::int64_t offset;  // of its first element in the array
  std::int64_t outers;
  std::int64_t channels;
  std::int64_t inner;
  std::int64_t outer_stride;
  std::int64_t channel_stride;
  std::int64_t first_channel;
  std::int64_t first_partial;   // index of its first channel's partial sum
  bool has_long_rows;           // whether the array's rows are longer than a run
  std::int64_t outers_per_run;  // short rows: outer indices whose rows are one contiguous run
};

// The most elements of a run, for a type of `size` bytes that is computed in: what fits the first
// level of cache together with everything that belongs to it.
constexpr std::int64_t run_size(std::size_t size) { return 2048 / static_cast<std::int64_t>(size); }

// Pointers are to the whole arrays; a kernel adds the tile's offset.
template <class S>
struct KernelTable {
  using T = Arithmetic<S>;

  // Writes dx, and the sum of each channel's terms in the tile. `source` is what is named.
  using Backward = void (*)(const Tile& tile, const S* grad, const S* source, const T* alpha, S* dx,
                            Sum<T>* partials);

  void (*forward)(const Tile& tile, const S* x, const T* alpha, S* z);
  void (*forward_with_memory)(const Tile& tile, const S* x, const T* alpha, S* z, S* memory);
  Backward backward_from_input;
  Backward backward_from_memory;
  Backward backward_from_output;
  void (*double_backward)(const Tile& tile, const S* v, const T* w, const S* grad, const S* x,
                          const T* alpha, S* dgrad, S* dx, Sum<double>* partials);
};

struct Kernels : KernelTable<float>,
                 KernelTable<double>,
                 KernelTable<float16>,
                 KernelTable<bfloat16> {
  const char* instruction_set;  // that the compiler was told to use, by its own macros
  bool fused;                   // whether multiply_add rounds once
};

extern const Kernels kernels_baseline;
extern const Kernels kernels_v3;
extern const Kernels kernels_v4;

}  // namespace elulayer::cpu
