// NumPy arrays as the native API takes them: checked pointers of one element type.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <string>
#include <utility>

#include "elulayer/elulayer.hpp"

namespace elulayer::bindings {

namespace py = pybind11;

// NumPy's type numbers. An array of bfloat16 comes as one of uint16: NumPy has no number for it.
constexpr int npy_uint16 = 4;
constexpr int npy_float32 = 11;
constexpr int npy_float64 = 12;
constexpr int npy_float16 = 23;

template <class T>
constexpr int type_number = npy_uint16;
template <>
inline constexpr int type_number<float> = npy_float32;
template <>
inline constexpr int type_number<double> = npy_float64;
template <>
inline constexpr int type_number<float16> = npy_float16;

template <class T>
struct Type {
  using type = T;
};

// function(Type<T>{}) for the element type of an array.
template <class Function>
auto with_type_of(const py::array& array, const Function& function) {
  switch (array.dtype().num()) {
    case npy_float32:
      return function(Type<float>{});
    case npy_float64:
      return function(Type<double>{});
    case npy_float16:
      return function(Type<float16>{});
    case npy_uint16:
      return function(Type<bfloat16>{});
    default:
      throw py::type_error("arrays must be of float32, float64, float16 or, for bfloat16, uint16");
  }
}

template <class T>
void check(const char* name, const py::array& array, std::int64_t size) {
  constexpr int flags =
      py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if (array.dtype().num() != type_number<T> || (array.flags() & flags) != flags) {
    throw py::type_error(std::string(name) + " must be a C-contiguous array of the kernel's type");
  }
  if (array.size() != size) {
    throw py::value_error(std::string(name) + " must have " + std::to_string(size) +
                          " elements, not " + std::to_string(array.size()));
  }
}

template <class T>
const T* input(const char* name, const py::array& array, std::int64_t size) {
  check<T>(name, array, size);
  return static_cast<const T*>(array.data());
}

template <class T>
T* output(const char* name, py::array& array, std::int64_t size) {
  check<T>(name, array, size);
  return static_cast<T*>(array.mutable_data());  // throws where the array is read-only
}

}  // namespace elulayer::bindings
