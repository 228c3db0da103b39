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
// Rows that a thread takes where there are enough: its partial sum is small beside what it reads.
constexpr std::int64_t enough_rows = 8;
constexpr std::int64_t most_slabs = 65535;  // blockIdx.y

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0); }

int grid_extent(std::int64_t blocks, Shape shape) {
  if (blocks > std::numeric_limits<int>::max()) {
    throw std::invalid_argument(
        "an array of " + std::to_string(shape.outer) + " x " + std::to_string(shape.channels) +
        " x " + std::to_string(shape.inner) + " elements is more than the grid of a device holds");
  }
  return static_cast<int>(blocks);
}

void go_by_planes(Plan& plan, Shape shape) {
  plan.by_planes = true;
  plan.folded = true;
  plan.rows = shape.outer * shape.channels;
  plan.columns = shape.inner;
  plan.block_x = block_size;
  plan.block_y = 1;
  // A plane may begin within a vector and end within another.
  const std::int64_t steps = ceil_div(shape.inner + plan.vector - 1, plan.tile_columns());
  const std::int64_t wanted = ceil_div(enough_blocks, plan.rows);
  const std::int64_t parts = std::min(wanted, std::max<std::int64_t>(1, steps / enough_rows));
  plan.slab_rows = ceil_div(steps, parts);
  plan.tiles = static_cast<int>(ceil_div(steps, plan.slab_rows));
  plan.slabs = 1;
  grid_extent(plan.grid_x(), shape);
}

void go_by_columns(Plan& plan, Shape shape) {
  const std::int64_t row = shape.channels * shape.inner;
  while (row * plan.joined % plan.vector != 0 && plan.joined < shape.outer) {
    plan.joined *= 2;
  }
  plan.joined = std::min(plan.joined, shape.outer);  // all rows in one
  plan.rows = ceil_div(shape.outer, plan.joined);
  plan.columns = row * plan.joined;
  plan.folded = shape.inner % plan.vector == 0;

  const std::int64_t vectors = ceil_div(plan.columns, plan.vector);
  plan.block_x = 32;  // vectors of 16 bytes: 512 bytes of neighbours
  while (plan.block_x < block_size && plan.rows * plan.block_x < 4 * block_size) {
    plan.block_x *= 2;
  }
  while (plan.block_x > 1 && plan.block_x / 2 >= vectors) {
    plan.block_x /= 2;
  }
  plan.block_y = block_size / plan.block_x;
  plan.tiles = grid_extent(ceil_div(vectors, plan.block_x), shape);

  const std::int64_t wanted = ceil_div(enough_blocks, plan.tiles);
  const std::int64_t possible = std::max<std::int64_t>(1, plan.rows / (plan.block_y * enough_rows));
  plan.slab_rows = ceil_div(plan.rows, std::min({wanted, possible, most_slabs}));
  plan.slabs = static_cast<int>(ceil_div(plan.rows, plan.slab_rows));
}

}  // namespace

Plan make_plan(Shape shape, int element_size, bool aligned) {
  Plan plan{};
  plan.size = shape.outer * shape.channels * shape.inner;
  plan.channels = shape.channels;
  plan.inner = shape.inner;
  plan.joined = 1;
  plan.vector = aligned ? 16 / element_size : 1;
  constexpr std::int64_t few_rows = 8;
  if (shape.outer < few_rows && shape.inner >= enough_rows * block_size * plan.vector) {
    go_by_planes(plan, shape);
  } else {
    go_by_columns(plan, shape);
  }
  return plan;
}

}  // namespace elulayer::cuda
