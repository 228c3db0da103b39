// The 16-bit element types and float: from one to the other by operations on bits. Every 16-bit
// number is a float; the way back rounds to nearest, ties to even, and keeps NaN a NaN.

#ifndef ELULAYER_MATH_HALF_HPP
#define ELULAYER_MATH_HALF_HPP

#include "bits.hpp"
#include "elulayer/types.hpp"

namespace elulayer {
namespace {

// bfloat16: the upper half of a float.
ELULAYER_FN float to_float(bfloat16 value) {
  return from_bits<float>(static_cast<uint32_t>(value.bits) << 16);
}

ELULAYER_FN void from_float(float value, bfloat16& result) {
  const uint32_t bits = to_bits(value);
  const uint32_t rounded = bits + 0x7fff + ((bits >> 16) & 1);
  const uint32_t quiet_nan = bits | 0x400000;
  result.bits = static_cast<uint16_t>((value == value ? rounded : quiet_nan) >> 16);
}

// float16: 1 sign, 5 exponent and 10 mantissa bits.
ELULAYER_FN float to_float(float16 value) {
  const uint32_t bits = value.bits;
  // The exponents' biases differ by 112. Subnormal float16 numbers are subnormal floats here, and
  // the product is exact.
  const float magnitude = from_bits<float>((bits & 0x7fff) << 13) * 0x1p112f;
  const uint32_t infinite_or_nan = magnitude >= 0x1p16f ? 0x7f800000u : 0u;
  return from_bits<float>(to_bits(magnitude) | infinite_or_nan | ((bits & 0x8000) << 16));
}

ELULAYER_FN void from_float(float value, float16& result) {
  const uint32_t bits = to_bits(value);
  const uint32_t magnitude = bits & 0x7fffffff;
  const uint32_t rebiased = magnitude - (112u << 23);
  const uint32_t normal = (rebiased + 0xfff + ((rebiased >> 13) & 1)) >> 13;
  // The last place of 0.5 is that of a subnormal float16.
  const uint32_t subnormal = to_bits(from_bits<float>(magnitude) + 0.5f) - to_bits(0.5f);
  const uint32_t quiet_nan = 0x7e00 | ((bits >> 13) & 0x3ff);
  const uint32_t finite = magnitude < to_bits(0x1p-14f) ? subnormal : normal;
  const uint32_t ordered = magnitude < to_bits(65520.0f) ? finite : 0x7c00;
  const uint32_t half = value == value ? ordered : quiet_nan;
  result.bits = static_cast<uint16_t>(half | ((bits >> 16) & 0x8000));
}

}  // namespace
}  // namespace elulayer

#endif  // ELULAYER_MATH_HALF_HPP
