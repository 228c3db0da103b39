// combine_kernel by itself, on the emulator: with more channels than blocks, each block adds those
// of several, one after the other. A plan for which that happens is too large to emulate whole.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include "cuda/kernels.cuh"

namespace elulayer::cuda {
namespace {

// The partial sum `part` of a channel: all different, and exact in their sum.
double partial(std::int64_t channel, int part) { return static_cast<double>(channel * 8 + part); }

// How many sums are wrong, of channels with so many parts.
template <int team>
int wrong_sums(int parts) {
  constexpr std::int64_t channels = combine_blocks * (block_size / team) + 100;
  Plan plan{};
  plan.by_planes = true;
  plan.rows = channels;
  plan.channels = channels;
  plan.tiles = parts;
  plan.slabs = 1;
  std::vector<Sum<float>> partials(static_cast<std::size_t>(channels * parts));
  for (std::int64_t channel = 0; channel < channels; ++channel) {
    for (int part = 0; part < parts; ++part) {
      const double scale = static_cast<double>(term_scale<float>);
      partials[static_cast<std::size_t>(channel * parts + part)].scaled =
          partial(channel, part) * scale;
    }
  }
  std::vector<float> sums(static_cast<std::size_t>(channels),
                          std::numeric_limits<float>::quiet_NaN());
  launch(&combine_kernel<FromInput, team, float>, dim3(combine_blocks), block_size,
         sizeof(Sum<float>) * (block_size / warp_size), nullptr, plan, partials.data(),
         static_cast<const float*>(nullptr), 1.0f, sums.data());
  int wrong = 0;
  for (std::int64_t channel = 0; channel < channels; ++channel) {
    double expected = 0;
    for (int part = 0; part < parts; ++part) {
      expected += partial(channel, part);
    }
    wrong += sums[static_cast<std::size_t>(channel)] != static_cast<float>(expected);
  }
  std::printf("a team of %d: %d wrong sums\n", team, wrong);
  return wrong;
}

}  // namespace
}  // namespace elulayer::cuda

int main() {
  using namespace elulayer::cuda;
  const int wrong = wrong_sums<block_size>(300) + wrong_sums<warp_size>(40);
  return wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
