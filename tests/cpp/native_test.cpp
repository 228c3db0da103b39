// The native API as a C++ program uses it; the numbers are checked against the C library's double.
// The Python tests hold the core to its bounds; these show that it needs no Python.
#include <atomic>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cpu/partition.hpp"
#include "cpu/standard_floats.hpp"
#include "cpu/waking.hpp"
#include "elulayer/cpu_info.hpp"
#include "elulayer/elulayer.hpp"

namespace {

int passed = 0;
int failed = 0;

void check(bool condition, const std::string& what) {
  if (condition) {
    ++passed;
  } else {
    ++failed;
    std::printf("FAILED: %s\n", what.c_str());
  }
}

// Reproducible values in (-range, range).
template <class T>
std::vector<T> values(std::int64_t count, double range, std::uint64_t seed) {
  std::vector<T> result;
  for (std::int64_t i = 0; i < count; ++i) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    result.push_back(
        static_cast<T>(range * (static_cast<double>(static_cast<std::int64_t>(seed)) * 0x1p-63)));
  }
  return result;
}

template <class T>
void check_shape(elulayer::Shape shape, const std::string& name) {
  const std::int64_t size = shape.outer * shape.channels * shape.inner;
  const double tolerance = 4.0 * static_cast<double>(std::numeric_limits<T>::epsilon());
  const std::vector<T> x = values<T>(size, 8, 1);
  const std::vector<T> grad = values<T>(size, 2, 2);
  const std::vector<T> alpha = values<T>(shape.channels, 1.5, 3);
  std::vector<T> z(x.size());
  std::vector<T> dx(x.size());
  std::vector<T> dalpha(alpha.size());
  elulayer::elu(x.data(), alpha.data(), z.data(), shape);
  elulayer::elu_backward(grad.data(), x.data(), alpha.data(), dx.data(), dalpha.data(), shape);

  bool z_right = true;
  bool dx_right = true;
  std::vector<double> sums(alpha.size());
  std::vector<double> magnitudes(alpha.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c =
        i / static_cast<std::size_t>(shape.inner) % static_cast<std::size_t>(shape.channels);
    const double xi = static_cast<double>(x[i]);
    const double g = static_cast<double>(grad[i]);
    const double a = static_cast<double>(alpha[c]);
    const double expected_z = xi > 0 ? xi : a * std::expm1(xi);
    const double expected_dx = xi > 0 ? g : g * a * std::exp(xi);
    const double term = xi > 0 ? 0 : g * std::expm1(xi);
    z_right = z_right && std::fabs(static_cast<double>(z[i]) - expected_z) <=
                             tolerance * std::fabs(expected_z);
    dx_right = dx_right && std::fabs(static_cast<double>(dx[i]) - expected_dx) <=
                               tolerance * std::fabs(expected_dx);
    sums[c] += term;
    magnitudes[c] += std::fabs(term);
  }
  bool dalpha_right = true;
  for (std::size_t c = 0; c < sums.size(); ++c) {
    dalpha_right = dalpha_right &&
                   std::fabs(static_cast<double>(dalpha[c]) - sums[c]) <= tolerance * magnitudes[c];
  }
  check(z_right, name + ": Z");
  check(dx_right, name + ": dX");
  check(dalpha_right, name + ": dalpha");

  for (const int threads : {1, 2, 5}) {
    std::vector<T> other_dx = grad;  // in place of grad
    std::vector<T> other_dalpha(alpha.size());
    elulayer::elu_backward(other_dx.data(), x.data(), alpha.data(), other_dx.data(),
                           other_dalpha.data(), shape, threads);
    check(other_dx == dx && other_dalpha == dalpha,
          name + ": same bits in place with " + std::to_string(threads) + " threads");
  }
}

// Partial sums that are finite at their own scale and overflow on the way to the result, which is
// finite again. A compiler that fuses operations of the adding up by itself makes it NaN.
void check_large_sums() {
  constexpr std::int64_t part = 16384;
  constexpr int exponent = 512;
  for (const double other : {-1.0, -1.05, -1.9, -2.0}) {
    const double parts[] = {0.95, other, 0.3, 0.2};  // of dalpha, as multiples of 2^exponent
    std::vector<double> x;
    std::vector<double> grad;
    double expected = 0;
    for (const double value : parts) {
      expected += value;
      for (std::int64_t i = 0; i < part; ++i) {
        x.push_back(-1 - static_cast<double>(i % 31));
        grad.push_back(
            std::ldexp(value / static_cast<double>(part) / std::expm1(x.back()), exponent));
      }
    }
    const double alpha = 1;
    std::vector<double> dx(x.size());
    double dalpha = 0;
    elulayer::elu_backward(grad.data(), x.data(), &alpha, dx.data(), &dalpha,
                           {1, 1, static_cast<std::int64_t>(x.size())});
    check(std::fabs(std::ldexp(dalpha, -exponent) - expected) <= 1e-14,
          "large partial sums, " + std::to_string(other));
  }
}

template <class Error, class Call>
void check_throws(const Call& call, const std::string& text, const std::string& name) {
  try {
    call();
    check(false, name + ": no exception");
  } catch (const Error& error) {
    check(std::string(error.what()).find(text) != std::string::npos,
          name + ": says \"" + error.what() + "\"");
  }
}

// What backward allocates: at most 3 % of an array, beside one sum for each channel.
template <class T>
void check_memory_of_sums() {
  using P = elulayer::Arithmetic<T>;
  for (const std::int64_t channels : {1, 20, 256, 511, 512, 513, 2000, 20000}) {
    for (const std::int64_t inner : {1, 2, 49, 255, 256, 257, 511, 512, 513, 16384, 20000}) {
      for (const std::int64_t outer : {1, 31, 1000, 100000}) {
        const elulayer::Shape shape = {outer, channels, inner};
        const elulayer::cpu::Partition tiles(shape, elulayer::cpu::run_size(sizeof(P)), true);
        constexpr auto bytes = static_cast<std::int64_t>(sizeof(elulayer::Sum<P>));
        const double sums = static_cast<double>((tiles.leaves() - 1) * channels * bytes);
        const double array = static_cast<double>(outer * channels * inner) * sizeof(T);
        check(sums <= 0.03 * array, "sums of (" + std::to_string(outer) + ", " +
                                        std::to_string(channels) + ", " + std::to_string(inner) +
                                        ") take " + std::to_string(sums / array) + " of x");
      }
    }
  }
}

// With times that are made up: waking takes 300 us, where it is done.
void check_waking() {
  constexpr std::int64_t us = 1000;
  std::atomic<std::int64_t> cost{elulayer::cpu::least_waking_cost};
  elulayer::cpu::Waking waking(cost);
  std::int64_t now = 1'000'000 * us;
  const auto call = [&](std::int64_t gain) {  // of twice that time with one thread
    const bool woken = waking.pays(now, gain);
    const std::int64_t start = now;
    now += woken ? 300 * us + gain : 2 * gain;
    if (woken) {
      waking.had_threads(start, start + 300 * us, now);
    } else {
      waking.went_alone(start, now);
    }
    return woken;
  };
  const auto learn = [&] {
    for (int i = 0; i < 30; ++i) {
      now += 1000 * us;
      check(call(1000 * us), "work that gains much wakes threads");
    }
    check(cost > 200 * us && cost < 400 * us, "what waking costs is learned");
  };
  learn();
  int woken = 0;
  for (int i = 0; i < 20'000; ++i) {
    now += 1000 * us;
    woken += call(50 * us) ? 1 : 0;
  }
  check(woken < 200,
        "after pauses small work is left to one thread: woken " + std::to_string(woken));
  learn();
  check(waking.pays(now + us, us), "threads that are awake are used");
  now += 1000 * us;
  int alone = 0;
  while (!call(50 * us) && alone < 100) {
    ++alone;
    now += us;
  }
  check(alone > 2 && alone < 20, "a loop wakes them after a while: " + std::to_string(alone));
  for (int i = 0; i < 100; ++i) {
    now += 1000 * us;
    waking.had_threads(now, now + 5 * us, now + 20 * us);
  }
  now += 1000 * us;
  check(waking.pays(now, 10 * us), "where waking has become cheap small work wakes threads");
  waking.had_threads(now, now + 100'000 * us, now + 101'000 * us);
  now += 200'000 * us;
  check(waking.pays(now, 10 * us), "one thread that began late counts for little");
}

// What a thread may have been set to by others.
struct Settings {
  const char* name;
  int rounding;
  bool flush;  // subnormal numbers, read and written
  bool trap;   // at what is inexact
};

void set(const Settings& settings) {
  std::fesetenv(FE_DFL_ENV);
  std::fesetround(settings.rounding);
  namespace float_settings = elulayer::cpu::float_settings;
#if defined(__x86_64__) || defined(__i386__)
  const float_settings::Value traps = settings.trap ? ~0x1000u : ~0u;
  float_settings::set((float_settings::get() & traps) | (settings.flush ? 0x8040u : 0u));
#elif defined(__aarch64__)
  float_settings::set(float_settings::get() | (settings.flush ? 1ull << 24 : 0));
#endif
}

// Numbers some of which are subnormal, and all functions on them.
template <class T>
class AllFunctions {
 public:
  AllFunctions() {
    constexpr T tiny = std::numeric_limits<T>::min() / 64;
    x_ = values<T>(shape.outer * shape.channels * shape.inner, 8, 1);
    for (std::size_t i = 0; i < x_.size(); i += 5) {
      x_[i] *= tiny;
    }
    grad_.assign(x_.rbegin(), x_.rend());
    alpha_ = {T(0.7), tiny, T(1.3)};
  }

  // The bytes of their results.
  std::vector<unsigned char> operator()(int threads) const {
    std::vector<unsigned char> bytes;
    const auto keep = [&](const auto&... results) {
      for (const auto& [begin, size] : {bytes_of(results)...}) {
        bytes.insert(bytes.end(), begin, begin + size);
      }
    };
    std::vector<T> z(x_.size()), memory(x_.size()), dx(x_.size()), dgrad(x_.size());
    std::vector<T> dalpha(alpha_.size());
    const T* const x = x_.data();
    const T* const grad = grad_.data();
    const T* const alpha = alpha_.data();
    elulayer::elu(x, alpha, z.data(), shape, threads);
    keep(z);
    elulayer::elu_with_memory(x, alpha, z.data(), memory.data(), shape, threads);
    keep(z, memory);
    elulayer::elu_backward(grad, x, alpha, dx.data(), dalpha.data(), shape, threads);
    keep(dx, dalpha);
    elulayer::elu_backward_from_memory(grad, memory.data(), alpha, dx.data(), dalpha.data(), shape,
                                       threads);
    keep(dx, dalpha);
    elulayer::elu_backward_from_output(grad, z.data(), alpha, dx.data(), dalpha.data(), shape,
                                       threads);
    keep(dx, dalpha);
    elulayer::elu_double_backward(grad, alpha, x, x, alpha, dgrad.data(), dx.data(), dalpha.data(),
                                  shape, threads);
    keep(dgrad, dx, dalpha);
    return bytes;
  }

 private:
  static constexpr elulayer::Shape shape = {16, 3, 4096};

  template <class V>
  static std::pair<const unsigned char*, std::size_t> bytes_of(const std::vector<V>& results) {
    return {reinterpret_cast<const unsigned char*>(results.data()), results.size() * sizeof(V)};
  }

  std::vector<T> x_;
  std::vector<T> grad_;
  std::vector<T> alpha_;
};

// A thread's settings change no bit, its caller's or those that OpenMP's threads were born with,
// and afterwards they are what they were.
template <class T>
void check_settings(const std::string& type) {
  const AllFunctions<T> compute;
  const std::vector<unsigned char> expected = compute(1);
  const Settings all[] = {
      {"rounding up", FE_UPWARD, false, false},
      {"rounding down", FE_DOWNWARD, false, false},
      {"rounding to zero", FE_TOWARDZERO, false, false},
      {"subnormal numbers as zeros", FE_TONEAREST, true, false},
      {"traps", FE_TONEAREST, false, true},
      {"all of them", FE_UPWARD, true, true},
  };
  for (const Settings& settings : all) {
    const std::string name = type + ", " + settings.name;
    std::thread([&] {  // whose OpenMP threads are new
      for (const int threads : {4, 1}) {
        set(settings);
        const auto before = elulayer::cpu::float_settings::get();
        const bool same = compute(threads) == expected;
        const auto after = elulayer::cpu::float_settings::get();
        std::fesetenv(FE_DFL_ENV);
        check(same, name + ", " + std::to_string(threads) + " threads: the same bits");
        check(std::memcmp(&before, &after, sizeof before) == 0, name + ": settings stay");
      }
      check(compute(4) == expected, name + ": the same bits in threads born with other settings");
    })
        .join();
  }
}

void check_errors() {
  float value = -1;
  const auto call = [&](elulayer::Shape shape, int threads) {
    elulayer::elu(&value, &value, &value, shape, threads);
  };
  check_throws<std::invalid_argument>([&] { call({1, -1, 1}, 0); },
                                      "shape (1, -1, 1) has a negative extent", "negative");
  check_throws<std::invalid_argument>(
      [&] { call({std::int64_t{1} << 40, std::int64_t{1} << 40, 1}, 0); },
      "has more than 2^63 - 1 elements", "huge");
  check_throws<std::invalid_argument>([&] { call({1, 1, 1}, -2); },
                                      "num_threads must be positive, or 0 for the default, not -2",
                                      "num_threads");
  check(value == -1, "nothing is written on an error");
  call({0, std::int64_t{1} << 62, std::int64_t{1} << 62}, 0);
  check(value == -1, "nothing is written to an empty array");
}

}  // namespace

int main() {
  const elulayer::CpuInfo info = elulayer::cpu_info();
  std::printf("instruction set %s (%s), OpenMP: %s, %d threads\n", info.active.c_str(),
              info.reason.c_str(), info.openmp.empty() ? "none" : info.openmp.c_str(),
              info.threads);
  check(!info.usable.empty() && info.usable.back() == info.compiled.back(),
        "what the compiler compiles for by default is usable");
  const struct {
    elulayer::Shape shape;
    const char* name;
  } shapes[] = {
      {{2, 3, 35}, "NCHW"},       {{100, 7, 1}, "NC"},      {{3000, 40, 1}, "NHWC"},
      {{1, 1, 100000}, "scalar"}, {{1, 5, 40000}, "N = 1"}, {{1, 1, 1}, "one element"},
  };
  for (const auto& [shape, name] : shapes) {
    check_shape<float>(shape, std::string("float ") + name);
    check_shape<double>(shape, std::string("double ") + name);
  }
  check_large_sums();
  check_memory_of_sums<float>();
  check_memory_of_sums<double>();
  check_memory_of_sums<elulayer::float16>();
  check_settings<float>("float");
  check_settings<double>("double");
  check_waking();
  check_errors();
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
