#include "imported.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <vector>

#include "dlpack.hpp"

namespace py = pybind11;

namespace elulayer::bindings {
namespace {

// NumPy's name, or a description of what it has none for.
std::string name_of(dlpack::DataType type) {
  const std::string bits = std::to_string(type.bits);
  if (type.lanes != 1) {
    return "DLPack type " + std::to_string(type.code) + " with " + std::to_string(type.lanes) +
           " lanes of " + bits + " bits";
  }
  switch (type.code) {
    case dlpack::code_int:
      return "int" + bits;
    case dlpack::code_uint:
      return "uint" + bits;
    case dlpack::code_float:
      return "float" + bits;
    case dlpack::code_bfloat:
      return "bfloat" + bits;
    case dlpack::code_complex:
      return "complex" + bits;
    case dlpack::code_bool:
      return "bool";
    default:
      return "DLPack type " + std::to_string(type.code) + " of " + bits + " bits";
  }
}

py::tuple tuple_of(const std::int64_t* values, int count) {
  py::tuple result(count);
  for (int i = 0; i < count; ++i) {
    result[static_cast<std::size_t>(i)] = values[i];
  }
  return result;
}

// In elements; those of C order where the producer has given none.
py::tuple strides_of(const dlpack::Tensor& tensor) {
  if (tensor.strides != nullptr) {
    return tuple_of(tensor.strides, tensor.ndim);
  }
  py::tuple result(tensor.ndim);
  std::int64_t stride = 1;
  for (int i = tensor.ndim - 1; i >= 0; --i) {
    result[static_cast<std::size_t>(i)] = stride;
    stride *= tensor.shape[i];
  }
  return result;
}

template <class Managed>
void give_back(void* address) {
  auto* const managed = static_cast<Managed*>(address);
  if (managed->deleter != nullptr) {
    managed->deleter(managed);
  }
}

// Takes the array out of a capsule, which has the name `used` then. "owner" is an object that gives
// it back when it dies.
template <class Managed>
py::dict take(const py::capsule& capsule, const Managed& managed, const char* used) {
  const dlpack::Tensor& tensor = managed.tensor;
  py::dict result;
  result["pointer"] = reinterpret_cast<std::uintptr_t>(tensor.data) + tensor.byte_offset;
  result["dtype"] = name_of(tensor.dtype);
  result["shape"] = tuple_of(tensor.shape, tensor.ndim);
  result["strides"] = strides_of(tensor);
  result["owner"] = py::capsule(&managed, give_back<Managed>);
  PyCapsule_SetName(capsule.ptr(), used);
  return result;
}

py::dict import_dlpack(const py::capsule& capsule) {
  const std::string name = capsule.name() == nullptr ? "" : capsule.name();
  if (name == "dltensor") {
    py::dict result = take(capsule, *capsule.get_pointer<dlpack::ManagedTensor>(), "used_dltensor");
    result["read_only"] = false;
    return result;
  }
  if (name == "dltensor_versioned") {
    const auto& managed = *capsule.get_pointer<dlpack::ManagedTensorVersioned>();
    if (managed.version.major != 1) {
      throw py::buffer_error("DLPack " + std::to_string(managed.version.major) +
                             " was given; versions 0 and 1 are read");
    }
    py::dict result = take(capsule, managed, "used_dltensor_versioned");
    result["read_only"] = (managed.flags & dlpack::flag_read_only) != 0;
    return result;
  }
  throw py::type_error("a capsule named '" + name +
                       "' was given; one of DLPack is taken, and once only");
}

// A NumPy array of this shape and these strides, in elements, that is not to be read: its memory is
// one element.
py::array layout(const std::vector<py::ssize_t>& shape, std::vector<py::ssize_t> strides,
                 py::ssize_t item_size) {
  static double memory;
  for (py::ssize_t& stride : strides) {
    stride *= item_size;
  }
  const py::capsule owner(&memory);  // without one, pybind11 would copy
  return {py::dtype("f" + std::to_string(item_size)), shape, strides, &memory, owner};
}

}  // namespace

void register_imported(py::module_& m) {
  m.def("import_dlpack", &import_dlpack, py::arg("capsule"));
  m.def("layout", &layout, py::arg("shape"), py::arg("strides"), py::arg("item_size"));
}

}  // namespace elulayer::bindings
