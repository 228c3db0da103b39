// The device as the kernels see it, on a CPU: included in the place of cpp/cuda/device.cuh.
//
// A block's threads are fibres, run in turn until each waits at a barrier or has ended; a fibre
// serves one block after the other. A vector access that is not aligned throws.
#pragma once

#include <cuda_runtime_api.h>
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "elulayer/types.hpp"
#include "math/half.hpp"

#define __global__
#define __device__
#define __noinline__
#define __launch_bounds__(...)
#define ELULAYER_UNROLL
#define ELULAYER_NO_UNROLL

namespace elulayer::cuda::emulator {

struct Index {
  unsigned x, y;
};

inline Index thread_index{};
inline Index block_index{};

// One block of threads.
class Block {
 public:
  Block(int threads, std::size_t shared_bytes) : fibres_(static_cast<std::size_t>(threads)) {
    shared_.resize(shared_bytes / sizeof(double) + 2);
    for (Fibre& fibre : fibres_) {
      fibre.stack.reset(new char[stack_bytes]);
    }
  }

  // Runs body() in each thread of block (x, y). Throws what a thread has thrown, and if threads end
  // while others wait for them.
  void run(unsigned x, unsigned y, const std::function<void()>& body) {
    current = this;
    block_index = {x, y};
    body_ = &body;
    // What a kernel has not written must not look like something.
    std::fill(shared_.begin(), shared_.end(), std::numeric_limits<double>::quiet_NaN());
    for (Fibre& fibre : fibres_) {
      fibre.state = State::ready;
      fibre.error = nullptr;
    }
    for (bool any = true; any;) {
      any = false;
      for (std::size_t i = 0; i < fibres_.size(); ++i) {
        if (fibres_[i].state == State::ready) {
          any = true;
          resume(i);
        }
      }
      any = release() || any;
    }
    for (const Fibre& fibre : fibres_) {
      if (fibre.state != State::ended) {
        throw std::logic_error("threads wait at a barrier that others have not reached");
      }
    }
  }

  void wait_for_block() { wait(State::at_block_barrier); }

  // The value of the lane `step` away in the warp.
  double exchange(double value, int step) {
    const std::size_t me = index_;
    fibres_[me].value = value;
    wait(State::at_warp_barrier);
    const double other = fibres_[me ^ static_cast<std::size_t>(step)].value;
    wait(State::at_warp_barrier);
    return other;
  }

  void* shared() { return shared_.data(); }

  static inline Block* current = nullptr;

 private:
  static constexpr std::size_t stack_bytes = 128 * 1024;
  static constexpr std::size_t warp = 32;
  enum class State { ready, at_block_barrier, at_warp_barrier, ended };

  struct Fibre {
    jmp_buf place;
    bool started = false;
    std::unique_ptr<char[]> stack;
    State state = State::ended;
    double value = 0;
    std::exception_ptr error;
  };

  static void enter() {
    for (;;) {
      Block& block = *current;
      Fibre& fibre = block.fibres_[block.index_];
      try {
        (*block.body_)();
      } catch (...) {
        fibre.error = std::current_exception();
      }
      block.wait(State::ended);
    }
  }

  // Only a fibre's first step needs a context: those cost two system calls.
  void resume(std::size_t i) {
    index_ = i;
    thread_index = {static_cast<unsigned>(i), 0};
    Fibre& fibre = fibres_[i];
    if (_setjmp(scheduler_) == 0) {
      if (fibre.started) {
        _longjmp(fibre.place, 1);
      }
      fibre.started = true;
      ucontext_t context;
      getcontext(&context);
      context.uc_stack.ss_sp = fibre.stack.get();
      context.uc_stack.ss_size = stack_bytes;
      context.uc_link = nullptr;
      makecontext(&context, enter, 0);
      setcontext(&context);
    }
    if (fibres_[index_].error) {
      std::rethrow_exception(fibres_[index_].error);
    }
  }

  void wait(State state) {
    Fibre& fibre = fibres_[index_];
    fibre.state = state;
    if (_setjmp(fibre.place) == 0) {
      _longjmp(scheduler_, 1);
    }
  }

  // Lets those go on who all wait at the same barrier. A block's does not wait for threads that
  // have ended; a shuffle that names the lane of one is undefined.
  bool release() {
    bool released = release_group(0, fibres_.size(), State::at_block_barrier);
    for (std::size_t first = 0; first < fibres_.size(); first += warp) {
      released = release_group(first, first + warp, State::at_warp_barrier) || released;
    }
    return released;
  }

  bool release_group(std::size_t first, std::size_t last, State barrier) {
    bool any = false;
    bool all = true;
    for (std::size_t i = first; i < last; ++i) {
      if (fibres_[i].state != barrier && fibres_[i].state != State::ended) {
        return false;
      }
      any = any || fibres_[i].state == barrier;
      all = all && fibres_[i].state == barrier;
    }
    if (barrier == State::at_warp_barrier && any && !all) {
      throw std::logic_error("a shuffle names a lane that has ended");
    }
    for (std::size_t i = first; any && i < last; ++i) {
      if (fibres_[i].state == barrier) {
        fibres_[i].state = State::ready;
      }
    }
    return any;
  }

  std::vector<Fibre> fibres_;
  std::vector<double> shared_;
  jmp_buf scheduler_;
  std::size_t index_ = 0;
  const std::function<void()>* body_ = nullptr;
};

inline void check_vector(const void* address) {
  if (reinterpret_cast<std::uintptr_t>(address) % 16 != 0) {
    throw std::logic_error("a vector access at an address that is not a multiple of 16");
  }
  if (find_device(address, 16) < 0) {
    throw std::logic_error("a vector access that leaves its array");
  }
}

}  // namespace elulayer::cuda::emulator

#define threadIdx ::elulayer::cuda::emulator::thread_index
#define blockIdx ::elulayer::cuda::emulator::block_index

namespace elulayer::cuda {
namespace {

inline void __syncthreads() { emulator::Block::current->wait_for_block(); }

inline double __shfl_xor_sync(unsigned, double value, int step) {
  return emulator::Block::current->exchange(value, step);
}

template <class T>
T* shared_memory() {
  return static_cast<T*>(emulator::Block::current->shared());
}

template <int vector, class S>
void load_vector(const S* from, S (&values)[vector]) {
  if constexpr (vector > 1) {
    emulator::check_vector(from);
  }
  std::memcpy(values, from, sizeof values);
}

template <int vector, class S>
void store_vector(const S (&values)[vector], S* to) {
  if constexpr (vector > 1) {
    emulator::check_vector(to);
  }
  std::memcpy(to, values, sizeof values);
}

inline float widen(float16 value) { return to_float(value); }
inline float widen(bfloat16 value) { return to_float(value); }

template <int count, class S>
void narrow(const float (&values)[count], S* results) {
  for (int i = 0; i < count; ++i) {
    from_float(values[i], results[i]);
  }
}

// kernel(arguments...) on a grid, at once: block after block.
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, int threads, std::size_t shared_bytes,
                   cudaStream_t stream, const Arguments&... arguments) {
  if (emulator::launched(stream) != cudaSuccess) {
    return emulator::machine.launch_error;
  }
  emulator::Block block(threads, shared_bytes);
  const std::function<void()> body = [&] { kernel(arguments...); };
  for (unsigned y = 0; y < grid.y; ++y) {
    for (unsigned x = 0; x < grid.x; ++x) {
      block.run(x, y, body);
    }
  }
  return cudaSuccess;
}

}  // namespace
}  // namespace elulayer::cuda
