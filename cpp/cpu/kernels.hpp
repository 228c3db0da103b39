// The table of kernels that kernels.cpp exports for each instruction set.
#pragma once

#include <cstdint>

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
};

// The sum of a tile's terms of dL/dalpha for one channel: (sum + compensation) / scale.
struct PartialSum {
  double sum;
  double compensation;
  double scale;  // 1, or rescue_scale where sums of 1 would have overflowed
};

// 2^-128: keeps a sum of up to 2^63 doubles finite.
constexpr double rescue_scale = 0x1p-128;

// Pointers are to the whole arrays; a kernel adds the tile's offset.
template <class T>
struct KernelTable {
  void (*forward)(const Tile& tile, const T* x, const T* alpha, T* z);
  // Writes dx, and one partial sum for each channel of the tile.
  void (*backward)(const Tile& tile, const T* grad, const T* x, const T* alpha, T* dx,
                   PartialSum* partials);
};

struct Kernels {
  const char* instruction_set;  // that the compiler was told to use, by its own macros
  KernelTable<float> f32;
  KernelTable<double> f64;
};

extern const Kernels kernels_baseline;
extern const Kernels kernels_v3;
extern const Kernels kernels_v4;

}  // namespace elulayer::cpu
