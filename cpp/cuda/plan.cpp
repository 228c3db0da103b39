#include "cuda/plan.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

namespace elulayer::cuda {
namespace {

// Fewer blocks leave parts of a large device idle; more than the others need work to add up.
constexpr std::int64_t least_blocks = 1024;
constexpr std::int64_t enough_blocks = 3 * least_blocks;
constexpr std::int64_t most_blocks = 32768;
constexpr std::int64_t most_slabs = 65535;  // blockIdx.y
// Rows that a thread takes where there are enough: reading its alphas, and adding its sums to those
// of its block, is little work beside them. A thread with many alphas has more of that work.
constexpr std::int64_t enough_rows = 8;
constexpr std::int64_t enough_rows_of_many = 16;

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
  plan.x_bits = block_bits;
  // A plane may begin within a vector and end within another.
  const std::int64_t steps = ceil_div(shape.inner + plan.vector - 1, plan.tile_columns());
  const std::int64_t wanted = ceil_div(4 * least_blocks, plan.rows);
  const std::int64_t parts = std::min(wanted, std::max<std::int64_t>(1, steps / 2));
  plan.slab_rows = ceil_div(steps, parts);
  plan.tiles = static_cast<int>(ceil_div(steps, plan.slab_rows));
  plan.slabs = 1;
  grid_extent(plan.grid_x(), shape);
}

// The rows of a slab for which writing and reading its partial sums, of 8 or, in double, 32 bytes,
// is a fiftieth of reading two arrays and writing one.
std::int64_t rows_for_partials(const Plan& plan, int element_size) {
  const std::int64_t partials =
      plan.joined * plan.channels + plan.columns / (plan.vector * block_size) + 1;
  const std::int64_t bytes = element_size == sizeof(double) ? 32 : 8;
  return ceil_div(50 * 2 * bytes * partials, 3 * element_size * plan.columns);
}

void go_by_columns(Plan& plan, Shape shape, int element_size) {
  const std::int64_t row = shape.channels * shape.inner;
  while (row * plan.joined % plan.vector != 0 && plan.joined < shape.outer) {
    plan.joined *= 2;
  }
  plan.joined = std::min(plan.joined, shape.outer);  // all rows in one
  plan.rows = ceil_div(shape.outer, plan.joined);
  plan.columns = row * plan.joined;
  plan.folded = shape.inner % plan.vector == 0;

  // A block as wide as it can be, so that blocks side by side go through the array in one
  // direction; high where slabs are.
  const std::int64_t vectors = ceil_div(plan.columns, plan.vector);
  const std::int64_t for_partials = rows_for_partials(plan, element_size);
  plan.block_y = 1;
  while (plan.block_y < 8 && 2 * enough_rows * plan.block_y <= for_partials &&
         2 * plan.block_y <= plan.rows) {
    plan.block_y *= 2;
  }
  plan.block_x = block_size / plan.block_y;
  while (plan.block_x > 1 && plan.block_x / 2 >= vectors) {
    plan.block_x /= 2;
  }
  plan.block_y = block_size / plan.block_x;
  while ((1 << plan.x_bits) < plan.block_x) {
    ++plan.x_bits;
  }
  plan.tiles = grid_extent(ceil_div(vectors, plan.block_x), shape);

  const std::int64_t short_slab = std::max(for_partials, enough_rows * plan.block_y);
  const bool has_many = !plan.folded && plan.vector > 1;
  std::int64_t slab_rows = std::max({short_slab, has_many ? enough_rows_of_many * plan.block_y : 0,
                                     ceil_div(plan.rows, most_slabs),
                                     ceil_div(plan.rows, ceil_div(most_blocks, plan.tiles))});
  const auto too_few = [&] {
    const std::int64_t blocks = plan.tiles * ceil_div(plan.rows, slab_rows);
    return blocks < (slab_rows > short_slab ? enough_blocks : least_blocks);
  };
  while (too_few() && slab_rows > 2 * plan.block_y) {
    slab_rows = ceil_div(slab_rows, 2);
  }
  plan.slab_rows = slab_rows;
  plan.slabs = static_cast<int>(ceil_div(plan.rows, slab_rows));
}

}  // namespace

Plan make_plan(Shape shape, int element_size, bool aligned) {
  Plan plan{};
  plan.size = shape.outer * shape.channels * shape.inner;
  plan.channels = shape.channels;
  plan.inner = shape.inner;
  plan.joined = 1;
  plan.vector = aligned ? 16 / element_size : 1;
  constexpr std::int64_t least_steps = 4;
  if (shape.inner >= least_steps * block_size * plan.vector) {
    go_by_planes(plan, shape);
  } else {
    go_by_columns(plan, shape, element_size);
  }
  return plan;
}

}  // namespace elulayer::cuda
