// How much of the stack a call takes, its caller's and that of the threads it has help from: of
// every function, for every element type, in rows short and long, where the short forms do and
// where they do not. The stack below is filled with a pattern, and what has gone of it afterwards
// was in use.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "elulayer/cpu_info.hpp"
#include "elulayer/elulayer.hpp"

namespace {

using elulayer::Arithmetic;
using elulayer::Shape;

constexpr std::size_t limit = 32 * 1024;
constexpr std::size_t words = 96 * 1024 / sizeof(std::uintptr_t);
constexpr std::uintptr_t pattern = 0x5aa55aa5;
constexpr int threads = 3;

// Farther down than used() looks, which may be called from a little deeper.
__attribute__((noinline)) void paint() {
  volatile std::uintptr_t stack[words + words / 4];
  for (std::size_t i = 0; i < words + words / 4; ++i) {
    stack[i] = pattern;
  }
  __asm__ volatile("" : : "r"(stack) : "memory");  // they are read
}

// The bytes below this frame that are not as they were painted.
__attribute__((noinline)) std::size_t used() {
  volatile std::uintptr_t stack[words];
  __asm__ volatile("" : : "r"(stack) : "memory");  // they have been written
  std::size_t untouched = 0;
  while (untouched < words && stack[untouched] == pattern) {
    ++untouched;
  }
  return (words - untouched) * sizeof(std::uintptr_t);
}

struct Worst {
  std::size_t bytes = 0;
  std::string where;

  void see(std::size_t seen, const std::string& name) {
    if (seen > bytes) {
      bytes = seen;
      where = name;
    }
  }
};

template <class Call>
void measure(Worst& worst, const std::string& name, const Call& call) {
  paint();
  call(1);
  worst.see(used(), name + ", one thread");
#ifdef _OPENMP
  // The same threads serve this program's regions and the library's.
  std::size_t seen[threads] = {};
  std::size_t* const of_thread = seen;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int i = 0; i < threads; ++i) {
    paint();
  }
  call(threads);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int i = 0; i < threads; ++i) {
    of_thread[i] = used();
  }
  for (int i = 0; i < threads; ++i) {
    worst.see(seen[i], name + ", thread " + std::to_string(i));
  }
#endif
}

void store(double value, double& to) { to = value; }
void store(double value, float& to) { to = static_cast<float>(value); }
void store(double value, elulayer::bfloat16& to) {
  const std::uint16_t bits = value < -1e30 ? 0xff80 : value < -50 ? 0xc2c8 : 0xbf80;
  to.bits = value > 0 ? 0x3f80 : bits;  // 1; -inf, -100 or -1
}
void store(double value, elulayer::float16& to) {
  const std::uint16_t bits = value < -1e30 ? 0xfc00 : value < -50 ? 0xd640 : 0xbc00;
  to.bits = value > 0 ? 0x3c00 : bits;
}

// Ordinary numbers, or such that everything is computed again in the form for every input.
template <class T>
std::vector<T> numbers(std::int64_t size, bool ordinary) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const double some[] = {1, -1, ordinary ? 1.0 : -100.0, ordinary ? -1.0 : -infinity};
  std::vector<T> values(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < values.size(); ++i) {
    store(some[i % 4], values[i]);
  }
  return values;
}

template <class T>
void measure_type(Worst& worst, const std::string& type) {
  using A = Arithmetic<T>;
  const Shape shapes[] = {{128, 20, 49}, {700, 512, 1}, {60, 2000, 1}, {2, 3, 20000}, {70, 3, 300}};
  for (const Shape& shape : shapes) {
    const std::int64_t size = shape.outer * shape.channels * shape.inner;
    for (const bool ordinary : {true, false}) {
      const std::vector<T> x = numbers<T>(size, ordinary);
      const std::vector<A> alpha(static_cast<std::size_t>(shape.channels), A(1.5));
      std::vector<T> z(x.size()), other(x.size());
      std::vector<A> dalpha(alpha.size());
      const std::string name = type + (ordinary ? ", ordinary" : ", deep") + " numbers of shape (" +
                               std::to_string(shape.outer) + ", " + std::to_string(shape.channels) +
                               ", " + std::to_string(shape.inner) + ")";
      measure(worst, "elu, " + name,
              [&](int count) { elulayer::elu(x.data(), alpha.data(), z.data(), shape, count); });
      measure(worst, "elu_with_memory, " + name, [&](int count) {
        elulayer::elu_with_memory(x.data(), alpha.data(), z.data(), other.data(), shape, count);
      });
      using Backward = void (*)(const T*, const T*, const A*, T*, A*, Shape, int);
      const struct {
        Backward function;
        const char* name;
      } all[] = {
          {elulayer::elu_backward, "elu_backward"},
          {elulayer::elu_backward_from_memory, "elu_backward_from_memory"},
          {elulayer::elu_backward_from_output, "elu_backward_from_output"},
      };
      for (const auto& backward : all) {
        measure(worst, std::string(backward.name) + ", " + name, [&](int count) {
          backward.function(x.data(), x.data(), alpha.data(), z.data(), dalpha.data(), shape,
                            count);
        });
        z = x;
        measure(worst, std::string(backward.name) + " in place, " + name, [&](int count) {
          backward.function(z.data(), x.data(), alpha.data(), z.data(), dalpha.data(), shape,
                            count);
        });
      }
      measure(worst, "elu_double_backward, " + name, [&](int count) {
        elulayer::elu_double_backward(x.data(), alpha.data(), x.data(), x.data(), alpha.data(),
                                      z.data(), other.data(), dalpha.data(), shape, count);
      });
    }
  }
}

}  // namespace

int main() {
  Worst worst;
  measure_type<float>(worst, "float");
  measure_type<double>(worst, "double");
  measure_type<elulayer::float16>(worst, "float16");
  measure_type<elulayer::bfloat16>(worst, "bfloat16");
  std::printf("%s: at most %zu bytes of the stack: %s\n", elulayer::cpu_info().active.c_str(),
              worst.bytes, worst.where.c_str());
  return worst.bytes <= limit ? 0 : 1;
}
