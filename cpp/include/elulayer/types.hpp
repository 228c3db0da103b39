// The element types of arrays, and the type of alpha for each.
#pragma once

#include <cstdint>

namespace elulayer {

// IEEE 754 binary16, by its bit pattern.
struct float16 {
  std::uint16_t bits;
};

// The upper half of a float, by its bit pattern.
struct bfloat16 {
  std::uint16_t bits;
};

namespace detail {

template <class T>
struct ArithmeticType {
  static_assert(sizeof(T) == 0,
                "elements must be float, double, elulayer::float16 or elulayer::bfloat16");
};

template <>
struct ArithmeticType<float> {
  using type = float;
};

template <>
struct ArithmeticType<double> {
  using type = double;
};

template <>
struct ArithmeticType<float16> {
  using type = float;
};

template <>
struct ArithmeticType<bfloat16> {
  using type = float;
};

}  // namespace detail

// The type that T is computed in, and that alpha and its gradient have: T itself for float and
// double, float for the 16-bit types.
template <class T>
using Arithmetic = typename detail::ArithmeticType<T>::type;

}  // namespace elulayer
