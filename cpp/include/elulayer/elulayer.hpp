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

namespace elulayer {

// A dense array seen as (outer, channels, inner), inner varying fastest.
//   NCHW: {N, C, H * W}    NC: {N, C, 1}    NHWC: {N * H * W, C, 1}    one alpha: {1, 1, size}
struct Shape {
  std::int64_t outer = 1;
  std::int64_t channels = 1;
  std::int64_t inner = 1;
};

// Z = elu(X).
//   x, z    outer * channels * inner elements; z may be x, and overlaps it in no other way
//   alpha   channels elements
//   num_threads   0: as many as OpenMP's own setting says. Small arrays, and processes forked from
//                 one that had loaded this library, use one thread.
// Throws std::invalid_argument for a negative extent, more than 2^63 - 1 elements or a negative
// num_threads, and std::runtime_error where the environment's ELULAYER_ISA cannot be used.
void elu(const float* x, const float* alpha, float* z, Shape shape, int num_threads = 0);
void elu(const double* x, const double* alpha, double* z, Shape shape, int num_threads = 0);

// dX = dL/dX and dalpha = dL/dalpha, both from X, in one pass.
//   grad, x, dx     outer * channels * inner elements; dx may be grad or x, and overlaps them in no
//                   other way
//   alpha, dalpha   channels elements, apart from each other
// The bits of dalpha depend on the values and the shape, not on the number of threads.
// Throws as elu does, and std::bad_alloc before anything is written.
void elu_backward(const float* grad, const float* x, const float* alpha, float* dx, float* dalpha,
                  Shape shape, int num_threads = 0);
void elu_backward(const double* grad, const double* x, const double* alpha, double* dx,
                  double* dalpha, Shape shape, int num_threads = 0);

}  // namespace elulayer
