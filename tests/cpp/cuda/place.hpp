// Where unit_test.cpp has its arrays, on a CPU: an emulated device's memory is memory of the
// process, so nothing is copied. device/place.hpp has the same for a real device.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
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

// An array that begins `shift` elements after a multiple of 16 bytes. The page that its last vector
// ends at, and one before it, nobody may touch; what lies between them and the array, at its end
// less than a vector, has canaries.
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
    first_ = memory_ + page;
    last_ = first_ + inner;
    std::fill(first_, last_, canary);
    data_ = reinterpret_cast<S*>(last_ - rounded) + shift;
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
  // Whether nothing beyond the array has been written.
  bool is_intact() {
    const auto is_canary = [](char byte) { return byte == canary; };
    const char* const begin = reinterpret_cast<char*>(data_);
    return std::all_of(const_cast<const char*>(first_), begin, is_canary) &&
           std::all_of(begin + size_ * sizeof(S), const_cast<const char*>(last_), is_canary);
  }

 private:
  static constexpr char canary = '\x5a';

  std::size_t size_;
  std::size_t total_ = 0;
  char* memory_ = nullptr;
  char* first_ = nullptr;  // of what may be touched
  char* last_ = nullptr;
  S* data_ = nullptr;
};

inline void lanes_that_end_early() {
  if (threadIdx.x % 32 != 31) {
    elulayer::cuda::__shfl_xor_sync(0xffffffffu, 1.0, 16);
  }
}

// What is wrong with the place itself: the emulator must find what a device would not forgive.
inline std::string trouble() {
  const auto is_found = [](const auto& wrong) {
    try {
      wrong();
    } catch (const std::logic_error&) {
      return true;
    }
    return false;
  };
  Guarded<float> array(7, 0);
  for (const int offset : {1, 4}) {
    float vector[4];
    if (!is_found([&] { elulayer::cuda::load_vector(array.data() + offset, vector); })) {
      return "a vector access that is misaligned or leaves the array is not found";
    }
  }
  for (const int place : {-1, 7}) {
    Guarded<float> other(7, 0);
    other.data()[place] = 0;
    if (other.is_intact()) {
      return "an element beyond the array is not found";
    }
  }
  if (!is_found([] { elulayer::cuda::launch(&lanes_that_end_early, dim3(1), 64, 0, nullptr); })) {
    return "a shuffle with a lane that has ended is not found";
  }
  return "";
}

}  // namespace place
