// elulayer: the exponential linear unit with one learnable alpha per channel.
//
// For x in channel c, with a = alpha[c] and g = dL/dZ:
//
//                          x > 0    otherwise (0 included)
//   Z                      x        a * expm1(x)
//   dL/dX                  g        g * a * exp(x)
//   term of dL/dalpha[c]   0        g * expm1(x)
//
// dL/dalpha[c] is the sum of its terms over all elements of channel c.
//
// Clevert, Unterthiner, Hochreiter: Fast and Accurate Deep Network Learning by Exponential Linear
// Units (ELUs), 2015, https://arxiv.org/abs/1511.07289
#pragma once

#include <cstdint>

#include "elulayer/types.hpp"

namespace elulayer {

// A dense array seen as (outer, channels, inner), inner varying fastest.
//   NCHW: {N, C, H * W}    NC: {N, C, 1}    NHWC: {N * H * W, C, 1}    one alpha: {1, 1, size}
struct Shape {
  std::int64_t outer = 1;
  std::int64_t channels = 1;
  std::int64_t inner = 1;
};

// The functions below exist for T = float, double, float16 and bfloat16. alpha and its gradient are
// of type Arithmetic<T>: float for the 16-bit types, which are computed in float and rounded once.
//
// In all of them arrays have outer * channels * inner elements and alphas `channels` elements. A
// result may be the same memory as an array that is read, and overlaps those in no other way; two
// results are apart. num_threads = 0 takes as many threads as OpenMP's own setting says; small
// arrays, and processes forked from one that had loaded this library, use one thread. The bits of
// dalpha depend on the values and the shape, those of the other results on the values alone, and
// none on the number of threads, or on how the calling thread rounds or flushes to zero.
//
// OpenMP's threads spin while they wait for each other. Where other programs use the processors,
// give fewer threads than are free, or set OMP_WAIT_POLICY=passive in the environment before the
// program starts: one late thread otherwise holds up all.
//
// They throw std::invalid_argument for a negative extent, more than 2^63 - 1 elements or a negative
// num_threads, std::runtime_error where the environment's ELULAYER_ISA cannot be used, and
// std::bad_alloc, each before anything is written.

// Z = elu(X).
template <class T>
void elu(const T* x, const Arithmetic<T>* alpha, T* z, Shape shape, int num_threads = 0);

// Z, and memory = expm1(min(x, 0)) for elu_backward_from_memory: -0 for x = 0 of either sign, +0
// for x > 0 only.
template <class T>
void elu_with_memory(const T* x, const Arithmetic<T>* alpha, T* z, T* memory, Shape shape,
                     int num_threads = 0);

// dX = dL/dX and dalpha = dL/dalpha from grad = dL/dZ and X, in one pass.
template <class T>
void elu_backward(const T* grad, const T* x, const Arithmetic<T>* alpha, T* dx,
                  Arithmetic<T>* dalpha, Shape shape, int num_threads = 0);

// The same from elu_with_memory's memory, without X. dX has an error of up to |g alpha| eps beside
// 1 ULP (eps = 2^-23 in float, 2^-52 in double): it loses digits as x decreases, and all of them
// below x = -17 (-37 in double; sooner in the 16-bit types). Where alpha exp(x) is subnormal, it is
// rounded before it is multiplied by g.
template <class T>
void elu_backward_from_memory(const T* grad, const T* memory, const Arithmetic<T>* alpha, T* dx,
                              Arithmetic<T>* dalpha, Shape shape, int num_threads = 0);

// The same from Z alone, as for a forward pass in place. Every alpha must be positive, or the sign
// of Z does not tell that of X: std::invalid_argument otherwise. dX loses digits as from memory.
template <class T>
void elu_backward_from_output(const T* grad, const T* z, const Arithmetic<T>* alpha, T* dx,
                              Arithmetic<T>* dalpha, Shape shape, int num_threads = 0);

// The gradients of a loss through elu_backward, computed in double. With v = dL/d(dX) and, per
// channel, w = dL/d(dalpha):
//
//                          x > 0    otherwise
//   dL/dgrad               v        v * a * exp(x) + w * expm1(x)
//   dL/dX                  0        g * exp(x) * (v * a + w)
//   term of dL/dalpha[c]   0        v * g * exp(x)
template <class T>
void elu_double_backward(const T* v, const Arithmetic<T>* w, const T* grad, const T* x,
                         const Arithmetic<T>* alpha, T* dgrad, T* dx, Arithmetic<T>* dalpha,
                         Shape shape, int num_threads = 0);

}  // namespace elulayer
