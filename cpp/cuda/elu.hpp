// The unit on a CUDA device: the operations of elulayer.hpp on device memory, on a stream.
//
// A build without the CUDA unit has these functions too: built() is false, and the others throw.
// Functions return when the work is in the stream, not when it is done. They throw
// std::invalid_argument for arguments that do not fit, and std::runtime_error with CUDA's own words
// where a launch fails. The current device of the calling thread is the one that is used.
#pragma once

#include <cstddef>

#include "elulayer/elulayer.hpp"

namespace elulayer::cuda {

// A cudaStream_t; null for the default stream.
using Stream = void*;

// Whether this build has the CUDA unit.
bool built();

// Bytes of device memory that elu_backward works in, for arrays of elements of `element_size`.
std::size_t workspace_bytes(Shape shape, int element_size);

// Z, as elulayer::elu. All pointers are to device memory; z may be x.
template <class T>
void elu(const T* x, const Arithmetic<T>* alpha, T* z, Shape shape, Stream stream);

// dL/dX and dL/dalpha, as elulayer::elu_backward; dx may be grad or x. dX has the bits of the CPU's
// AVX2 and AVX-512 kernels; dalpha has the same bits on every device, but not those of the CPU.
template <class T>
void elu_backward(const T* grad, const T* x, const Arithmetic<T>* alpha, T* dx,
                  Arithmetic<T>* dalpha, void* workspace, Shape shape, Stream stream);

}  // namespace elulayer::cuda
