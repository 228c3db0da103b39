#include "cuda/runtime.hpp"

#include <cuda_runtime_api.h>

#include "cuda/status.hpp"

namespace elulayer::cuda {
namespace {

std::string version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

// An event that marks a place in a stream.
class Event {
 public:
  Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "an event"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace

Info info() {
  Info result;
  int driver = 0;
  int runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (driver == 0) {
    result.reason = "no CUDA driver is installed";
    return result;
  }
  const std::string versions = "CUDA " + version(runtime) + ", driver for CUDA " + version(driver);
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    cudaGetLastError();  // takes the error back: a later launch is not to blame
    result.reason = std::string(cudaGetErrorString(status)) + " (" + versions + ")";
    return result;
  }
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, i), "the properties of a device");
    result.devices.push_back({properties.name, properties.major, properties.minor,
                              static_cast<std::int64_t>(properties.totalGlobalMem),
                              properties.multiProcessorCount});
    const int capability = 10 * properties.major + properties.minor;
    result.available = result.available || capability >= ELULAYER_CUDA_OLDEST;
  }
  if (result.available) {
    result.reason = versions;
  } else if (count == 0) {
    result.reason = "there is no CUDA device (" + versions + ")";
  } else {
    constexpr int oldest = ELULAYER_CUDA_OLDEST;
    result.reason = "the devices are too old: this build is for compute capability " +
                    std::to_string(oldest / 10) + "." + std::to_string(oldest % 10) + " and newer";
  }
  return result;
}

void order(Stream first, Stream next) {
  if (first == next) {
    return;
  }
  // The event may be destroyed before it has happened.
  const Event event;
  check(cudaEventRecord(event.get(), static_cast<cudaStream_t>(first)), "recording an event");
  check(cudaStreamWaitEvent(static_cast<cudaStream_t>(next), event.get(), 0),
        "waiting for an event");
}

void synchronize(Stream stream) {
  check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "waiting for a stream");
}

DeviceGuard::DeviceGuard(int device) {
  check(cudaGetDevice(&before_), "the current device");
  if (device != before_) {
    check(cudaSetDevice(device), "choosing a device");
    changed_ = true;
  }
}

DeviceGuard::~DeviceGuard() {
  if (changed_) {
    cudaSetDevice(before_);
  }
}

}  // namespace elulayer::cuda
