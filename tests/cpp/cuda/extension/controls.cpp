// What a test asks of the emulated CUDA runtime.
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string>

#define ELULAYER_CONTROL extern "C" __attribute__((visibility("default")))

namespace emulator = elulayer::cuda::emulator;

ELULAYER_CONTROL void emulator_reset() { emulator::machine = emulator::Machine(); }

ELULAYER_CONTROL void emulator_add_array(std::uintptr_t begin, std::size_t bytes, int device) {
  emulator::add_array(reinterpret_cast<const void*>(begin), bytes, device);
}

ELULAYER_CONTROL void emulator_remove_array(std::uintptr_t begin) {
  emulator::remove_array(reinterpret_cast<const void*>(begin));
}

// What has been asked of the runtime since the last call, a line each.
ELULAYER_CONTROL const char* emulator_take_log() {
  static std::string taken;
  taken = std::move(emulator::machine.log);
  emulator::machine.log.clear();
  return taken.c_str();
}

ELULAYER_CONTROL void emulator_set_driver(int version, int devices, int capability) {
  emulator::machine.driver = version;
  emulator::machine.devices = devices;
  emulator::machine.capability = capability;
}

ELULAYER_CONTROL void emulator_fail(int count_error, int launch_error) {
  emulator::machine.count_error = static_cast<cudaError_t>(count_error);
  emulator::machine.launch_error = static_cast<cudaError_t>(launch_error);
}

ELULAYER_CONTROL int emulator_events_alive() { return emulator::machine.events_alive; }

// The error that cudaGetLastError would return.
ELULAYER_CONTROL int emulator_last_error() { return emulator::machine.last_error; }

ELULAYER_CONTROL int emulator_current_device() { return emulator::machine.current; }

ELULAYER_CONTROL void emulator_set_current_device(int device) {
  emulator::machine.current = device;
}
