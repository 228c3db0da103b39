#include "cpu/partition.hpp"

#include <algorithm>

namespace elulayer::cpu {
namespace {

// A row longer than this is cut, so that one channel can use many threads.
constexpr std::int64_t max_row = 16384;
// Channels are taken together until a tile's rows are this long in memory (whole cache lines), and
// outer indices until each channel has this many elements (partial sums stay few).
constexpr std::int64_t min_contiguous = 256;
constexpr std::int64_t min_channel_elements = 1024;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0); }

}  // namespace

Partition::Partition(Shape shape) : shape_(shape) {
  const auto atleast1 = [](std::int64_t n) { return std::max<std::int64_t>(n, 1); };
  tile_.inner = std::min(atleast1(shape.inner), max_row);
  tile_.channels = std::min(atleast1(shape.channels), ceil_div(min_contiguous, tile_.inner));
  tile_.outer = std::min(atleast1(shape.outer), ceil_div(min_channel_elements, tile_.inner));
  outer_tiles_ = ceil_div(shape.outer, tile_.outer);
  channel_tiles_ = ceil_div(shape.channels, tile_.channels);
  inner_tiles_ = ceil_div(shape.inner, tile_.inner);
}

Tile Partition::tile(std::int64_t index) const {
  const std::int64_t i = index % inner_tiles_;
  const std::int64_t c = index / inner_tiles_ % channel_tiles_;
  const std::int64_t o = index / inner_tiles_ / channel_tiles_;

  Tile tile{};
  tile.channel_stride = shape_.inner;
  tile.outer_stride = shape_.channels * shape_.inner;
  tile.first_channel = c * tile_.channels;
  tile.offset = o * tile_.outer * tile.outer_stride + tile.first_channel * tile.channel_stride +
                i * tile_.inner;
  tile.outers = std::min(tile_.outer, shape_.outer - o * tile_.outer);
  tile.channels = std::min(tile_.channels, shape_.channels - tile.first_channel);
  tile.inner = std::min(tile_.inner, shape_.inner - i * tile_.inner);
  tile.first_partial = (o * inner_tiles_ + i) * shape_.channels + tile.first_channel;
  return tile;
}

}  // namespace elulayer::cpu
