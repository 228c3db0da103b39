// What the CPU kernels were compiled for, what this machine can run, and what runs.
#pragma once

#include <string>
#include <vector>

namespace elulayer {

struct CpuInfo {
  std::vector<std::string> compiled;  // instruction sets, in order of preference
  std::vector<std::string> usable;    // those of them that this machine can run
  std::string active;                 // the one in use
  bool fused = false;  // whether its multiply-add rounds once: only that decides bits
  std::string reason;  // why it is the one
  std::string openmp;  // the OpenMP runtime; empty without one
  int threads = 1;     // threads that a large array gets by default
};

// The names are "x86-64-v4", "x86-64-v3" and "baseline" on x86-64, "neon" on 64-bit Arm and
// "baseline" elsewhere. The environment variable ELULAYER_ISA
// forces one of them; it is read once. Throws std::runtime_error where it names none of them, or
// one that was not compiled or that this machine cannot run.
CpuInfo cpu_info();

}  // namespace elulayer
