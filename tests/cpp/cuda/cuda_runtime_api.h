// The CUDA runtime as the unit uses it, on a CPU: two devices whose memory is memory of the process
// that a test has declared theirs, streams that do their work at once, and a log of what was asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorLaunchFailure = 719
};
constexpr unsigned cudaEventDisableTiming = 2;

struct CUstream_st;
struct CUevent_st {
  int number;
};
using cudaStream_t = CUstream_st*;
using cudaEvent_t = CUevent_st*;

struct cudaDeviceProp {
  char name[256];
  std::size_t totalGlobalMem;
  int major;
  int minor;
  int multiProcessorCount;
};

struct dim3 {
  unsigned x = 1;
  unsigned y = 1;
  explicit dim3(unsigned x_, unsigned y_ = 1) : x(x_), y(y_) {}
};

namespace elulayer::cuda::emulator {

struct Machine {
  int driver = 13000;
  int devices = 2;
  int capability = 90;
  int current = 0;
  int events = 0;  // made
  int events_alive = 0;
  cudaError_t launch_error = cudaSuccess;  // of every launch
  cudaError_t count_error = cudaSuccess;   // of cudaGetDeviceCount
  cudaError_t last_error = cudaSuccess;
  std::map<const char*, std::pair<const char*, int>> arrays;  // begin: end, device
  std::string log;
};

inline Machine machine;

inline void note(const std::string& line) { machine.log += line + "\n"; }

inline std::string name_of(cudaStream_t stream) {
  return std::to_string(reinterpret_cast<std::uintptr_t>(stream));
}

inline void add_array(const void* begin, std::size_t bytes, int device) {
  const char* const first = static_cast<const char*>(begin);
  machine.arrays[first] = {first + bytes, device};
}

inline void remove_array(const void* begin) {
  machine.arrays.erase(static_cast<const char*>(begin));
}

// The device that holds [begin, begin + bytes); -1 if none does.
inline int find_device(const void* begin, std::size_t bytes) {
  const char* const first = static_cast<const char*>(begin);
  auto after = machine.arrays.upper_bound(first);
  if (after == machine.arrays.begin()) {
    return -1;
  }
  --after;
  return first + bytes <= after->second.first ? after->second.second : -1;
}

// What a call returns; cudaGetLastError has it too, until it is asked.
inline cudaError_t status(cudaError_t error) {
  if (error != cudaSuccess) {
    machine.last_error = error;
  }
  return error;
}

inline cudaError_t launched(cudaStream_t stream) {
  note("launch on " + name_of(stream) + " of device " + std::to_string(machine.current));
  return status(machine.launch_error);
}

}  // namespace elulayer::cuda::emulator

inline cudaError_t cudaDriverGetVersion(int* version) {
  *version = elulayer::cuda::emulator::machine.driver;
  return cudaSuccess;
}

inline cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = elulayer::cuda::emulator::machine.devices;
  return elulayer::cuda::emulator::status(elulayer::cuda::emulator::machine.count_error);
}

inline cudaError_t cudaGetDevice(int* device) {
  *device = elulayer::cuda::emulator::machine.current;
  return cudaSuccess;
}

inline cudaError_t cudaSetDevice(int device) {
  auto& machine = elulayer::cuda::emulator::machine;
  if (device < 0 || device >= machine.devices) {
    return elulayer::cuda::emulator::status(cudaErrorInvalidDevice);
  }
  machine.current = device;
  return cudaSuccess;
}

inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  const std::string name = "Emulated " + std::to_string(device);
  std::memcpy(properties->name, name.c_str(), name.size() + 1);
  properties->totalGlobalMem = std::size_t{1} << 30;
  properties->major = elulayer::cuda::emulator::machine.capability / 10;
  properties->minor = elulayer::cuda::emulator::machine.capability % 10;
  properties->multiProcessorCount = 4;
  return cudaSuccess;
}

inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if (flags != cudaEventDisableTiming) {
    return cudaErrorInvalidValue;
  }
  auto& machine = elulayer::cuda::emulator::machine;
  *event = new CUevent_st{machine.events++};
  ++machine.events_alive;
  return cudaSuccess;
}

inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  --elulayer::cuda::emulator::machine.events_alive;
  delete event;
  return cudaSuccess;
}

inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  using namespace elulayer::cuda::emulator;
  note("event " + std::to_string(event->number) + " after " + name_of(stream));
  return cudaSuccess;
}

inline cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  using namespace elulayer::cuda::emulator;
  note(name_of(stream) + " waits for event " + std::to_string(event->number));
  return cudaSuccess;
}

inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  using namespace elulayer::cuda::emulator;
  note("synchronize " + name_of(stream));
  return cudaSuccess;
}

inline cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes,
                                   cudaStream_t stream) {
  using namespace elulayer::cuda::emulator;
  note("memset on " + name_of(stream));
  std::memset(memory, value, bytes);
  return cudaSuccess;
}

inline cudaError_t cudaGetLastError() {
  auto& machine = elulayer::cuda::emulator::machine;
  return std::exchange(machine.last_error, cudaSuccess);
}

inline const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorLaunchFailure:
      return "unspecified launch failure";
    default:
      return "an emulated error";
  }
}
