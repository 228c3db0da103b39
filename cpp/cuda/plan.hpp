// How a GPU goes through an (outer, channels, inner) array: the same for every device, since the
// shape of alpha's reduction follows from it.
//
// By columns. The array is a matrix of `outer` rows and channels * inner columns; a
// block of threads takes a tile of neighbouring columns over a slab of rows. A thread takes one
// vector of columns, whose alphas it keeps, and every block_y-th row of the slab: there is no
// division in the loop, and rows of 49 elements or of 1 are like any other. Where rows do not begin
// at multiples of 16 bytes, as many are joined to one as it takes.
//
// By planes, where `inner` is large. A block takes a part of one plane of `inner` elements, all of
// one alpha, or all of it.
#pragma once

#include <cstdint>

#include "elulayer/elulayer.hpp"

#if defined(__CUDACC__)
#define ELULAYER_HOST_DEVICE __host__ __device__
#else
#define ELULAYER_HOST_DEVICE
#endif

namespace elulayer::cuda {

// Threads of a block.
constexpr int block_bits = 8;
constexpr int block_size = 1 << block_bits;
// Blocks that add the partial sums, at most.
constexpr std::int64_t combine_blocks = 4096;

struct Plan {
  std::int64_t size;  // of the array
  std::int64_t channels;
  std::int64_t inner;
  //                          by columns                              by planes
  std::int64_t rows;       // of the matrix; the last may be short    planes
  std::int64_t columns;    // of such a row                           inner
  std::int64_t slab_rows;  // rows of a slab                          steps of a thread in its part
  std::int64_t joined;     // outer indices in one row                1
  int vector;              // elements that a thread takes at once: 16 bytes of them, or 1
  int block_x;             // threads side by side                    block_size
  int block_y;             // threads on different rows               1
  int x_bits;              // block_x is 1 << x_bits
  int tiles;               // of a row                                parts of a plane
  int slabs;               // of the matrix                           1
  bool by_planes;
  bool folded;  // every vector lies in one channel: a thread has one alpha and one sum

  ELULAYER_HOST_DEVICE std::int64_t tile_columns() const {
    return static_cast<std::int64_t>(block_x) * vector;
  }

  // Blocks side by side, and slabs.
  std::int64_t grid_x() const { return by_planes ? rows * tiles : tiles; }

  // The partial sums of dL/dalpha: each block's, for each channel in its columns. Those of a
  // channel's slabs are neighbours. Along the columns a next one begins with a new tile or a new
  // channel, so the sum of both numbers counts them; joined rows have channels of their own.
  std::int64_t partials() const {
    return slabs * (by_planes ? rows * tiles : tiles + joined * channels);
  }

  // About as many of them as a channel has.
  std::int64_t partials_of_channel() const {
    return by_planes ? rows / channels * tiles
                     : joined * slabs * ((inner - 1) / tile_columns() + 1);
  }
};

// The plan for arrays of elements of `element_size` bytes that all begin at multiples of 16 bytes,
// or do not. Throws std::invalid_argument for a shape that the grid of a device cannot hold.
Plan make_plan(Shape shape, int element_size, bool aligned);

}  // namespace elulayer::cuda
