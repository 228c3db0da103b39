// The extension elulayer._xla: the functions as handlers of XLA's foreign function interface, which
// JAX calls. Buffers are dense, of dimensions (..., outer, channels, inner), alphas (...,
// channels); those before the last three, or the last, are of vmap: each of them is a call.
#include <pybind11/pybind11.h>

#include <cstdint>
#include <exception>

#include "elulayer/elulayer.hpp"
#include "main_interpreter.hpp"
#include "xla/ffi/api/ffi.h"

namespace elulayer {
namespace {

namespace py = pybind11;
namespace ffi = xla::ffi;

// Calls function(T(), shape, i) for each of the arrays in a buffer; T is its element type.
template <class Function>
ffi::Error for_each_array(const ffi::AnyBuffer& x, const Function& function) {
  const auto dimensions = x.dimensions();
  const auto* const last = dimensions.end() - 3;
  const Shape shape = {last[0], last[1], last[2]};
  std::int64_t count = 1;
  for (const auto* extent = dimensions.begin(); extent != last; ++extent) {
    count *= *extent;
  }
  const auto call = [&](auto element) {
    for (std::int64_t i = 0; i < count; ++i) {
      function(element, shape, i);
    }
    return ffi::Error::Success();
  };
  try {
    switch (x.element_type()) {
      case ffi::DataType::F32:
        return call(float());
      case ffi::DataType::F64:
        return call(double());
      case ffi::DataType::F16:
        return call(float16());
      case ffi::DataType::BF16:
        return call(bfloat16());
      default:
        return {ffi::ErrorCode::kInvalidArgument, "x must be of a float type that elulayer has"};
    }
  } catch (const std::exception& error) {
    return {ffi::ErrorCode::kInternal, error.what()};
  }
}

// The i-th of the arrays of `size` elements in a buffer.
template <class T, class Buffer>
T* array(Buffer& buffer, std::int64_t size, std::int64_t i) {
  return static_cast<T*>(buffer.untyped_data()) + size * i;
}

std::int64_t size_of(Shape shape) { return shape.outer * shape.channels * shape.inner; }

ffi::Error call_elu(ffi::AnyBuffer x, ffi::AnyBuffer alpha, ffi::Result<ffi::AnyBuffer> z) {
  return for_each_array(x, [&](auto element, Shape shape, std::int64_t i) {
    using T = decltype(element);
    elu(array<T>(x, size_of(shape), i), array<Arithmetic<T>>(alpha, shape.channels, i),
        array<T>(*z, size_of(shape), i), shape);
  });
}

ffi::Error call_elu_backward(ffi::AnyBuffer grad, ffi::AnyBuffer x, ffi::AnyBuffer alpha,
                             ffi::Result<ffi::AnyBuffer> dx, ffi::Result<ffi::AnyBuffer> dalpha) {
  return for_each_array(x, [&](auto element, Shape shape, std::int64_t i) {
    using T = decltype(element);
    const std::int64_t size = size_of(shape);
    elu_backward(array<T>(grad, size, i), array<T>(x, size, i),
                 array<Arithmetic<T>>(alpha, shape.channels, i), array<T>(*dx, size, i),
                 array<Arithmetic<T>>(*dalpha, shape.channels, i), shape);
  });
}

XLA_FFI_DEFINE_HANDLER(
    elu_handler, call_elu,
    ffi::Ffi::Bind().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>().Ret<ffi::AnyBuffer>());

XLA_FFI_DEFINE_HANDLER(elu_backward_handler, call_elu_backward,
                       ffi::Ffi::Bind()
                           .Arg<ffi::AnyBuffer>()
                           .Arg<ffi::AnyBuffer>()
                           .Arg<ffi::AnyBuffer>()
                           .Ret<ffi::AnyBuffer>()
                           .Ret<ffi::AnyBuffer>());

py::capsule capsule(XLA_FFI_Handler* handler) {
  return py::capsule(reinterpret_cast<void*>(handler), "xla._CUSTOM_CALL_TARGET");
}

}  // namespace
}  // namespace elulayer

ELULAYER_MODULE(_xla, m) {
  m.def("handlers", [] {
    pybind11::dict handlers;
    handlers["elulayer_elu"] = elulayer::capsule(elulayer::elu_handler);
    handlers["elulayer_elu_backward"] = elulayer::capsule(elulayer::elu_backward_handler);
    return handlers;
  });
}
