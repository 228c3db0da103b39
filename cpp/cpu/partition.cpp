#include "cpu/partition.hpp"

#include <algorithm>

namespace elulayer::cpu {
namespace {

// A row longer than this is cut, so that one channel can use many threads; rows shorter than it are
// taken together up to about as many elements.
constexpr std::int64_t tile_elements = 16384;
// Where there are sums each channel of a tile of whole rows has at least this many elements, if the
// array has: so the partial sums of 8 bytes take at most 3 % of an array of 16-bit numbers.
constexpr std::int64_t min_channel_elements = 144;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0); }

}  // namespace

Partition::Partition(Shape shape, std::int64_t max_run, bool has_sums) : shape_(shape) {
  const auto atleast1 = [](std::int64_t n) { return std::max<std::int64_t>(n, 1); };
  const std::int64_t outer = atleast1(shape.outer);
  const std::int64_t channels = atleast1(shape.channels);
  const std::int64_t inner = atleast1(shape.inner);
  tile_.inner = std::min(inner, tile_elements);
  has_long_rows_ = inner > max_run;
  if (has_long_rows_) {
    tile_.outer = 1;
    tile_.channels = std::min(channels, tile_elements / tile_.inner);
  } else {
    // Without sums a tile may have more of a row than a run where its alphas lie as they are
    // needed.
    const bool exceeds_run = !has_sums && inner == 1;
    tile_.channels = std::min(channels, exceeds_run ? tile_elements : max_run / inner);
    const std::int64_t row = tile_.channels * inner;
    // The rows of consecutive outer indices are contiguous where a tile has all the channels.
    outers_per_run_ = tile_.channels == channels ? std::min(outer, atleast1(max_run / row)) : 1;
    const std::int64_t block = 4 * outers_per_run_;
    const std::int64_t least = has_sums ? ceil_div(min_channel_elements, inner) : 1;
    // Parts of rows lie apart, and memory is slow to follow: then as few of them as repay to fill
    // in a run's alphas, which takes the longer the more channels they are of.
    const bool has_parts = !has_sums && inner > 1 && tile_.channels < channels;
    const std::int64_t wanted =
        has_parts ? ceil_div(tile_.channels, 8) : ceil_div(tile_elements, row);
    tile_.outer = std::min(outer, ceil_div(std::max(wanted, least), block) * block);
  }
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
  tile.has_long_rows = has_long_rows_;
  tile.outers_per_run = outers_per_run_;
  tile.first_partial = (o * inner_tiles_ + i) * shape_.channels + tile.first_channel;
  return tile;
}

}  // namespace elulayer::cpu
