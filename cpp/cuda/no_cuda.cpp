// The functions of the CUDA unit in a build without it.
#include <stdexcept>

#include "cuda/elu.hpp"
#include "cuda/instances.hpp"
#include "cuda/runtime.hpp"

namespace elulayer::cuda {
namespace {

constexpr const char* reason =
    "this build of elulayer has no CUDA unit; when it was built: " ELULAYER_NO_CUDA_REASON;

[[noreturn]] void refuse() { throw std::runtime_error(reason); }

}  // namespace

Info info() { return {false, reason, {}}; }
void order(Stream, Stream) { refuse(); }
void synchronize(Stream) { refuse(); }
DeviceGuard::DeviceGuard(int) { refuse(); }
// NOLINTNEXTLINE(performance-trivially-destructible): in the other build it is not.
DeviceGuard::~DeviceGuard() = default;

std::size_t workspace_bytes(Shape, int) { refuse(); }

template <class T>
void elu(const T*, Alphas<Arithmetic<T>>, T*, Shape, Stream) {
  refuse();
}

template <class T>
void elu_with_memory(const T*, Alphas<Arithmetic<T>>, T*, T*, Shape, Stream) {
  refuse();
}

template <class T>
void elu_backward(const T*, const T*, Alphas<Arithmetic<T>>, T*, Arithmetic<T>*, void*, Shape,
                  Stream) {
  refuse();
}

template <class T>
void elu_backward_from_memory(const T*, const T*, Alphas<Arithmetic<T>>, T*, Arithmetic<T>*, void*,
                              Shape, Stream) {
  refuse();
}

template <class T>
void elu_backward_from_output(const T*, const T*, Alphas<Arithmetic<T>>, T*, Arithmetic<T>*, void*,
                              Shape, Stream) {
  refuse();
}

ELULAYER_FOR_ELEMENT_TYPES(ELULAYER_INSTANTIATE_FORWARD)
ELULAYER_FOR_ELEMENT_TYPES(ELULAYER_INSTANTIATE_BACKWARD)

}  // namespace elulayer::cuda
