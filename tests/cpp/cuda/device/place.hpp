// Where unit_test.cpp has its arrays on a real device: each has memory there and on the host.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "cuda/elu.hpp"
#include "cuda/status.hpp"

namespace place {

constexpr bool is_device = true;

// Without canaries an array's allocation ends where the array does: a sanitizer sees what is read
// beyond it. Left unwritten, results are as cudaMalloc gives them: a sanitizer sees what is read
// before it is written.
inline std::size_t canary_bytes = 256;
inline bool unwritten = false;

inline bool set_option(const std::string& option) {
  canary_bytes = option == "--no-canaries" ? 0 : canary_bytes;
  unwritten = unwritten || option == "--unwritten";
  return option == "--no-canaries" || option == "--unwritten";
}

// Every call is made once in each: in the default stream, and in one that does not wait for it.
inline std::vector<elulayer::cuda::Stream> streams() {
  static const cudaStream_t other = [] {
    cudaStream_t stream = nullptr;
    elulayer::cuda::check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
    return stream;
  }();
  return {nullptr, other};
}

// An array that begins `shift` elements after a multiple of 16 bytes, canaries on either side.
template <class S>
class Guarded {
 public:
  Guarded(std::size_t size, std::size_t shift)
      : host_(size), before_(canary_bytes + shift * sizeof(S)) {
    allocate();
  }
  ~Guarded() { cudaFree(memory_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  S* data() { return host_.data(); }
  S* on_device() { return reinterpret_cast<S*>(memory_ + before_); }
  std::size_t size() const { return host_.size(); }

  void upload() { copy(on_device(), data(), cudaMemcpyHostToDevice); }
  void download() { copy(data(), on_device(), cudaMemcpyDeviceToHost); }

  // Makes NaNs of all elements on the device.
  void poison() {
    if (unwritten) {
      elulayer::cuda::check(cudaFree(memory_), "cudaFree");
      allocate();
    } else {
      fill(on_device(), bytes(), 0xff);
    }
  }

  // Whether nothing beyond the array has been written.
  bool is_intact() {
    return is_canary(memory_, before_) && is_canary(memory_ + before_ + bytes(), canary_bytes);
  }

 private:
  // Floats of this are -6.02, half precision -2.4: Z or dX of a canary is something else.
  static constexpr unsigned char canary = 0xc0;

  std::size_t bytes() const { return host_.size() * sizeof(S); }

  void allocate() {
    void* memory = nullptr;
    elulayer::cuda::check(cudaMalloc(&memory, before_ + bytes() + canary_bytes), "cudaMalloc");
    memory_ = static_cast<char*>(memory);
    fill(memory_, before_, canary);
    fill(memory_ + before_ + bytes(), canary_bytes, canary);
  }

  static void fill(void* memory, std::size_t count, unsigned char byte) {
    if (count > 0) {
      elulayer::cuda::check(cudaMemset(memory, byte, count), "cudaMemset");
      elulayer::cuda::check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    }
  }

  void copy(void* to, const void* from, cudaMemcpyKind kind) {
    elulayer::cuda::check(cudaMemcpy(to, from, bytes(), kind), "cudaMemcpy");
    elulayer::cuda::check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  }

  static bool is_canary(const char* memory, std::size_t count) {
    std::vector<unsigned char> found(count);
    if (count > 0) {
      elulayer::cuda::check(cudaMemcpy(found.data(), memory, count, cudaMemcpyDeviceToHost),
                            "cudaMemcpy");
    }
    return std::count(found.begin(), found.end(), canary) == static_cast<std::ptrdiff_t>(count);
  }

  std::vector<S> host_;
  std::size_t before_;
  char* memory_ = nullptr;
};

inline std::string trouble() { return ""; }

}  // namespace place
