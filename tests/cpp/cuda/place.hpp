// Where unit_test.cpp has its arrays, on a CPU: an emulated device's memory is memory of the
// process, so nothing is copied. device/place.hpp has the same for a real device.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/device.cuh"
#include "cuda/elu.hpp"

namespace place {

constexpr bool is_device = false;

// Sets an option of device/place.hpp; none is known here.
inline bool set_option(const std::string&) { return false; }

// Every call is made once in each.
inline std::vector<elulayer::cuda::Stream> streams() { return {nullptr}; }

// An array that ends at a page that nobody may touch, and begins `shift` elements after a multiple
// of 16 bytes; before it lies another such page.
template <class S>
class Guarded {
 public:
  Guarded(std::size_t size, std::size_t shift) : size_(size) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t bytes = (size + shift) * sizeof(S);
    const std::size_t rounded = (bytes + 15) / 16 * 16;
    const std::size_t inner = (rounded + page - 1) / page * page;
    total_ = inner + 2 * page;
    void* const memory = mmap(nullptr, total_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      throw std::runtime_error("mmap failed");
    }
    memory_ = static_cast<char*>(memory);
    mprotect(memory_ + page, inner, PROT_READ | PROT_WRITE);
    data_ = reinterpret_cast<S*>(memory_ + page + inner - rounded) + shift;
    elulayer::cuda::emulator::add_array(data_, size * sizeof(S), 0);
  }
  ~Guarded() {
    elulayer::cuda::emulator::remove_array(data_);
    munmap(memory_, total_);
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  S* data() { return data_; }
  S* on_device() { return data_; }
  std::size_t size() const { return size_; }

  void upload() {}
  void download() {}
  // Makes NaNs of all elements on the device.
  void poison() { std::memset(static_cast<void*>(data_), 0xff, size_ * sizeof(S)); }
  // Whether nothing beyond the array has been written; here that would have been the end.
  bool is_intact() { return true; }

 private:
  std::size_t size_;
  std::size_t total_ = 0;
  char* memory_ = nullptr;
  S* data_ = nullptr;
};

// What is wrong with the place itself: the emulator must find misaligned vectors.
inline std::string trouble() {
  Guarded<float> array(7, 0);
  for (const int offset : {1, 4}) {
    float vector[4];
    try {
      elulayer::cuda::load_vector(array.data() + offset, vector);
    } catch (const std::logic_error&) {
      continue;
    }
    return "a vector access that is misaligned or leaves the array is not found";
  }
  return "";
}

}  // namespace place
