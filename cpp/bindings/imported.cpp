#include "imported.hpp"

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <utility>

#include "dlpack.hpp"

namespace py = pybind11;

namespace elulayer::bindings {
namespace {

// What a DLPack capsule holds. It is given back when this object dies.
class Imported {
 public:
  explicit Imported(const py::capsule& capsule) {
    const std::string name = capsule.name() == nullptr ? "" : capsule.name();
    if (name == "dltensor") {
      plain_ = capsule.get_pointer<dlpack::ManagedTensor>();
      tensor_ = &plain_->tensor;
    } else if (name == "dltensor_versioned") {
      versioned_ = capsule.get_pointer<dlpack::ManagedTensorVersioned>();
      if (versioned_->version.major != 1) {
        throw py::buffer_error("DLPack " + std::to_string(versioned_->version.major) +
                               " was given; versions 0 and 1 are read");
      }
      tensor_ = &versioned_->tensor;
    } else {
      throw py::type_error("'" + name + "' was given; a DLPack capsule is taken, and once only");
    }
    PyCapsule_SetName(capsule.ptr(),
                      plain_ != nullptr ? "used_dltensor" : "used_dltensor_versioned");
  }

  ~Imported() {
    if (plain_ != nullptr && plain_->deleter != nullptr) {
      plain_->deleter(plain_);
    }
    if (versioned_ != nullptr && versioned_->deleter != nullptr) {
      versioned_->deleter(versioned_);
    }
  }
  Imported(const Imported&) = delete;
  Imported& operator=(const Imported&) = delete;

  std::uintptr_t pointer() const {
    return reinterpret_cast<std::uintptr_t>(tensor_->data) + tensor_->byte_offset;
  }

  std::pair<int, int> device() const { return {tensor_->device.type, tensor_->device.id}; }

  // NumPy's name, or a description of what it has none for.
  std::string dtype() const {
    const dlpack::DataType type = tensor_->dtype;
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

  py::tuple shape() const { return tuple_of(tensor_->shape); }

  // In elements; those of C order where the producer has given none.
  py::tuple strides() const {
    if (tensor_->strides != nullptr) {
      return tuple_of(tensor_->strides);
    }
    py::tuple result(tensor_->ndim);
    std::int64_t stride = 1;
    for (int i = tensor_->ndim - 1; i >= 0; --i) {
      result[static_cast<std::size_t>(i)] = stride;
      stride *= tensor_->shape[i];
    }
    return result;
  }

  bool read_only() const {
    return versioned_ != nullptr && (versioned_->flags & dlpack::flag_read_only) != 0;
  }

 private:
  py::tuple tuple_of(const std::int64_t* values) const {
    py::tuple result(tensor_->ndim);
    for (int i = 0; i < tensor_->ndim; ++i) {
      result[static_cast<std::size_t>(i)] = values[i];
    }
    return result;
  }

  const dlpack::Tensor* tensor_ = nullptr;
  dlpack::ManagedTensor* plain_ = nullptr;
  dlpack::ManagedTensorVersioned* versioned_ = nullptr;
};

}  // namespace

void register_imported(py::module_& m) {
  py::class_<Imported>(m, "Imported")
      .def(py::init<const py::capsule&>(), py::arg("capsule"))
      .def_property_readonly("pointer", &Imported::pointer)
      .def_property_readonly("device", &Imported::device)
      .def_property_readonly("dtype", &Imported::dtype)
      .def_property_readonly("shape", &Imported::shape)
      .def_property_readonly("strides", &Imported::strides)
      .def_property_readonly("read_only", &Imported::read_only);
}

}  // namespace elulayer::bindings
