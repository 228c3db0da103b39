// elulayer._core: checks, releases the GIL, calls the native API. Everything else is in Python.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <stdexcept>

#include "arrays.hpp"
#include "channels.hpp"
#include "cpu/standard_floats.hpp"
#include "elulayer/cpu_info.hpp"
#include "elulayer/elulayer.hpp"
#include "main_interpreter.hpp"
#include "new_arrays.hpp"
#include "plain.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace elulayer::bindings {
namespace {

std::int64_t size_of(const Shape& shape) {
  std::int64_t size = 0;
  if (__builtin_mul_overflow(shape.outer, shape.channels, &size) ||
      __builtin_mul_overflow(size, shape.inner, &size)) {
    throw py::value_error("the shape must have at most 2^63 - 1 elements");
  }
  return size;
}

void call_elu(const py::array& x, const py::array& alpha, py::array& out, std::int64_t outer,
              std::int64_t channels, std::int64_t inner, int num_threads) {
  const Shape shape{outer, channels, inner};
  const std::int64_t size = size_of(shape);
  with_type_of(x, [&](auto type) {
    using T = typename decltype(type)::type;
    const T* const from = input<T>("x", x, size);
    const auto* const a = input<Arithmetic<T>>("alpha", alpha, channels);
    T* const z = output<T>("out", out, size);
    const WithoutGil released;
    elu(from, a, z, shape, num_threads);
  });
}

void call_elu_with_memory(const py::array& x, const py::array& alpha, py::array& out,
                          py::array& memory, std::int64_t outer, std::int64_t channels,
                          std::int64_t inner, int num_threads) {
  const Shape shape{outer, channels, inner};
  const std::int64_t size = size_of(shape);
  with_type_of(x, [&](auto type) {
    using T = typename decltype(type)::type;
    const T* const from = input<T>("x", x, size);
    const auto* const a = input<Arithmetic<T>>("alpha", alpha, channels);
    T* const z = output<T>("out", out, size);
    T* const m = output<T>("memory", memory, size);
    const WithoutGil released;
    elu_with_memory(from, a, z, m, shape, num_threads);
  });
}

enum class Source { input, memory, output };

template <Source source>
void call_elu_backward(const py::array& grad, const py::array& from, const py::array& alpha,
                       py::array& out, py::array& dalpha, std::int64_t outer, std::int64_t channels,
                       std::int64_t inner, int num_threads) {
  const Shape shape{outer, channels, inner};
  const std::int64_t size = size_of(shape);
  with_type_of(grad, [&](auto type) {
    using T = typename decltype(type)::type;
    const T* const g = input<T>("grad", grad, size);
    const T* const s = input<T>("source", from, size);
    const auto* const a = input<Arithmetic<T>>("alpha", alpha, channels);
    T* const dx = output<T>("out", out, size);
    auto* const da = output<Arithmetic<T>>("dalpha", dalpha, channels);
    const WithoutGil released;
    if constexpr (source == Source::input) {
      elu_backward(g, s, a, dx, da, shape, num_threads);
    } else if constexpr (source == Source::memory) {
      elu_backward_from_memory(g, s, a, dx, da, shape, num_threads);
    } else {
      elu_backward_from_output(g, s, a, dx, da, shape, num_threads);
    }
  });
}

void call_elu_double_backward(const py::array& v, const py::array& w, const py::array& grad,
                              const py::array& x, const py::array& alpha, py::array& dgrad,
                              py::array& dx, py::array& dalpha, std::int64_t outer,
                              std::int64_t channels, std::int64_t inner, int num_threads) {
  const Shape shape{outer, channels, inner};
  const std::int64_t size = size_of(shape);
  with_type_of(x, [&](auto type) {
    using T = typename decltype(type)::type;
    const T* const vs = input<T>("v", v, size);
    const auto* const ws = input<Arithmetic<T>>("w", w, channels);
    const T* const g = input<T>("grad", grad, size);
    const T* const from = input<T>("x", x, size);
    const auto* const a = input<Arithmetic<T>>("alpha", alpha, channels);
    T* const dg = output<T>("dgrad", dgrad, size);
    T* const to = output<T>("dx", dx, size);
    auto* const da = output<Arithmetic<T>>("dalpha", dalpha, channels);
    const WithoutGil released;
    elu_double_backward(vs, ws, g, from, a, dg, to, da, shape, num_threads);
  });
}

// For a `with` statement around what NumPy computes beside a kernel, as rounding a number for
// alpha.
struct FloatsContext {
  std::optional<cpu::StandardFloats> floats;
};

py::dict call_cpu_info() {
  const CpuInfo info = cpu_info();
  py::dict result;
  result["compiled"] = py::tuple(py::cast(info.compiled));
  result["usable"] = py::tuple(py::cast(info.usable));
  result["active"] = info.active;
  result["fused"] = info.fused;
  result["reason"] = info.reason;
  result["openmp"] = info.openmp.empty() ? py::object(py::none()) : py::str(info.openmp);
  result["threads"] = info.threads;
  return result;
}

template <class Function, class... Names>
void define(py::module_& m, const char* name, const Function& function, const Names&... names) {
  m.def(name, function, py::arg(names)..., py::arg("outer"), py::arg("channels"), py::arg("inner"),
        py::arg("num_threads"));
}

void register_functions(py::module_& m) {
  define(m, "elu", &call_elu, "x", "alpha", "out");
  define(m, "elu_with_memory", &call_elu_with_memory, "x", "alpha", "out", "memory");
  define(m, "elu_backward", &call_elu_backward<Source::input>, "grad", "x", "alpha", "out",
         "dalpha");
  define(m, "elu_backward_from_memory", &call_elu_backward<Source::memory>, "grad", "memory",
         "alpha", "out", "dalpha");
  define(m, "elu_backward_from_output", &call_elu_backward<Source::output>, "grad", "output",
         "alpha", "out", "dalpha");
  define(m, "elu_double_backward", &call_elu_double_backward, "v", "w", "grad", "x", "alpha",
         "dgrad", "dx", "dalpha");
  m.def("cpu_info", &call_cpu_info);
  auto* const type = reinterpret_cast<PyObject*>(&PyType_Type);
  py::class_<FloatsContext>(m, "StandardFloats", py::metaclass(type))  // no static properties
      .def(py::init())
      .def("__enter__", [](FloatsContext& context) { context.floats.emplace(); })
      .def("__exit__", [](FloatsContext& context, const py::args&) { context.floats.reset(); });
}

}  // namespace
}  // namespace elulayer::bindings

ELULAYER_MODULE(_core, m) {
  m.doc() = "The native kernels; elulayer.arrays is their public face.";
  m.attr("__version__") = ELULAYER_VERSION;
  elulayer::bindings::register_functions(m);
  elulayer::bindings::register_plain_functions(m);
  elulayer::bindings::register_new_arrays(m);
  elulayer::bindings::register_channel_functions(m);
  try {
    elulayer::cpu_info();  // an ELULAYER_ISA that cannot be used fails the import, not a later call
  } catch (const std::runtime_error& error) {
    throw py::import_error(error.what());
  }
}
