#include "cpu/dispatch.hpp"

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/threads.hpp"
#include "elulayer/cpu_info.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace elulayer {
namespace cpu {
namespace {

#if defined(__x86_64__)
// What the processor has, and which of its registers the operating system saves. By instructions
// alone: the runtime libraries of some compilers say no to every __builtin_cpu_supports.
struct Features {
  unsigned c1 = 0;  // cpuid 1, ecx
  unsigned b7 = 0;  // cpuid 7, ebx
  unsigned c8 = 0;  // cpuid 0x80000001, ecx
  unsigned saved = 0;

  Features() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    __get_cpuid(1, &a, &b, &c1, &d);
    __get_cpuid_count(7, 0, &a, &b7, &c, &d);
    __get_cpuid(0x80000001u, &a, &b, &c8, &d);
    constexpr unsigned osxsave = 1u << 27;
    if ((c1 & osxsave) != 0) {
      __asm__ volatile("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
    }
#if defined(__APPLE__)
    saved |= 0xe0;  // macOS begins to save these registers when a program first uses them
#endif
  }
};

bool has(unsigned word, std::initializer_list<int> bits) {
  return std::all_of(bits.begin(), bits.end(), [=](int bit) { return (word >> bit & 1) != 0; });
}

// The levels of the x86-64 psABI.
[[maybe_unused]] bool has_x86_64_v3() {
  const Features features;
  return has(features.c1,
             {0, 9, 13, 19, 20, 23}) &&             // SSE3, SSSE3, CMPXCHG16B, SSE4.1, 4.2, POPCNT
         has(features.c1, {12, 22, 27, 28, 29}) &&  // FMA, MOVBE, OSXSAVE, AVX, F16C
         has(features.b7, {3, 5, 8}) &&             // BMI1, AVX2, BMI2
         has(features.c8, {0, 5}) &&                // LAHF, LZCNT
         has(features.saved, {1, 2});               // xmm, ymm
}

[[maybe_unused]] bool has_x86_64_v4() {
  const Features features;
  return has_x86_64_v3() && has(features.b7, {16, 17, 28, 30, 31}) &&  // AVX-512 F, DQ, CD, BW, VL
         has(features.saved, {5, 6, 7});                               // masks, zmm
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
  const Kernels* kernels;
  std::string reason;
};

std::vector<std::string> names(bool usable_only) {
  std::vector<std::string> result;
  for (const Implementation& implementation : implementations) {
    if (!usable_only || implementation.supported()) {
      result.emplace_back(implementation.kernels->instruction_set);
    }
  }
  return result;
}

std::string quoted(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "'" : ", '") + name + "'";
  }
  return text;
}

// What ELULAYER_ISA names, or the first that this machine can run.
Choice choose() {
  const char* const variable = std::getenv("ELULAYER_ISA");
  const std::string name = variable == nullptr ? "" : variable;
  bool is_compiled = false;
  for (const Implementation& implementation : implementations) {
    const bool is_named = name == implementation.kernels->instruction_set;
    is_compiled = is_compiled || is_named;
    if ((name.empty() || is_named) && implementation.supported()) {
      return {implementation.kernels,
              is_named ? "forced by ELULAYER_ISA" : "the first that this machine can run"};
    }
  }
  if (name.empty()) {
    throw std::runtime_error("this machine can run none of the compiled instruction sets: " +
                             quoted(names(false)));
  }
  throw std::runtime_error(
      "ELULAYER_ISA is '" + name + "', which " +
      (is_compiled ? "this machine cannot run; it can run " + quoted(names(true))
                   : "is not among the compiled instruction sets: " + quoted(names(false))));
}

const Choice& choice() {
  static const Choice chosen = choose();
  return chosen;
}

}  // namespace

const Kernels& active_kernels() { return *choice().kernels; }

}  // namespace cpu

CpuInfo cpu_info() {
  // A virtual machine may leave its guest at every cpuid: 60 us for what never changes.
  static const std::vector<std::string> usable = cpu::names(true);
  CpuInfo info;
  info.compiled = cpu::names(false);
  info.usable = usable;
  info.active = cpu::active_kernels().instruction_set;
  info.fused = cpu::active_kernels().fused;
  info.reason = cpu::choice().reason;
  info.openmp = cpu::openmp_runtime();
  info.threads = cpu::default_threads();
  return info;
}

}  // namespace elulayer
