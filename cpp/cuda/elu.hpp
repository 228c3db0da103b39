// The unit on a CUDA device: the operations of elulayer.hpp on device memory, in a stream.
//
// A build without the CUDA unit has these functions too, and they throw std::runtime_error. All
// return when the work is in the stream, not when it is done; they use the current device of the
// calling thread. Arrays are of its memory; a result may be an array that is read, and overlaps
// those in no other way. They throw std::invalid_argument for a shape that no grid holds, and
// std::runtime_error with CUDA's own words where a launch fails.
//
// Z and dX have the bits of the CPU's AVX2 and AVX-512 kernels, but for which NaN a NaN is. dalpha
// has the same bits on every device; they depend on the values, the shape and whether all arrays
// begin at multiples of 16 bytes.
#pragma once

#include <cstddef>

#include "elulayer/elulayer.hpp"

namespace elulayer::cuda {

// A cudaStream_t; null for the default stream.
using Stream = void*;

// The alphas: an array in device memory or, where that is null, one value for all channels.
template <class T>
struct Alphas {
  const T* array;
  T value;
};

// Bytes of device memory that the backward functions work in, for arrays of elements of
// `element_size` bytes. It begins at a multiple of 16 bytes.
std::size_t workspace_bytes(Shape shape, int element_size);

// Z, as elulayer::elu.
template <class T>
void elu(const T* x, Alphas<Arithmetic<T>> alpha, T* z, Shape shape, Stream stream);

// Z and the memory, as elulayer::elu_with_memory.
template <class T>
void elu_with_memory(const T* x, Alphas<Arithmetic<T>> alpha, T* z, T* memory, Shape shape,
                     Stream stream);

// dL/dX and dL/dalpha, as elulayer::elu_backward.
template <class T>
void elu_backward(const T* grad, const T* x, Alphas<Arithmetic<T>> alpha, T* dx,
                  Arithmetic<T>* dalpha, void* workspace, Shape shape, Stream stream);

template <class T>
void elu_backward_from_memory(const T* grad, const T* memory, Alphas<Arithmetic<T>> alpha, T* dx,
                              Arithmetic<T>* dalpha, void* workspace, Shape shape, Stream stream);

// For channels whose alpha is not positive, dX is NaN where Z is not, and dalpha is NaN: to refuse
// them as the CPU does would be to wait for the device.
template <class T>
void elu_backward_from_output(const T* grad, const T* z, Alphas<Arithmetic<T>> alpha, T* dx,
                              Arithmetic<T>* dalpha, void* workspace, Shape shape, Stream stream);

}  // namespace elulayer::cuda
