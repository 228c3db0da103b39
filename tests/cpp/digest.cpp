// Hashes the results of every function on fixed inputs and compares the hashes with those on
// record: the same bits on every machine, instruction set, compiler and number of threads. Kernels
// with fused operations share theirs; those without have their own. NaN counts as one value.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "elulayer/cpu_info.hpp"
#include "elulayer/elulayer.hpp"

namespace {

using elulayer::Arithmetic;
using elulayer::bfloat16;
using elulayer::float16;
using elulayer::Shape;

// 64 random bits (Vigna's splitmix64, https://prng.di.unimi.it/splitmix64.c).
class Random {
 public:
  std::uint64_t bits() {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  int below(int n) { return static_cast<int>(bits() % static_cast<std::uint64_t>(n)); }

  // Of either sign, with an exponent in [low, high).
  double number(int low, int high) {
    const double mantissa = 1 + static_cast<double>(bits() >> 12) * 0x1p-52;
    const int exponent = low + below(high - low);
    return std::ldexp(below(3) == 0 ? mantissa : -mantissa, exponent);
  }

 private:
  std::uint64_t state_ = 0;
};

enum class Kind { ordinary, wide, special, mixed };

double draw(Random& random, Kind kind) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const double special[] = {0.0,   -0.0,  1e-310, -1e-310, 1e300, -1e300,   infinity,
                            -88.0, -70.0, -600.0, -745.0,  1e-45, -1e-40,   -17.5,
                            -37.5, -0.48, -0.49,  -1e5,    65505, -65519.9, std::nan("")};
  if (kind == Kind::mixed) {
    kind = static_cast<Kind>(random.below(40) == 0 ? 1 + random.below(2) : 0);
  }
  switch (kind) {
    case Kind::wide:
      return random.number(-180, 130);
    case Kind::special:
      return special[random.below(21)];
    default:
      return random.number(-8, 4);
  }
}

void store(double value, double& to) { to = value; }
void store(double value, float& to) { to = static_cast<float>(value); }

// Truncated: any 16-bit number will do.
void store(double value, bfloat16& to) {
  const float single = static_cast<float>(value);
  std::uint32_t bits = 0;
  std::memcpy(&bits, &single, sizeof bits);
  to.bits = static_cast<std::uint16_t>(value == value ? bits >> 16 : 0x7fc0);
}

void store(double value, float16& to) {
  int exponent = 0;
  const double mantissa = std::frexp(std::fabs(value), &exponent);
  const unsigned sign = std::signbit(value) ? 0x8000 : 0;
  unsigned magnitude = 0;
  if (value != value) {
    magnitude = 0x7e00;
  } else if (std::fabs(value) >= 65536) {
    magnitude = 0x7c00;
  } else if (exponent >= -13) {
    magnitude = static_cast<unsigned>((exponent + 13) * 1024 + static_cast<int>(mantissa * 2048));
  } else if (value != 0) {
    magnitude = static_cast<unsigned>(std::fabs(value) * 0x1p24);
  }
  to.bits = static_cast<std::uint16_t>(sign | magnitude);
}

bool is_nan(double value) { return value != value; }
bool is_nan(float value) { return value != value; }
bool is_nan(float16 value) { return (value.bits & 0x7fff) > 0x7c00; }
bool is_nan(bfloat16 value) { return (value.bits & 0x7fff) > 0x7f80; }

std::uint64_t bits_of(double value) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

std::uint64_t bits_of(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

std::uint64_t bits_of(float16 value) { return value.bits; }
std::uint64_t bits_of(bfloat16 value) { return value.bits; }

// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/), of the bytes from the lowest: the
// machine's own order does not matter.
class Digest {
 public:
  template <class T>
  void add(const std::vector<T>& values) {
    for (const T& value : values) {
      const std::uint64_t bits = is_nan(value) ? ~std::uint64_t{0} : bits_of(value);
      for (std::size_t byte = 0; byte < sizeof(T); ++byte) {
        hash_ = (hash_ ^ (bits >> (8 * byte) & 0xff)) * 0x100000001b3u;
      }
    }
  }

  std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325u;
};

template <class T>
std::vector<T> array(Random& random, std::int64_t size, Kind kind) {
  std::vector<T> values(static_cast<std::size_t>(size));
  for (T& value : values) {
    store(draw(random, kind), value);
  }
  return values;
}

template <class T>
void add_case(Digest& digest, Random& random, Shape shape, Kind x_kind, Kind grad_kind,
              Kind alpha_kind) {
  using A = Arithmetic<T>;
  const std::int64_t size = shape.outer * shape.channels * shape.inner;
  const std::vector<T> x = array<T>(random, size, x_kind);
  const std::vector<T> grad = array<T>(random, size, grad_kind);
  const std::vector<T> v = array<T>(random, size, Kind::ordinary);
  const std::vector<A> w = array<A>(random, shape.channels, Kind::ordinary);
  std::vector<A> alpha = array<A>(random, shape.channels, alpha_kind);
  std::vector<T> z(x.size());
  std::vector<T> memory(x.size());
  std::vector<T> dx(x.size());
  std::vector<T> dgrad(x.size());
  std::vector<A> dalpha(alpha.size());

  elulayer::elu(x.data(), alpha.data(), z.data(), shape);
  digest.add(z);
  elulayer::elu_backward(grad.data(), x.data(), alpha.data(), dx.data(), dalpha.data(), shape);
  digest.add(dx);
  digest.add(dalpha);
  elulayer::elu_with_memory(x.data(), alpha.data(), z.data(), memory.data(), shape);
  digest.add(z);
  digest.add(memory);
  elulayer::elu_backward_from_memory(grad.data(), memory.data(), alpha.data(), dx.data(),
                                     dalpha.data(), shape);
  digest.add(dx);
  digest.add(dalpha);
  elulayer::elu_double_backward(v.data(), w.data(), grad.data(), x.data(), alpha.data(),
                                dgrad.data(), dx.data(), dalpha.data(), shape);
  digest.add(dgrad);
  digest.add(dx);
  digest.add(dalpha);
  for (A& a : alpha) {
    a = a < 0 ? -a : A(1);
  }
  elulayer::elu(x.data(), alpha.data(), z.data(), shape);
  elulayer::elu_backward_from_output(grad.data(), z.data(), alpha.data(), dx.data(), dalpha.data(),
                                     shape);
  digest.add(dx);
  digest.add(dalpha);
}

// Prints the digest of one type; true where it is the one on record.
template <class T>
bool check(const char* name, std::uint64_t expected) {
  const Shape shapes[] = {{1, 1, 1},   {3, 5, 7},     {7, 20, 49},  {300, 64, 1},
                          {33, 3, 1},  {40, 300, 1},  {2, 3, 1000}, {9, 3, 257},
                          {5, 4, 255}, {1, 1, 20011}, {70, 11, 64}, {2, 1, 16385}};
  Digest digest;
  Random random;
  for (const Shape& shape : shapes) {
    for (const Kind x : {Kind::ordinary, Kind::wide, Kind::special, Kind::mixed}) {
      for (const Kind grad : {Kind::ordinary, Kind::mixed}) {
        for (const Kind alpha : {Kind::ordinary, Kind::wide}) {
          add_case<T>(digest, random, shape, x, grad, alpha);
        }
      }
    }
  }
  const bool same = digest.value() == expected;
  std::printf("%-8s %016llx%s\n", name, static_cast<unsigned long long>(digest.value()),
              same ? "" : " is not the digest on record");
  return same;
}

}  // namespace

int main() {
  const elulayer::CpuInfo info = elulayer::cpu_info();
  const bool fused = info.fused;
  std::printf("%s, %s operations\n", info.active.c_str(), fused ? "fused" : "separate");
  bool same = check<float>("float", fused ? 0x0a561bdbbc92ffa3 : 0xc3c42160a4f43760);
  same = check<double>("double", fused ? 0x83e922979d8bb08d : 0xead523e6e829027e) && same;
  same = check<float16>("float16", fused ? 0x1dff7dc9092101af : 0xad610a41c3a21742) && same;
  same = check<bfloat16>("bfloat16", fused ? 0xf90e33888868466d : 0x8e38af7bfb6f5fc6) && same;
  return same ? 0 : 1;
}
