// The CUDA unit on a CPU, from its API down to the kernels' bodies: Z, memory and dX have the bits
// of the CPU's kernels, dalpha is within its bound of a sum in long double, and nothing beyond the
// arrays is touched.
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

#include "cuda/device.cuh"
#include "cuda/elu.hpp"
#include "cuda/plan.hpp"
#include "elulayer/elulayer.hpp"
#include "math/half.hpp"

namespace {

using elulayer::Arithmetic;
using elulayer::bfloat16;
using elulayer::float16;
using elulayer::Shape;
using elulayer::cuda::Alphas;
using elulayer::cuda::Plan;
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
    emulator::add_array(data_, size * sizeof(S), 0);
  }
  ~Guarded() {
    emulator::remove_array(data_);
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
  if constexpr (sizeof(S) == 2) {
    S result;
    elulayer::from_float(static_cast<float>(value), result);
    return result;
  } else {
    return static_cast<S>(value);
  }
}

template <class S>
double value_of(S number) {
  if constexpr (sizeof(S) == 2) {
    return static_cast<double>(elulayer::to_float(number));
  } else {
    return static_cast<double>(number);
  }
}

// How many elements differ by more than which NaN they are.
template <class S>
std::size_t differences(const S* a, const std::vector<S>& b) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    count += std::memcmp(a + i, &b[i], sizeof *a) != 0 &&
             !(std::isnan(value_of(a[i])) && std::isnan(value_of(b[i])));
  }
  return count;
}

enum class Source { input, memory, output };

template <class S>
struct Case {
  using T = Arithmetic<S>;

  std::string name;
  Shape shape;
  Guarded<S> x;
  Guarded<S> grad;
  Guarded<S> z;
  Guarded<S> memory;
  Guarded<S> dx;
  Guarded<T> alpha;
  Guarded<T> dalpha;
  Guarded<double> workspace;
  bool one_alpha;  // all channels have alpha[0], given as a value

  Case(const std::string& name_, Shape shape_, std::size_t shift, bool one_alpha_)
      : name(name_),
        shape(shape_),
        x(size(), shift),
        grad(size(), shift),
        z(size(), shift),
        memory(size(), shift),
        dx(size(), shift),
        alpha(channels(), 0),
        dalpha(channels(), 0),
        workspace(elulayer::cuda::workspace_bytes(shape, sizeof(S)) / sizeof(double), 0),
        one_alpha(one_alpha_) {
    std::mt19937_64 random(size() * 31 + shift);
    std::normal_distribution<double> normal(0, 3);
    const double odd[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, -1e-30, -90, -800, 1e30, -3e38};
    for (std::size_t i = 0; i < size(); ++i) {
      x.data()[i] = number<S>(i % 97 == 13 ? odd[i / 97 % 10] : normal(random));
      grad.data()[i] = number<S>(i % 101 == 17 ? odd[i / 101 % 2] : normal(random));
    }
    const double alphas[] = {1, 0.25, -0.5, 0, 1e30, 1e-30};
    for (std::size_t c = 0; c < channels(); ++c) {
      alpha.data()[c] = static_cast<T>(one_alpha ? 0.75 : c < 6 ? alphas[c] : normal(random));
    }
  }

  std::size_t size() const {
    return static_cast<std::size_t>(shape.outer * shape.channels * shape.inner);
  }
  std::size_t channels() const { return static_cast<std::size_t>(shape.channels); }

  Alphas<T> alphas() { return {one_alpha ? nullptr : alpha.data(), alpha.data()[0]}; }

  void expect_none(std::size_t count, const char* what) {
    expect(count == 0, name + ": " + what + " differs from the CPU's in " + std::to_string(count));
  }

  void forward() {
    elulayer::cuda::elu(x.data(), alphas(), z.data(), shape, nullptr);
    std::vector<S> cpu(size());
    elulayer::elu(x.data(), alpha.data(), cpu.data(), shape);
    expect_none(differences(z.data(), cpu), "Z");
  }

  void with_memory() {
    elulayer::cuda::elu_with_memory(x.data(), alphas(), z.data(), memory.data(), shape, nullptr);
    std::vector<S> cpu(size());
    std::vector<S> cpu_memory(size());
    elulayer::elu_with_memory(x.data(), alpha.data(), cpu.data(), cpu_memory.data(), shape);
    expect_none(differences(z.data(), cpu), "Z with memory");
    expect_none(differences(memory.data(), cpu_memory), "memory");
  }

  template <class Gpu, class Cpu>
  void backward(const char* from, S* source, const Gpu& gpu, const Cpu& cpu_function) {
    std::fill(workspace.data(), workspace.data() + workspace.size(), std::nan(""));
    std::fill(dalpha.data(), dalpha.data() + channels(), T(NAN));
    std::vector<S> cpu(size());
    std::vector<T> cpu_dalpha(channels());
    cpu_function(grad.data(), source, alpha.data(), cpu.data(), cpu_dalpha.data(), shape, 0);
    gpu(grad.data(), source, alphas(), dx.data(), dalpha.data(), workspace.data(), shape, nullptr);
    expect_none(differences(dx.data(), cpu), (std::string("dX from ") + from).c_str());
    check_dalpha(from, source);
  }

  // Against long double. From the output, Z = alpha expm1(x) has been rounded, and so has the
  // reference: it takes what the kernel is given.
  void check_dalpha(const std::string& from, const S* source) {
    std::vector<long double> sums(channels(), 0);
    std::vector<long double> magnitudes(channels(), 0);
    for (std::size_t i = 0; i < size(); ++i) {
      const std::size_t c = i / static_cast<std::size_t>(shape.inner) % channels();
      const auto s = static_cast<long double>(value_of(source[i]));
      const auto g = static_cast<long double>(value_of(grad.data()[i]));
      const auto a = static_cast<long double>(alpha.data()[c]);
      long double term = 0;
      if (from == "x") {
        term = s > 0 ? 0 : g * std::expm1(s);
      } else if (from == "memory") {
        term = std::signbit(s) || std::isnan(s) ? g * s : 0;
      } else {
        term = s > 0 ? 0 : g * (s < -a ? -a : s) / a;
      }
      sums[c] += term;
      magnitudes[c] += std::fabs(term);
    }
    const long double epsilon = sizeof(T) == 8 ? 0x1p-52L : 0x1p-23L;
    for (std::size_t c = 0; c < channels(); ++c) {
      const auto got = static_cast<long double>(dalpha.data()[c]);
      const bool right = std::isnan(sums[c])
                             ? std::isnan(got)
                             : std::fabs(got - sums[c]) <= 3 * epsilon * magnitudes[c];
      if (!right) {
        expect(false, name + ": dalpha[" + std::to_string(c) + "] from " + from + " is " +
                          std::to_string(static_cast<double>(got)) + ", not " +
                          std::to_string(static_cast<double>(sums[c])));
        break;
      }
    }
  }

  void all() {
    with_memory();
    backward("memory", memory.data(), elulayer::cuda::elu_backward_from_memory<S>,
             elulayer::elu_backward_from_memory<S>);
    forward();
    backward("x", x.data(), elulayer::cuda::elu_backward<S>, elulayer::elu_backward<S>);
    for (std::size_t c = 0; c < channels(); ++c) {  // from the output they must be positive
      alpha.data()[c] = alpha.data()[c] == 0 ? T(2) : std::fabs(alpha.data()[c]);
    }
    forward();
    backward("output", z.data(), elulayer::cuda::elu_backward_from_output<S>,
             elulayer::elu_backward_from_output<S>);
  }
};

template <class S>
void try_shape(const char* type, Shape shape, std::size_t shift, bool one_alpha = false) {
  const std::string name = std::string(type) + " (" + std::to_string(shape.outer) + ", " +
                           std::to_string(shape.channels) + ", " + std::to_string(shape.inner) +
                           "), shift " + std::to_string(shift) + (one_alpha ? ", one alpha" : "");
  Case<S>(name, shape, shift, one_alpha).all();
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
  try_shape<S>(type, {1, 1, 40001}, 0);  // one plane, whose last vector is not whole
  try_shape<S>(type, {1, 1, 40001}, 1);
  try_shape<S>(type, {2, 3, 20001}, 0);  // planes that begin within vectors
  try_shape<S>(type, {2000, 1, 3}, 0);   // joined rows, the last of which is shorter
  try_shape<S>(type, {301, 3, 7}, 0);
  try_shape<S>(type, {5, 3, 1}, 0);
  try_shape<S>(type, {40, 6, 7}, 0, true);
  try_shape<S>(type, {1, 1, 40001}, 0, true);
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
