// elulayer._core: checks, releases the GIL, calls the native API. Everything else is in Python.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "elulayer/cpu_info.hpp"
#include "elulayer/elulayer.hpp"

namespace py = pybind11;

namespace {

// C-contiguous and of exactly this dtype: arguments are bound with noconvert().
template <class T>
using Array = py::array_t<T, py::array::c_style>;

std::int64_t size_of(const elulayer::Shape& shape) {
  std::int64_t size = 0;
  if (__builtin_mul_overflow(shape.outer, shape.channels, &size) ||
      __builtin_mul_overflow(size, shape.inner, &size)) {
    throw py::value_error("the shape has more than 2^63 - 1 elements");
  }
  return size;
}

template <class T>
void check_size(const char* name, const Array<T>& array, std::int64_t size) {
  if (array.size() != size) {
    throw py::value_error(std::string(name) + " has " + std::to_string(array.size()) +
                          " elements; the shape needs " + std::to_string(size));
  }
}

template <class T>
void elu(const Array<T>& x, const Array<T>& alpha, Array<T>& out, std::int64_t outer,
         std::int64_t channels, std::int64_t inner, int num_threads) {
  const elulayer::Shape shape{outer, channels, inner};
  check_size("x", x, size_of(shape));
  check_size("out", out, size_of(shape));
  check_size("alpha", alpha, channels);
  T* const z = out.mutable_data();
  const py::gil_scoped_release release;
  elulayer::elu(x.data(), alpha.data(), z, shape, num_threads);
}

template <class T>
void elu_backward(const Array<T>& grad, const Array<T>& x, const Array<T>& alpha, Array<T>& out,
                  Array<T>& dalpha, std::int64_t outer, std::int64_t channels, std::int64_t inner,
                  int num_threads) {
  const elulayer::Shape shape{outer, channels, inner};
  check_size("grad", grad, size_of(shape));
  check_size("x", x, size_of(shape));
  check_size("out", out, size_of(shape));
  check_size("alpha", alpha, channels);
  check_size("dalpha", dalpha, channels);
  T* const dx = out.mutable_data();
  T* const da = dalpha.mutable_data();
  const py::gil_scoped_release release;
  elulayer::elu_backward(grad.data(), x.data(), alpha.data(), dx, da, shape, num_threads);
}

template <class T>
void register_kernels(py::module_& m) {
  const auto array = [](const char* name) { return py::arg(name).noconvert(); };
  m.def("elu", &elu<T>, array("x"), array("alpha"), array("out"), py::arg("outer"),
        py::arg("channels"), py::arg("inner"), py::arg("num_threads"));
  m.def("elu_backward", &elu_backward<T>, array("grad"), array("x"), array("alpha"), array("out"),
        array("dalpha"), py::arg("outer"), py::arg("channels"), py::arg("inner"),
        py::arg("num_threads"));
}

void register_cpu_info(py::module_& m) {
  m.def("cpu_info", [] {
    const elulayer::CpuInfo info = elulayer::cpu_info();
    py::dict result;
    result["compiled"] = py::tuple(py::cast(info.compiled));
    result["usable"] = py::tuple(py::cast(info.usable));
    result["active"] = info.active;
    result["reason"] = info.reason;
    result["openmp"] = info.openmp.empty() ? py::object(py::none()) : py::str(info.openmp);
    result["threads"] = info.threads;
    return result;
  });
}

}  // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
  m.doc() = "The native kernels; elulayer.functional is their public face.";
  m.attr("__version__") = ELULAYER_VERSION;
  register_kernels<float>(m);
  register_kernels<double>(m);
  register_cpu_info(m);
  try {
    elulayer::cpu_info();  // an ELULAYER_ISA that cannot be used fails the import, not a later call
  } catch (const std::runtime_error& error) {
    throw py::import_error(error.what());
  }
}
