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

}  // namespace
}  // namespace elulayer

#endif  // ELULAYER_MATH_BITS_HPP
