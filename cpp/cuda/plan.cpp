#include "cuda/plan.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

namespace elulayer::cuda {
namespace {

// Blocks that keep the largest device busy; more than it runs at a time, so that the last ones to
// end matter little.
constexpr std::int64_t enough_blocks = 4096;
// Rows that a thread takes at least: its partial sum is small beside what it reads.
constexpr std::int64_t least_rows = 8;
constexpr std::int64_t most_slabs = 65535;  // blockIdx.y

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0); }

}  // namespace

Plan make_plan(Shape shape, int element_size, bool aligned) {
  Plan plan{};
  plan.rows = shape.outer;
  plan.columns = shape.channels * shape.inner;
  plan.channels = shape.channels;
  plan.inner = shape.inner;
  const int vector = 16 / element_size;
  // Every row must begin at a multiple of 16 bytes.
  plan.vector = aligned && (plan.rows == 1 || plan.columns % vector == 0) ? vector : 1;

  const std::int64_t vectors = ceil_div(plan.columns, plan.vector);
  plan.block_x = block_size;
  while (plan.block_x > 1 && plan.block_x / 2 >= vectors) {
    plan.block_x /= 2;
  }
  plan.block_y = block_size / plan.block_x;

  const std::int64_t tiles = ceil_div(vectors, plan.block_x);
  if (tiles > std::numeric_limits<int>::max()) {
    throw std::invalid_argument("an array of " + std::to_string(plan.columns) +
                                " columns is more than the grid of a device holds");
  }
  plan.tiles = static_cast<int>(tiles);
  const std::int64_t wanted = ceil_div(enough_blocks, std::max<std::int64_t>(1, tiles));
  const std::int64_t possible = std::max<std::int64_t>(1, plan.rows / (plan.block_y * least_rows));
  const std::int64_t slabs = std::min({wanted, possible, most_slabs});
  plan.slab_rows = ceil_div(std::max<std::int64_t>(1, plan.rows), slabs);
  plan.slabs = static_cast<int>(ceil_div(std::max<std::int64_t>(1, plan.rows), plan.slab_rows));
  return plan;
}

}  // namespace elulayer::cuda
