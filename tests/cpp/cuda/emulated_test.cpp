// The CUDA kernels' bodies on a CPU: Z and dX have the bits of the CPU's kernels, dalpha is within
// its bound of a sum in long double, and nothing beyond the arrays is touched.
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/kernels.cuh"
#include "elulayer/elulayer.hpp"

namespace {

using elulayer::Arithmetic;
using elulayer::bfloat16;
using elulayer::float16;
using elulayer::Shape;
using elulayer::cuda::Plan;
using elulayer::cuda::Sum;
namespace emulator = elulayer::cuda::emulator;

int failures = 0;

void expect(bool condition, const std::string& what) {
  if (!condition) {
    std::printf("failed: %s\n", what.c_str());
    ++failures;
  }
}

// An array that ends at a page that nobody may touch, and begins `shift` elements after a multiple
// of 16 bytes; before it lies another such page.
template <class S>
class Guarded {
 public:
  Guarded(std::size_t size, std::size_t shift) : size_(size) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t bytes = (size + shift) * sizeof(S);
    const std::size_t rounded = (bytes + 15) / 16 * 16;
    const std::size_t inner = (rounded + page - 1) / page * page;
    total_ = inner + 2 * page;
    void* const memory = mmap(nullptr, total_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      throw std::runtime_error("mmap failed");
    }
    memory_ = static_cast<char*>(memory);
    mprotect(memory_ + page, inner, PROT_READ | PROT_WRITE);
    data_ = reinterpret_cast<S*>(memory_ + page + inner - rounded) + shift;
    emulator::arrays.emplace_back(reinterpret_cast<const char*>(data_),
                                  reinterpret_cast<const char*>(data_ + size));
  }
  ~Guarded() {
    emulator::arrays.pop_back();  // the last one made goes first
    munmap(memory_, total_);
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  S* data() { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  std::size_t total_ = 0;
  char* memory_ = nullptr;
  S* data_ = nullptr;
};

template <class S>
S number(double value) {
  S result;
  elulayer::cuda::from_arithmetic(static_cast<Arithmetic<S>>(value), result);
  return result;
}

template <class S>
double value_of(S number) {
  return static_cast<double>(elulayer::cuda::to_arithmetic(number));
}

template <class S>
struct Kernels {
  static constexpr int vector = 16 / sizeof(S);

  static void forward(const Plan& plan, const S* x, const Arithmetic<S>* alpha, S* z) {
    const auto kernel = plan.vector == 1 ? &elulayer::cuda::forward_kernel<1, S>
                                         : &elulayer::cuda::forward_kernel<vector, S>;
    emulator::launch(kernel, static_cast<unsigned>(plan.tiles), static_cast<unsigned>(plan.slabs),
                     elulayer::cuda::block_size, 0, plan, x, alpha, z);
  }

  static void backward(const Plan& plan, const S* grad, const S* x, const Arithmetic<S>* alpha,
                       S* dx, Arithmetic<S>* dalpha) {
    std::vector<Sum> partials(static_cast<std::size_t>(plan.partials()), Sum{std::nan(""), 0});
    const auto kernel = plan.vector == 1 ? &elulayer::cuda::backward_kernel<1, S>
                                         : &elulayer::cuda::backward_kernel<vector, S>;
    emulator::launch(
        kernel, static_cast<unsigned>(plan.tiles), static_cast<unsigned>(plan.slabs),
        elulayer::cuda::block_size,
        sizeof(Sum) * elulayer::cuda::block_size * static_cast<std::size_t>(plan.vector), plan,
        grad, x, alpha, dx, partials.data());
    const std::int64_t warps = elulayer::cuda::block_size / 32;
    emulator::launch(&elulayer::cuda::combine_kernel<Arithmetic<S>>,
                     static_cast<unsigned>((plan.channels + warps - 1) / warps), 1U,
                     elulayer::cuda::block_size, 0, plan, static_cast<const Sum*>(partials.data()),
                     dalpha);
  }
};

template <class S>
void try_shape(const char* type, Shape shape, std::size_t shift) {
  const std::string name = std::string(type) + " (" + std::to_string(shape.outer) + ", " +
                           std::to_string(shape.channels) + ", " + std::to_string(shape.inner) +
                           "), shift " + std::to_string(shift);
  using T = Arithmetic<S>;
  const auto size = static_cast<std::size_t>(shape.outer * shape.channels * shape.inner);
  const auto channels = static_cast<std::size_t>(shape.channels);
  Guarded<S> x(size, shift);
  Guarded<S> grad(size, shift);
  Guarded<S> z(size, shift);
  Guarded<S> dx(size, shift);
  Guarded<T> alpha(channels, 0);
  Guarded<T> dalpha(channels, 0);
  std::mt19937_64 random(size * 31 + shift);
  std::normal_distribution<double> normal(0, 3);
  const double odd[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, -1e-30, -90, -800, 1e30, -3e38};
  for (std::size_t i = 0; i < size; ++i) {
    x.data()[i] = number<S>(i % 97 == 13 ? odd[i / 97 % 10] : normal(random));
    grad.data()[i] = number<S>(i % 101 == 17 ? odd[i / 101 % 2] : normal(random));
  }
  const double alphas[] = {1, 0.25, -0.5, 0, 1e30, 1e-30};
  for (std::size_t c = 0; c < channels; ++c) {
    alpha.data()[c] = static_cast<T>(c < 6 ? alphas[c] : normal(random));
  }

  const Plan plan = elulayer::cuda::make_plan(shape, sizeof(S), shift == 0);
  Kernels<S>::forward(plan, x.data(), alpha.data(), z.data());
  Kernels<S>::backward(plan, grad.data(), x.data(), alpha.data(), dx.data(), dalpha.data());

  std::vector<S> cpu_z(size);
  std::vector<S> cpu_dx(size);
  std::vector<T> cpu_dalpha(channels);
  elulayer::elu(x.data(), alpha.data(), cpu_z.data(), shape);
  elulayer::elu_backward(grad.data(), x.data(), alpha.data(), cpu_dx.data(), cpu_dalpha.data(),
                         shape);
  std::size_t z_differs = 0;
  std::size_t dx_differs = 0;
  const auto differs = [](S a, S b) {
    return std::memcmp(&a, &b, sizeof a) != 0 &&
           !(std::isnan(value_of(a)) && std::isnan(value_of(b)));
  };
  for (std::size_t i = 0; i < size; ++i) {
    z_differs += differs(z.data()[i], cpu_z[i]);
    dx_differs += differs(dx.data()[i], cpu_dx[i]);
  }
  expect(z_differs == 0, name + ": Z differs from the CPU's in " + std::to_string(z_differs));
  expect(dx_differs == 0, name + ": dX differs from the CPU's in " + std::to_string(dx_differs));

  std::vector<long double> sums(channels, 0);
  std::vector<long double> magnitudes(channels, 0);
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t c = i / static_cast<std::size_t>(shape.inner) % channels;
    const auto xi = static_cast<long double>(value_of(x.data()[i]));
    const auto gi = static_cast<long double>(value_of(grad.data()[i]));
    const long double term = xi > 0 ? 0 : gi * std::expm1(xi);
    sums[c] += term;
    magnitudes[c] += std::fabs(term);
  }
  const long double epsilon = sizeof(T) == 8 ? 0x1p-52L : 0x1p-23L;
  for (std::size_t c = 0; c < channels; ++c) {
    const auto got = static_cast<long double>(dalpha.data()[c]);
    const bool right = std::isnan(sums[c])
                           ? std::isnan(got)
                           : std::fabs(got - sums[c]) <= 3 * epsilon * magnitudes[c];
    if (!right) {
      expect(false, name + ": dalpha[" + std::to_string(c) + "] is " +
                        std::to_string(static_cast<double>(got)) + ", not " +
                        std::to_string(static_cast<double>(sums[c])));
      break;
    }
  }
}

template <class S>
void try_type(const char* type) {
  for (const std::int64_t inner : {1, 9, 49, 196, 1225, 3136}) {
    for (const std::int64_t outer : {1, 2, 7}) {
      for (const std::int64_t channels : {4, 5}) {
        for (const std::size_t shift : {0, 1}) {
          try_shape<S>(type, {outer, channels, inner}, shift);
        }
      }
    }
  }
  try_shape<S>(type, {3000, 8, 1}, 0);   // channels last, several slabs
  try_shape<S>(type, {300, 64, 1}, 0);   // rows shorter than a block
  try_shape<S>(type, {5, 2100, 1}, 0);   // more channels than a tile has
  try_shape<S>(type, {1, 1, 40001}, 0);  // one row, whose last vector is not whole
  try_shape<S>(type, {2000, 1, 3}, 0);
}

void try_alignment() {
  Guarded<float> array(7, 0);
  for (const int offset : {1, 4}) {
    float vector[4];
    bool thrown = false;
    try {
      elulayer::cuda::load_vector(array.data() + offset, vector);
    } catch (const std::logic_error&) {
      thrown = true;
    }
    expect(thrown, "a vector access that is misaligned or leaves the array is found");
  }
}

}  // namespace

int main() {
  try {
    try_alignment();
    try_type<float>("float");
    try_type<double>("double");
    try_type<float16>("float16");
    try_type<bfloat16>("bfloat16");
  } catch (const std::exception& error) {
    std::printf("failed: %s\n", error.what());
    ++failures;
  }
  std::printf(failures == 0 ? "all passed\n" : "%d failures\n", failures);
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
