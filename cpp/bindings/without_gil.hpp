// The GIL, released while native code runs.
#pragma once

#include <Python.h>

#include <chrono>
#include <thread>

namespace elulayer::bindings {

// When the interpreter ends, CPython before 3.14 ends a thread that asks for the GIL: glibc then
// unwinds its stack, through functions that must not throw, and calls destructors that give
// Python's objects back without the GIL. The thread waits for the end of the process instead, as
// from 3.14 on.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() noexcept(false) { take_back(state_); }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  struct EndOfThread {
    ~EndOfThread() {
      while (is_it) {
        std::this_thread::sleep_for(std::chrono::hours(1));
      }
    }
    bool is_it = true;
  };

  // Never inlined: in a caller that must not throw, compilers leave the destructor out.
  [[gnu::noinline]] static void take_back(PyThreadState* state) {
    EndOfThread end;
    PyEval_RestoreThread(state);
    end.is_it = false;
  }

  PyThreadState* state_;
};

}  // namespace elulayer::bindings
