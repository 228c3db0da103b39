// New NumPy arrays whose memory comes from block_cache.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>

namespace elulayer::bindings {

// While it lives, NumPy takes the memory of the calling thread's new arrays from block_cache: by
// NumPy's own mechanism (NEP 49), so that an array owns its memory, can be resized, and is seen by
// tracemalloc. Does nothing for arrays of fewer bytes than the cache has.
class CachedMemory {
 public:
  explicit CachedMemory(std::size_t bytes);
  ~CachedMemory();
  CachedMemory(const CachedMemory&) = delete;
  CachedMemory& operator=(const CachedMemory&) = delete;

 private:
  PyObject* before_ = nullptr;
};

// Adds what Python needs of it to the module.
void register_new_arrays(pybind11::module_& m);

}  // namespace elulayer::bindings
