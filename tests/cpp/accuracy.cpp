// Sweeps float32 inputs through the kernels in use and prints the worst error of each function.
//
//   accuracy [--stride N]     every N-th bit pattern (default 1: all 2^32), on all threads
//
// Errors are in units of the last place (ULP) of the correctly rounded result; the exact value is
// the C library's double function, whose own error is below 2^-28 of such a unit. A subnormal
// result is measured in steps of the smallest subnormal number. The exit status is 1 where a bound
// is exceeded.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "elulayer/cpu_info.hpp"
#include "elulayer/elulayer.hpp"

namespace {

struct Worst {
  double error = -1;
  float x = 0;
  std::uint64_t inputs = 0;
  std::uint64_t not_correctly_rounded = 0;
};

float from_bits(std::uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Distance of result from exact in ULP of exact rounded to float; 0 where both are NaN or the same
// infinity, infinite where only one is.
double ulp_error(float result, double exact) {
  const float rounded = static_cast<float>(exact);
  if (std::isnan(rounded) || std::isinf(rounded)) {
    const bool same = std::isnan(rounded) ? std::isnan(result) : result == rounded;
    return same ? 0 : std::numeric_limits<double>::infinity();
  }
  int exponent = 0;
  std::frexp(std::fabs(rounded), &exponent);
  const double ulp = std::ldexp(1.0, std::max(exponent - 24, -149));
  return std::fabs(static_cast<double>(result) - exact) / ulp;
}

enum class Function { z, dx };

// Bit patterns first, first + stride, ... below last, in blocks through the library.
Worst sweep_range(Function function, float alpha, std::uint64_t first, std::uint64_t last,
                  std::uint64_t stride) {
  constexpr std::size_t block = 4096;
  std::vector<float> x(block);
  std::vector<float> result(block);
  const std::vector<float> grad(block, 1.0f);
  const double a = static_cast<double>(alpha);
  Worst worst;
  for (std::uint64_t bits = first; bits < last;) {
    std::size_t n = 0;
    for (; n < block && bits < last; ++n, bits += stride) {
      x[n] = from_bits(static_cast<std::uint32_t>(bits));
    }
    const elulayer::Shape shape{1, 1, static_cast<std::int64_t>(n)};
    if (function == Function::z) {
      elulayer::elu(x.data(), &alpha, result.data(), shape, 1);
    } else {
      float dalpha = 0;
      elulayer::elu_backward(grad.data(), x.data(), &alpha, result.data(), &dalpha, shape, 1);
    }
    for (std::size_t i = 0; i < n; ++i) {
      const double xi = static_cast<double>(x[i]);
      const double below = function == Function::z ? a * std::expm1(xi) : a * std::exp(xi);
      const double above = function == Function::z ? xi : 1.0;
      const double exact = x[i] > 0 ? above : below;
      const double error = ulp_error(result[i], exact);
      worst.not_correctly_rounded += error > 0.5;
      if (error > worst.error) {
        worst.error = error;
        worst.x = x[i];
      }
    }
    worst.inputs += n;
  }
  return worst;
}

Worst sweep(Function function, float alpha, std::uint64_t stride) {
  const std::uint64_t patterns = std::uint64_t{1} << 32;
  const unsigned count = std::max(1u, std::thread::hardware_concurrency());
  // Whole strides for each thread: the patterns visited do not depend on the number of threads.
  const std::uint64_t steps = (patterns + stride - 1) / stride;
  std::vector<Worst> parts(count);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < count; ++t) {
    threads.emplace_back([=, &parts] {
      const std::uint64_t first = steps * t / count * stride;
      const std::uint64_t last = std::min(steps * (t + 1) / count * stride, patterns);
      parts[t] = sweep_range(function, alpha, first, last, stride);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  Worst worst;
  for (const Worst& part : parts) {
    worst.inputs += part.inputs;
    worst.not_correctly_rounded += part.not_correctly_rounded;
    if (part.error > worst.error) {
      worst.error = part.error;
      worst.x = part.x;
    }
  }
  return worst;
}

// Prints one row; true where the bound holds.
bool report(const char* name, Function function, float alpha, double bound, std::uint64_t stride) {
  const Worst worst = sweep(function, alpha, stride);
  const bool holds = worst.error <= bound;
  std::printf(
      "| %-3s | %-9.7g | %10llu | %.4f | %-15.9g | %6.3f %% | %.2f%s |\n", name,
      static_cast<double>(alpha), static_cast<unsigned long long>(worst.inputs), worst.error,
      static_cast<double>(worst.x),
      100.0 * static_cast<double>(worst.not_correctly_rounded) / static_cast<double>(worst.inputs),
      bound, holds ? "" : " EXCEEDED");
  std::fflush(stdout);
  return holds;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t stride = 1;
  if (argc == 3 && std::string(argv[1]) == "--stride") {
    stride = std::strtoull(argv[2], nullptr, 10);
  }
  if (stride == 0 || (argc != 1 && argc != 3)) {
    std::fprintf(stderr, "usage: accuracy [--stride N], N a positive integer\n");
    return 2;
  }
  const elulayer::CpuInfo info = elulayer::cpu_info();
  std::printf("float32, %s, every %llu. bit pattern\n\n", info.active.c_str(),
              static_cast<unsigned long long>(stride));
  std::printf(
      "|     | alpha     | inputs     | worst ULP | at x | not correctly rounded | bound |\n");
  std::printf("|-----|-----------|------------|--------|-----------------|----------|------|\n");
  bool holds = report("Z", Function::z, 1.0f, info.fused ? 0.75 : 0.9, stride);
  holds = report("dX", Function::dx, 1.0f, 2.0, stride) && holds;
  // alpha * expm1(x) rounds twice: the first error is worth up to twice as much in the product.
  for (const float alpha : {0.5f, 1.6732632f, 1e-3f, 1e3f, -1.0f, 0.0f}) {
    holds = report("Z", Function::z, alpha, 2.3, stride * 61) && holds;
    holds = report("dX", Function::dx, alpha, 2.0, stride * 61) && holds;
  }
  return holds ? 0 : 1;
}
