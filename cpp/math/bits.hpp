// Floating-point numbers as bit patterns, and a multiply-add that is fused where that is fast.
//
// Everything here has internal linkage and uses no library function: the file is compiled once for
// each instruction set, and no symbol of one build may stand in for that of another.

#ifndef ELULAYER_MATH_BITS_HPP
#define ELULAYER_MATH_BITS_HPP

#include <stdint.h>

#if defined(__CUDACC__)
#define ELULAYER_FN static inline __attribute__((always_inline)) __host__ __device__
#else
#define ELULAYER_FN static inline __attribute__((always_inline))
#endif

#if defined(__FMA__) || defined(__CUDA_ARCH__) || defined(__aarch64__) || \
    (defined(__FP_FAST_FMAF) && defined(__FP_FAST_FMA))
#define ELULAYER_FAST_FMA 1
#else
#define ELULAYER_FAST_FMA 0
#endif

namespace elulayer {
namespace {

// The binary interchange formats of IEEE 754.
template <class T>
struct Format;

template <>
struct Format<float> {
  using Int = int32_t;
  using Word = uint32_t;
  static constexpr int mantissa_bits = 23;
  static constexpr int exponent_bias = 127;
};

template <>
struct Format<double> {
  using Int = int64_t;
  using Word = uint64_t;
  static constexpr int mantissa_bits = 52;
  static constexpr int exponent_bias = 1023;
};

template <class T>
using IntOf = typename Format<T>::Int;

template <class T>
using WordOf = typename Format<T>::Word;

template <class T>
ELULAYER_FN WordOf<T> to_bits(T value) {
  WordOf<T> bits;
  static_assert(sizeof bits == sizeof value, "the word has the size of the number");
  __builtin_memcpy(&bits, &value, sizeof value);
  return bits;
}

template <class T>
ELULAYER_FN T from_bits(WordOf<T> bits) {
  T value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

// value with the sign bit of a pattern.
template <class T>
ELULAYER_FN T with_sign(T value, WordOf<T> pattern) {
  constexpr WordOf<T> sign = WordOf<T>{1} << (8 * sizeof(T) - 1);
  return from_bits<T>((to_bits(value) & ~sign) | (pattern & sign));
}

template <class T>
ELULAYER_FN T magnitude(T value) {
  return with_sign(value, WordOf<T>{0});
}

// Whether the sign bit of a pattern is set.
template <class T>
ELULAYER_FN bool has_sign(WordOf<T> pattern) {
  return pattern >> (8 * sizeof(T) - 1) != 0;
}

// False for infinities and NaN, whose difference with themselves is NaN.
template <class T>
ELULAYER_FN bool is_finite(T value) {
  return value - value == T(0);
}

// The value, or the one NaN that results have: which NaN an operation on two gives depends on the
// order that a compiler gives them.
template <class T>
ELULAYER_FN T with_one_nan(T value) {
  return value == value ? value : T(__builtin_nanf(""));
}

// Of the bits of two values those of the second where `mask` has ones.
template <class T>
ELULAYER_FN T merged(T value, T other, T mask) {
  const WordOf<T> others = to_bits(mask);
  return from_bits<T>((to_bits(value) & ~others) | (to_bits(other) & others));
}

// The value, computed whether it is selected afterwards or not: nvcc would branch around its
// arithmetic for each element.
ELULAYER_FN float computed(float value) {
#if defined(__CUDA_ARCH__)
  asm volatile("" : "+f"(value));
#endif
  return value;
}

ELULAYER_FN double computed(double value) {
#if defined(__CUDA_ARCH__)
  asm volatile("" : "+d"(value));
#endif
  return value;
}

// A constant that a loop takes for a variable. Of the larger of a number and a constant g++ makes a
// comparison and a selection with AVX-512; of one and a variable, one instruction.
template <class T>
ELULAYER_FN T as_variable(T constant) {
  WordOf<T> bits = to_bits(constant);  // NOLINT(misc-const-correctness): asm writes it
  asm("" : "+r"(bits));
  return from_bits<T>(bits);
}

// a * b + c: one rounding where the machine fuses, two where fusing would be a library call.
ELULAYER_FN float multiply_add(float a, float b, float c) {
#if ELULAYER_FAST_FMA
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

ELULAYER_FN double multiply_add(double a, double b, double c) {
#if ELULAYER_FAST_FMA
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// a * (b + b_low), rounded once or hardly more than once, where b_low is a few last places of b.
// Not finite for an infinite a.
ELULAYER_FN double multiply_sum(double a, double b, double b_low) {
#if ELULAYER_FAST_FMA
  return __builtin_fma(a, b, a * b_low);
#else
  // The product of two heads of 26 bits is exact.
  constexpr uint64_t tail = (uint64_t{1} << 27) - 1;
  const double a_head = from_bits<double>(to_bits(a) & ~tail);
  const double b_head = from_bits<double>(to_bits(b) & ~tail);
  const double a_tail = a - a_head;
  const double b_tail = (b - b_head) + b_low;
  return a_head * b_head + (a_head * b_tail + a_tail * (b + b_low));
#endif
}

}  // namespace
}  // namespace elulayer

#endif  // ELULAYER_MATH_BITS_HPP
