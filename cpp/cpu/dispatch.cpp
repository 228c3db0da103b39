#include "cpu/dispatch.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/cache.hpp"
#include "cpu/threads.hpp"
#include "elulayer/cpu_info.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace elulayer {
namespace cpu {
namespace {

#if defined(__x86_64__)
// __builtin_cpu_supports asks the processor and whether the operating system saves its registers.
// Compilers differ in the features they know by name; cpuid has the rest.
bool has_x86_64_v3() {
  unsigned a = 0, b = 0, c1 = 0, c2 = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c1, &d) || !__get_cpuid(0x80000001u, &a, &b, &c2, &d)) {
    return false;
  }
  const bool movbe = (c1 & (1u << 22)) != 0;
  const bool f16c = (c1 & (1u << 29)) != 0;
  const bool lzcnt = (c2 & (1u << 5)) != 0;
  return movbe && f16c && lzcnt && __builtin_cpu_supports("avx2") &&
         __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2");
}

bool has_x86_64_v4() {
  return has_x86_64_v3() && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

struct Implementation {
  const Kernels* kernels;
  bool (*supported)();
};

// In order of preference.
const Implementation implementations[] = {
#ifdef ELULAYER_HAVE_KERNELS_v4
    {&kernels_v4, has_x86_64_v4},
#endif
#ifdef ELULAYER_HAVE_KERNELS_v3
    {&kernels_v3, has_x86_64_v3},
#endif
    {&kernels_baseline, [] { return true; }},
};

struct Choice {
  const Implementation* implementation;
  std::string reason;
};

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "'" : ", '") + name + "'";
  }
  return text;
}

std::vector<std::string> names(bool usable_only) {
  std::vector<std::string> result;
  for (const Implementation& implementation : implementations) {
    if (!usable_only || implementation.supported()) {
      result.emplace_back(implementation.kernels->instruction_set);
    }
  }
  return result;
}

Choice first_supported() {
  for (const Implementation& implementation : implementations) {
    if (implementation.supported()) {
      return {&implementation, "the first that this machine can run"};
    }
  }
  throw std::runtime_error("this machine can run none of the compiled instruction sets: " +
                           join(names(false)));
}

Choice forced(const std::string& name) {
  for (const Implementation& implementation : implementations) {
    if (name != implementation.kernels->instruction_set) {
      continue;
    }
    if (!implementation.supported()) {
      throw std::runtime_error("ELULAYER_ISA is '" + name +
                               "', which this machine cannot run; it can run " + join(names(true)));
    }
    return {&implementation, "forced by ELULAYER_ISA"};
  }
  throw std::runtime_error(
      "ELULAYER_ISA is '" + name +
      "', which is not among the compiled instruction sets: " + join(names(false)));
}

Choice choose() {
  const char* const name = std::getenv("ELULAYER_ISA");
  return name == nullptr || *name == '\0' ? first_supported() : forced(name);
}

const Choice& choice() {
  static const Choice chosen = choose();
  return chosen;
}

}  // namespace

const Kernels& active_kernels() { return *choice().implementation->kernels; }

}  // namespace cpu

CpuInfo cpu_info() {
  CpuInfo info;
  info.compiled = cpu::names(false);
  info.usable = cpu::names(true);
  info.active = cpu::active_kernels().instruction_set;
  info.fused = cpu::active_kernels().fused;
  info.reason = cpu::choice().reason;
  info.openmp = cpu::openmp_runtime();
  info.threads = cpu::default_threads();
  info.last_level_cache = cpu::last_level_cache();
  return info;
}

}  // namespace elulayer
