// The CUDA unit from its API down to the kernels' bodies: Z, memory and dX have the bits of the
// CPU's kernels, dalpha is within its bound of a sum in long double, and nothing beyond the arrays
// is touched. On a CPU by the emulator beside this file, and on a device: place.hpp has either's
// memory. On a device each call is made in two streams, with the same bits, also of dalpha.
//
//   unit_test [--small]
// and on a device, for compute-sanitizer, [--no-canaries] [--unwritten] (device/place.hpp).
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <place.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cuda/elu.hpp"
#include "cuda/runtime.hpp"
#include "elulayer/elulayer.hpp"
#include "math/half.hpp"

namespace {

using elulayer::Arithmetic;
using elulayer::bfloat16;
using elulayer::float16;
using elulayer::Shape;
using elulayer::cuda::Alphas;
using elulayer::cuda::Stream;
using place::Guarded;

int failures = 0;

void expect(bool condition, const std::string& what) {
  if (!condition) {
    std::printf("failed: %s\n", what.c_str());
    ++failures;
  }
}

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

template <class S>
std::string bits_of(Guarded<S>& array) {
  return {reinterpret_cast<const char*>(array.data()), array.size() * sizeof(S)};
}

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
      const bool is_odd = i % 97 == 13;
      x.data()[i] = number<S>(is_odd ? odd[i / 97 % 10] : normal(random));
      // A NaN hides the rest of its channel's sum: the first one may have some.
      if (std::isnan(value_of(x.data()[i])) && channel_of(i) > 0) {
        x.data()[i] = number<S>(-1);
      }
      grad.data()[i] = number<S>(i % 101 == 17 ? odd[i / 101 % 2] : normal(random));
    }
    const double alphas[] = {1, 0.25, -0.5, 0, 1e30, 1e-30, -0.0, INFINITY};
    const auto first = static_cast<std::size_t>(shape.outer + shape.inner);
    for (std::size_t c = 0; c < channels(); ++c) {
      alpha.data()[c] = static_cast<T>(one_alpha ? 0.75
                                       : c < 8   ? alphas[(first + c) % 8]
                                                 : normal(random));
    }
    x.upload();
    grad.upload();
    alpha.upload();
  }

  std::size_t size() const {
    return static_cast<std::size_t>(shape.outer * shape.channels * shape.inner);
  }
  std::size_t channels() const { return static_cast<std::size_t>(shape.channels); }
  std::size_t channel_of(std::size_t i) const {
    return i / static_cast<std::size_t>(shape.inner) % channels();
  }

  Alphas<T> alphas() {
    return {one_alpha ? nullptr : alpha.on_device(), one_alpha ? alpha.data()[0] : T(0)};
  }

  void expect_none(std::size_t count, const char* what) {
    expect(count == 0, name + ": " + what + " differs from the CPU's in " + std::to_string(count));
  }

  // call(stream) in each stream. `results` have the same bits each time, and inputs keep theirs.
  template <class Call, class... Results>
  void run(const std::string& what, const Call& call, Results&... results) {
    std::vector<std::string> before;
    for (const Stream stream : place::streams()) {
      (results.poison(), ...);
      workspace.poison();
      call(stream);
      elulayer::cuda::synchronize(stream);
      (results.download(), ...);
      if (place::is_device) {
        std::vector<std::string> bits{bits_of(results)...};
        expect(before.empty() || bits == before, name + ": " + what + " differs in another run");
        before = std::move(bits);
      }
    }
    expect(x.is_intact() && grad.is_intact() && z.is_intact() && memory.is_intact() &&
               dx.is_intact() && alpha.is_intact() && dalpha.is_intact() && workspace.is_intact(),
           name + ": " + what + " writes beyond an array");
    if (place::is_device) {
      const std::vector<std::string> inputs{bits_of(x), bits_of(grad), bits_of(alpha)};
      x.download();
      grad.download();
      alpha.download();
      const std::vector<std::string> after{bits_of(x), bits_of(grad), bits_of(alpha)};
      expect(after == inputs, name + ": " + what + " changes what it reads");
    }
  }

  void forward() {
    run(
        "Z",
        [&](Stream stream) {
          elulayer::cuda::elu(x.on_device(), alphas(), z.on_device(), shape, stream);
        },
        z);
    std::vector<S> cpu(size());
    elulayer::elu(x.data(), alpha.data(), cpu.data(), shape);
    expect_none(differences(z.data(), cpu), "Z");
  }

  void with_memory() {
    run(
        "Z with memory",
        [&](Stream stream) {
          elulayer::cuda::elu_with_memory(x.on_device(), alphas(), z.on_device(),
                                          memory.on_device(), shape, stream);
        },
        z, memory);
    std::vector<S> cpu(size());
    std::vector<S> cpu_memory(size());
    elulayer::elu_with_memory(x.data(), alpha.data(), cpu.data(), cpu_memory.data(), shape);
    expect_none(differences(z.data(), cpu), "Z with memory");
    expect_none(differences(memory.data(), cpu_memory), "memory");
  }

  template <class Gpu, class Cpu>
  void backward(const std::string& from, Guarded<S>& source, const Gpu& gpu,
                const Cpu& cpu_function) {
    run(
        "backward from " + from,
        [&](Stream stream) {
          gpu(grad.on_device(), source.on_device(), alphas(), dx.on_device(), dalpha.on_device(),
              workspace.on_device(), shape, stream);
        },
        dx, dalpha);
    std::vector<S> cpu(size());
    std::vector<T> cpu_dalpha(channels());
    cpu_function(grad.data(), source.data(), alpha.data(), cpu.data(), cpu_dalpha.data(), shape, 0);
    expect_none(differences(dx.data(), cpu), ("dX from " + from).c_str());
    check_dalpha(from, source.data());
  }

  // Against long double. From the output, Z = alpha expm1(x) has been rounded, and so has the
  // reference: it takes what the kernel is given.
  void check_dalpha(const std::string& from, const S* source) {
    std::vector<long double> sums(channels(), 0);
    std::vector<long double> magnitudes(channels(), 0);
    for (std::size_t i = 0; i < size(); ++i) {
      const std::size_t c = channel_of(i);
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

  // Results over what they are made from.
  void in_place() {
    const auto fill = [](Guarded<S>& to, Guarded<S>& from) {
      std::copy(from.data(), from.data() + from.size(), to.data());
      to.upload();
    };
    std::vector<S> cpu(size());
    std::vector<T> cpu_dalpha(channels());
    fill(z, x);
    elulayer::cuda::elu(z.on_device(), alphas(), z.on_device(), shape, nullptr);
    elulayer::cuda::synchronize(nullptr);
    z.download();
    elulayer::elu(x.data(), alpha.data(), cpu.data(), shape);
    expect_none(differences(z.data(), cpu), "Z in place");
    elulayer::elu_backward(grad.data(), x.data(), alpha.data(), cpu.data(), cpu_dalpha.data(),
                           shape);
    for (const bool over_grad : {true, false}) {
      fill(dx, over_grad ? grad : x);
      elulayer::cuda::elu_backward(
          over_grad ? dx.on_device() : grad.on_device(), over_grad ? x.on_device() : dx.on_device(),
          alphas(), dx.on_device(), dalpha.on_device(), workspace.on_device(), shape, nullptr);
      elulayer::cuda::synchronize(nullptr);
      dx.download();
      dalpha.download();
      expect_none(differences(dx.data(), cpu), over_grad ? "dX over grad" : "dX over x");
      check_dalpha("x", x.data());
    }
  }

  // Gradients whose partial sums leave the range of T, and whose sum does not.
  void large_gradients() {
    const double largest = sizeof(T) == 8 ? 1.7e308 : 3.3e38;
    std::vector<std::size_t> seen(channels(), 0);
    for (std::size_t i = 0; i < size(); ++i) {
      const std::size_t number_in_channel = seen[channel_of(i)]++;
      const double sign = number_in_channel == 0 ? 1 : number_in_channel % 4 < 2 ? 1 : -1;
      x.data()[i] = number<S>(-40);
      grad.data()[i] = number<S>(sign * largest / (number_in_channel == 0 ? 3 : 1));
    }
    x.upload();
    grad.upload();
    backward("x", x, elulayer::cuda::elu_backward<S>, elulayer::elu_backward<S>);
    for (std::size_t c = 0; c < channels(); ++c) {
      const double got = static_cast<double>(dalpha.data()[c]);
      expect(std::isfinite(got), name + ": dalpha of large gradients is " + std::to_string(got));
    }
  }

  // Gradients of one channel that go with expm1(x) = -1, so that dalpha is `sum`, exactly.
  void exact_sum(double first, double others, double last, double sum) {
    for (std::size_t i = 0; i < size(); ++i) {
      const double g = i == 0 ? first : i + 1 < size() ? others : last;
      x.data()[i] = number<S>(-40);
      grad.data()[i] = number<S>(g);
    }
    x.upload();
    grad.upload();
    elulayer::cuda::elu_backward(grad.on_device(), x.on_device(), alphas(), dx.on_device(),
                                 dalpha.on_device(), workspace.on_device(), shape, nullptr);
    elulayer::cuda::synchronize(nullptr);
    dalpha.download();
    const auto got = static_cast<double>(dalpha.data()[0]);
    expect(got == sum, name + ": dalpha is " + std::to_string(got) + ", not " +
                           std::to_string(sum) + ", for gradients of " + std::to_string(first) +
                           ", " + std::to_string(others) + ", " + std::to_string(last));
  }

  // Alphas that backward from the output has no answer for.
  void from_output_of_any_alpha() {
    run(
        "backward from any output",
        [&](Stream stream) {
          elulayer::cuda::elu_backward_from_output(grad.on_device(), z.on_device(), alphas(),
                                                   dx.on_device(), dalpha.on_device(),
                                                   workspace.on_device(), shape, stream);
        },
        dx, dalpha);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < size(); ++i) {
      const double own = static_cast<double>(alpha.data()[channel_of(i)]);
      if (own > 0) {
        continue;
      }
      const bool is_right = value_of(z.data()[i]) > 0
                                ? std::memcmp(dx.data() + i, grad.data() + i, sizeof(S)) == 0
                                : std::isnan(value_of(dx.data()[i]));
      wrong += !is_right || !std::isnan(dalpha.data()[channel_of(i)]);
    }
    expect(wrong == 0, name +
                           ": for alphas that are not positive, backward from the output gives " +
                           std::to_string(wrong) + " numbers");
  }

  void all() {
    with_memory();
    backward("memory", memory, elulayer::cuda::elu_backward_from_memory<S>,
             elulayer::elu_backward_from_memory<S>);
    forward();
    backward("x", x, elulayer::cuda::elu_backward<S>, elulayer::elu_backward<S>);
    in_place();
    forward();
    from_output_of_any_alpha();
    for (std::size_t c = 0; c < channels(); ++c) {  // from the output they must be positive
      alpha.data()[c] = alpha.data()[c] == 0 ? T(2) : std::fabs(alpha.data()[c]);
    }
    alpha.upload();
    forward();
    backward("output", z, elulayer::cuda::elu_backward_from_output<S>,
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

// One plane, many rows, and rows of vectors that lie in several channels.
template <class S>
void try_large_gradients(const char* type) {
  for (const Shape shape : {Shape{1, 1, 8004}, Shape{2004, 4, 1}, Shape{404, 4, 49}}) {
    Case<S>(std::string(type) + ", large gradients", shape, 0, true).large_gradients();
  }
}

// Sums that rounding would take numbers from, of numbers from both ends of double's range, and
// sums that are not finite.
template <class S>
void try_exact_sums(const char* type) {
  constexpr bool is_double = sizeof(S) == 8;
  constexpr double much = is_double ? 0x1p60 : 0x1p40;
  constexpr double largest = is_double ? 1.7e308 : 3.3e38;
  for (const Shape shape : {Shape{1, 1, 8004}, Shape{2004, 1, 1}, Shape{404, 1, 49}}) {
    Case<S> sums(std::string(type) + ", exact sums", shape, 0, true);
    const double others = static_cast<double>(sums.size()) - 2;
    sums.exact_sum(much, 1, -much, -others);
    sums.exact_sum(-much, -1, much, others);
    sums.exact_sum(largest, largest, largest, -INFINITY);
    sums.exact_sum(INFINITY, 1, 1, -INFINITY);
    sums.exact_sum(1, 1, -INFINITY, INFINITY);
    if (is_double) {
      // The first is too large for the short form.
      sums.exact_sum(0x1p560, 0x1p511, 0, -0x1p560 - others * 0x1p511);
    }
  }
}

// No element: every sum is 0.
template <class S>
void try_empty(const char* type) {
  for (const Shape shape : {Shape{0, 3, 5}, Shape{2, 3, 0}, Shape{2, 0, 5}}) {
    Case<S> none(std::string(type) + ", no element", shape, 0, false);
    none.forward();
    none.backward("x", none.x, elulayer::cuda::elu_backward<S>, elulayer::elu_backward<S>);
  }
}

// One of each way through the kernels.
template <class S>
void try_few(const char* type) {
  try_shape<S>(type, {7, 4, 196}, 0);    // vectors that lie in one channel
  try_shape<S>(type, {7, 4, 49}, 0);     // and that do not
  try_shape<S>(type, {7, 5, 49}, 1);     // element by element
  try_shape<S>(type, {301, 3, 7}, 0);    // joined rows
  try_shape<S>(type, {5000, 8, 1}, 0);   // channels last, several slabs
  try_shape<S>(type, {5, 2100, 1}, 0);   // more channels than a tile has
  try_shape<S>(type, {2, 3, 20001}, 0);  // planes
  try_shape<S>(type, {1, 1, 20001}, 1);  // the same, element by element
  try_shape<S>(type, {40, 6, 7}, 0, true);
}

// More blocks than a device runs at a time.
template <class S>
void try_large(const char* type) {
  try_shape<S>(type, {64, 16, 3136}, 0);
  try_shape<S>(type, {64, 16, 3136}, 1);
  try_shape<S>(type, {50176, 64, 1}, 0);
  try_shape<S>(type, {128, 512, 49}, 0);
  try_shape<S>(type, {1, 2, 1500001}, 0);
  try_shape<S>(type, {600000, 5, 1}, 0);
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
  try_empty<S>(type);
  if constexpr (sizeof(S) >= 4) {
    try_large_gradients<S>(type);
    try_exact_sums<S>(type);
  }
}

template <class S>
void try_all(const char* type, bool small) {
  if (small) {
    try_few<S>(type);
    return;
  }
  try_type<S>(type);
  if (place::is_device) {
    try_large<S>(type);
  }
}

}  // namespace

int main(int count, char** arguments) {
  bool small = false;
  for (int i = 1; i < count; ++i) {
    const std::string option = arguments[i];
    if (option == "--small") {
      small = true;
    } else if (!place::set_option(option)) {
      std::printf("unknown option %s\n", arguments[i]);
      return EXIT_FAILURE;
    }
  }
  try {
    const elulayer::cuda::Info info = elulayer::cuda::info();
    expect(info.available, "no device can be used: " + info.reason);
    if (info.available) {
      if (place::is_device) {
        std::printf("%s (%s)\n", info.devices.front().name.c_str(), info.reason.c_str());
      }
      const std::string trouble = place::trouble();
      expect(trouble.empty(), trouble);
      try_all<float>("float", small);
      try_all<double>("double", small);
      try_all<float16>("float16", small);
      try_all<bfloat16>("bfloat16", small);
    }
  } catch (const std::exception& error) {
    std::printf("failed: %s\n", error.what());
    ++failures;
  }
  std::printf(failures == 0 ? "all passed\n" : "%d failures\n", failures);
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
