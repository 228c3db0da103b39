// elulayer._cuda: device pointers to the native API of the CUDA unit, and what a device is. The
// checks are in Python; a pointer here is an address in the memory of the device that is named.
#include <pybind11/pybind11.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "cuda/elu.hpp"
#include "cuda/runtime.hpp"
#include "main_interpreter.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace elulayer::bindings {
namespace {

using Address = std::uintptr_t;

template <class T>
T* pointer(Address address) {
  return reinterpret_cast<T*>(address);
}

template <class T>
struct Type {
  using type = T;
};

// function(Type<T>{}) for the element type of this name.
template <class Function>
void with_type(const std::string& dtype, const Function& function) {
  if (dtype == "float32") {
    function(Type<float>{});
  } else if (dtype == "float64") {
    function(Type<double>{});
  } else if (dtype == "float16") {
    function(Type<float16>{});
  } else if (dtype == "bfloat16") {
    function(Type<bfloat16>{});
  } else {
    throw py::type_error("dtype must be one that the kernels take, not '" + dtype + "'");
  }
}

int size_of(const std::string& dtype) {
  int size = 0;
  with_type(dtype, [&](auto type) { size = sizeof(typename decltype(type)::type); });
  return size;
}

// Where the work is done.
struct Queue {
  int device;
  Address stream;
};

// function(Type<T>{}, alphas, stream) on the device, without the GIL.
template <class Function>
void on_device(const std::string& dtype, Address alpha, double alpha_value, const Queue& queue,
               const Function& function) {
  with_type(dtype, [&](auto type) {
    using T = Arithmetic<typename decltype(type)::type>;
    const cuda::Alphas<T> alphas{pointer<const T>(alpha), static_cast<T>(alpha_value)};
    const WithoutGil released;
    const cuda::DeviceGuard guard(queue.device);
    function(type, alphas, pointer<void>(queue.stream));
  });
}

void call_elu(const std::string& dtype, Address x, Address alpha, double alpha_value, Address out,
              std::int64_t outer, std::int64_t channels, std::int64_t inner, int device,
              Address stream) {
  const Shape shape{outer, channels, inner};
  on_device(dtype, alpha, alpha_value, {device, stream},
            [&](auto type, const auto& alphas, cuda::Stream queue) {
              using T = typename decltype(type)::type;
              cuda::elu(pointer<const T>(x), alphas, pointer<T>(out), shape, queue);
            });
}

void call_elu_with_memory(const std::string& dtype, Address x, Address alpha, double alpha_value,
                          Address out, Address memory, std::int64_t outer, std::int64_t channels,
                          std::int64_t inner, int device, Address stream) {
  const Shape shape{outer, channels, inner};
  on_device(dtype, alpha, alpha_value, {device, stream},
            [&](auto type, const auto& alphas, cuda::Stream queue) {
              using T = typename decltype(type)::type;
              cuda::elu_with_memory(pointer<const T>(x), alphas, pointer<T>(out),
                                    pointer<T>(memory), shape, queue);
            });
}

enum class Source { input, memory, output };

template <Source from>
void call_elu_backward(const std::string& dtype, Address grad, Address source, Address alpha,
                       double alpha_value, Address out, Address dalpha, Address workspace,
                       std::int64_t outer, std::int64_t channels, std::int64_t inner, int device,
                       Address stream) {
  const Shape shape{outer, channels, inner};
  on_device(dtype, alpha, alpha_value, {device, stream},
            [&](auto type, const auto& alphas, cuda::Stream queue) {
              using T = typename decltype(type)::type;
              const auto* const g = pointer<const T>(grad);
              const auto* const s = pointer<const T>(source);
              auto* const dx = pointer<T>(out);
              auto* const da = pointer<Arithmetic<T>>(dalpha);
              auto* const work = pointer<void>(workspace);
              if constexpr (from == Source::input) {
                cuda::elu_backward(g, s, alphas, dx, da, work, shape, queue);
              } else if constexpr (from == Source::memory) {
                cuda::elu_backward_from_memory(g, s, alphas, dx, da, work, shape, queue);
              } else {
                cuda::elu_backward_from_output(g, s, alphas, dx, da, work, shape, queue);
              }
            });
}

std::size_t call_workspace_bytes(const std::string& dtype, std::int64_t outer,
                                 std::int64_t channels, std::int64_t inner) {
  return cuda::workspace_bytes({outer, channels, inner}, size_of(dtype));
}

void call_order(int device, Address first, Address next) {
  const WithoutGil released;
  const cuda::DeviceGuard guard(device);
  cuda::order(pointer<void>(first), pointer<void>(next));
}

py::dict call_info() {
  const cuda::Info info = [] {
    const WithoutGil released;
    return cuda::info();
  }();
  py::list devices;
  for (const cuda::Device& device : info.devices) {
    py::dict entry;
    entry["name"] = device.name;
    entry["compute_capability"] = py::make_tuple(device.major, device.minor);
    entry["memory"] = device.memory;
    entry["multiprocessors"] = device.multiprocessors;
    devices.append(entry);
  }
  py::dict result;
  result["available"] = info.available;
  result["reason"] = info.reason;
  result["devices"] = devices;
  return result;
}

template <class Function, class... Names>
void define(py::module_& m, const char* name, const Function& function, const Names&... names) {
  m.def(name, function, py::arg("dtype"), py::arg(names)..., py::arg("outer"), py::arg("channels"),
        py::arg("inner"), py::arg("device"), py::arg("stream"));
}

template <Source from>
void define_backward(py::module_& m, const char* name) {
  define(m, name, &call_elu_backward<from>, "grad", "source", "alpha", "alpha_value", "out",
         "dalpha", "workspace");
}

}  // namespace
}  // namespace elulayer::bindings

ELULAYER_MODULE(_cuda, m) {
  namespace b = elulayer::bindings;
  m.doc() = "The CUDA unit; elulayer's functions take arrays on a GPU to it.";
  b::define(m, "elu", &b::call_elu, "x", "alpha", "alpha_value", "out");
  b::define(m, "elu_with_memory", &b::call_elu_with_memory, "x", "alpha", "alpha_value", "out",
            "memory");
  b::define_backward<b::Source::input>(m, "elu_backward");
  b::define_backward<b::Source::memory>(m, "elu_backward_from_memory");
  b::define_backward<b::Source::output>(m, "elu_backward_from_output");
  m.def("workspace_bytes", &b::call_workspace_bytes, py::arg("dtype"), py::arg("outer"),
        py::arg("channels"), py::arg("inner"));
  m.def("order", &b::call_order, py::arg("device"), py::arg("first"), py::arg("next"));
  m.def("info", &b::call_info);
}
