// How a GPU goes through an (outer, channels, inner) array: the same for every device, since the
// shape of alpha's reduction follows from it.
//
// The array is a matrix of `outer` rows and channels * inner columns. A block of threads takes a
// tile of neighbouring columns over a slab of rows. A thread takes one vector of columns, whose
// alphas it keeps, and every block_y-th row of the slab: there is no division in the loop, and rows
// of 49 elements or of 1 are like any other.
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
constexpr int block_size = 256;

struct Plan {
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t channels;
  std::int64_t inner;
  std::int64_t slab_rows;
  int vector;   // columns of a thread: 16 bytes of them, or 1
  int block_x;  // threads side by side
  int block_y;  // threads on different rows; block_x * block_y = block_size
  int tiles;
  int slabs;

  ELULAYER_HOST_DEVICE std::int64_t tile_columns() const {
    return static_cast<std::int64_t>(block_x) * vector;
  }

  // The partial sums of dL/dalpha. A tile has one for each of its channels; going along the
  // columns, each next one begins with a new tile or a new channel, so tile + channel numbers them.
  ELULAYER_HOST_DEVICE std::int64_t partials_of_slab() const { return tiles + channels; }
  std::int64_t partials() const { return slabs * partials_of_slab(); }
};

// The plan for arrays of elements of `element_size` bytes that all begin at multiples of 16 bytes,
// or do not. Throws std::invalid_argument for a shape that the grid of a device cannot hold.
Plan make_plan(Shape shape, int element_size, bool aligned);

}  // namespace elulayer::cuda
