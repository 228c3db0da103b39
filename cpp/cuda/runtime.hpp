// Devices and streams, as far as the unit needs them. A build without the CUDA unit has these
// functions too: info() tells so, and the others throw std::runtime_error.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/elu.hpp"

namespace elulayer::cuda {

struct Device {
  std::string name;
  int major = 0;  // compute capability
  int minor = 0;
  std::int64_t memory = 0;  // bytes
  int multiprocessors = 0;
};

struct Info {
  bool available = false;       // whether a device can run the kernels
  std::string reason;           // why not; versions where it can
  std::vector<Device> devices;  // in the driver's order
};

// Makes no context on a device, and throws nothing where there is none.
Info info();

// Whatever is put into `next` from now on waits for all that is in `first` now.
void order(Stream first, Stream next);

// Waits until all that is in the stream is done.
void synchronize(Stream stream);

// Makes a device the current one of the thread, for as long as it lives.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  [[maybe_unused]] int before_ = 0;
  [[maybe_unused]] bool changed_ = false;
};

}  // namespace elulayer::cuda
