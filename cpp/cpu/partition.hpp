// How an (outer, channels, inner) array is cut into tiles. A tile is the unit of work of a thread
// and a leaf of alpha's reduction, so the cut follows from the shape and the type alone.
#pragma once

#include <cstdint>

#include "cpu/kernels.hpp"
#include "elulayer/elulayer.hpp"

namespace elulayer::cpu {

class Partition {
 public:
  // max_run: run_size of the type of the arithmetic. has_sums: whether there is a sum for each
  // channel of a tile.
  Partition(Shape shape, std::int64_t max_run, bool has_sums);

  std::int64_t tiles() const { return outer_tiles_ * channel_tiles_ * inner_tiles_; }
  Tile tile(std::int64_t index) const;

  // Partial sums of one channel; that of leaf i and channel c is at i * channels + c.
  std::int64_t leaves() const { return outer_tiles_ * inner_tiles_; }

 private:
  Shape shape_;
  Shape tile_;  // of a tile that no border cuts short
  bool has_long_rows_;
  std::int64_t outers_per_run_ = 1;
  std::int64_t outer_tiles_;
  std::int64_t channel_tiles_;
  std::int64_t inner_tiles_;
};

}  // namespace elulayer::cpu
