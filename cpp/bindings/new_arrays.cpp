#include "new_arrays.hpp"

#include <pybind11/numpy.h>

#include <cstdint>

#include "block_cache.hpp"

namespace py = pybind11;

namespace elulayer::bindings {
namespace {

// PyDataMem_Handler of NumPy's C API (numpy/ndarraytypes.h), version 1.
struct Handler {
  char name[127];
  std::uint8_t version;
  void* context;
  void* (*malloc)(void* context, std::size_t bytes);
  void* (*calloc)(void* context, std::size_t count, std::size_t bytes);
  void* (*realloc)(void* context, void* memory, std::size_t bytes);
  void (*free)(void* context, void* memory, std::size_t bytes);
};

Handler handler = {
    "elulayer_block_cache",
    1,
    nullptr,
    [](void*, std::size_t bytes) { return block_cache::allocate(bytes); },
    [](void*, std::size_t count, std::size_t bytes) -> void* {
      if (bytes != 0 && count > SIZE_MAX / bytes) {
        return nullptr;
      }
      return block_cache::allocate_zeros(count * bytes);
    },
    [](void*, void* memory, std::size_t bytes) { return block_cache::reallocate(memory, bytes); },
    [](void*, void* memory, std::size_t) { block_cache::release(memory); },
};

// PyDataMem_SetHandler: takes a capsule, and returns the one before as a new reference.
using SetHandler = PyObject* (*)(PyObject*);
constexpr int set_handler_index = 304;  // in NumPy's table, since version 1.22

// PyArray_NewLikeArray: of the prototype's memory order where `order` is NPY_KEEPORDER. Unlike
// numpy.empty_like it runs no Python code.
using NewLikeArray = PyObject* (*)(PyObject* prototype, int order, PyObject* dtype, int subok);
constexpr int new_like_array_index = 277;
constexpr int npy_keeporder = 2;

SetHandler set_handler = nullptr;
NewLikeArray new_like_array = nullptr;
PyObject* capsule = nullptr;  // never freed: arrays keep it

PyObject* set(PyObject* handler_capsule) {
  PyObject* const before = set_handler(handler_capsule);
  if (before == nullptr) {
    throw py::error_already_set();
  }
  return before;
}

}  // namespace

CachedMemory::CachedMemory(std::size_t bytes)
    : before_(bytes < block_cache::least_bytes ? nullptr : set(capsule)) {}

CachedMemory::~CachedMemory() {
  if (before_ != nullptr) {
    const py::error_scope error;  // of what failed meanwhile
    Py_XDECREF(set_handler(before_));
    Py_DECREF(before_);
  }
}

void register_new_arrays(py::module_& m) {
  const py::object table = py::detail::import_numpy_core_submodule("multiarray").attr("_ARRAY_API");
  auto** const functions = static_cast<void**>(PyCapsule_GetPointer(table.ptr(), nullptr));
  if (functions == nullptr) {
    throw py::error_already_set();
  }
  set_handler = reinterpret_cast<SetHandler>(functions[set_handler_index]);
  new_like_array = reinterpret_cast<NewLikeArray>(functions[new_like_array_index]);
  capsule = py::capsule(&handler, "mem_handler").release().ptr();

  m.def(
      "empty_like",
      [](const py::array& array) {
        const CachedMemory memory(static_cast<std::size_t>(array.nbytes()));
        PyObject* const made = new_like_array(array.ptr(), npy_keeporder, nullptr, 1);
        if (made == nullptr) {
          throw py::error_already_set();
        }
        return py::reinterpret_steal<py::object>(made);
      },
      py::arg("array"), "numpy.empty_like, in memory that earlier arrays have left.");
  m.def(
      "set_memory_handler",
      [](const py::object& before) {
        return py::reinterpret_steal<py::object>(set(before.is_none() ? capsule : before.ptr()));
      },
      py::arg("handler"),
      "Set NumPy's memory handler in this context, None for the cache's; return the one before.");
  m.def("empty_cache", &block_cache::empty, "Give the memory at rest back; return its bytes.");
  m.def("set_cache_bytes", &block_cache::set_limit, py::arg("bytes"),
        "Set how many bytes may be at rest.");
}

}  // namespace elulayer::bindings
