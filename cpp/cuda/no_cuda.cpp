// The native API of the CUDA unit in a build without it.
#include <stdexcept>

#include "cuda/elu.hpp"

namespace elulayer::cuda {
namespace {

[[noreturn]] void refuse() {
  throw std::runtime_error("this build of elulayer has no CUDA unit (ELULAYER_CUDA=OFF)");
}

}  // namespace

bool built() { return false; }

std::size_t workspace_bytes(Shape, int) { refuse(); }

template <class T>
void elu(const T*, const Arithmetic<T>*, T*, Shape, Stream) {
  refuse();
}

template <class T>
void elu_backward(const T*, const T*, const Arithmetic<T>*, T*, Arithmetic<T>*, void*, Shape,
                  Stream) {
  refuse();
}

#define ELULAYER_INSTANTIATE(T)                                                                   \
  template void elu(const T*, const Arithmetic<T>*, T*, Shape, Stream);                           \
  template void elu_backward(const T*, const T*, const Arithmetic<T>*, T*, Arithmetic<T>*, void*, \
                             Shape, Stream);

ELULAYER_INSTANTIATE(float)
ELULAYER_INSTANTIATE(double)
ELULAYER_INSTANTIATE(float16)
ELULAYER_INSTANTIATE(bfloat16)
#undef ELULAYER_INSTANTIATE

}  // namespace elulayer::cuda
