// How a thread rounds, whether subnormal numbers are zeros to it, and which exceptions trap.
#pragma once

#include <cfenv>
#include <cstdint>

namespace elulayer::cpu {

// A thread's settings. No access to memory is moved across a change of them.
namespace float_settings {

#if defined(__x86_64__) || defined(__i386__)
using Value = std::uint32_t;

constexpr Value raised = 0x3f;  // flags of exceptions that have been
constexpr Value standard = 0x1f80;

inline Value get() {
  Value value = 0;  // NOLINT(misc-const-correctness): the next line changes it
  __asm__ volatile("stmxcsr %0" : "=m"(value));
  return value;
}
inline void set(const Value& value) { __asm__ volatile("ldmxcsr %0" : : "m"(value) : "memory"); }
inline bool are_standard(const Value& value) { return (value & ~raised) == standard; }
inline void set_standard() { set(standard); }
#elif defined(__aarch64__)
using Value = std::uint64_t;

inline Value get() {
  Value value = 0;  // NOLINT(misc-const-correctness): the next line changes it
  __asm__ volatile("mrs %0, fpcr" : "=r"(value));
  return value;
}
inline void set(const Value& value) { __asm__ volatile("msr fpcr, %0" : : "r"(value) : "memory"); }
inline bool are_standard(const Value& value) { return value == 0; }
inline void set_standard() { set(0); }
#else
using Value = std::fenv_t;

inline Value get() {
  Value value{};
  std::fegetenv(&value);
  return value;
}
inline void set(const Value& value) { std::fesetenv(&value); }
inline bool are_standard(const Value&) { return false; }  // what a value holds is the system's own
inline void set_standard() { std::fesetenv(FE_DFL_ENV); }
#endif

}  // namespace float_settings

// While it lives, the calling thread computes as IEEE 754 has it by default: it rounds to nearest,
// keeps subnormal numbers and does not trap. A thread is born with the settings of the one that
// starts it, so those of OpenMP's threads are not always their caller's.
class StandardFloats {
 public:
  StandardFloats() : before_(float_settings::get()) {
    if (!float_settings::are_standard(before_)) {
      float_settings::set_standard();
    }
  }
  ~StandardFloats() {
    if (!float_settings::are_standard(before_)) {
      float_settings::set(before_);
    }
  }
  StandardFloats(const StandardFloats&) = delete;
  StandardFloats& operator=(const StandardFloats&) = delete;

 private:
  float_settings::Value before_;
};

}  // namespace elulayer::cpu
