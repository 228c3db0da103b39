// Sums and affine maps per channel of (outer, channels, inner) arrays, of float or double: what the
// layer of batch normalization is made of (python/elulayer/layers/batch_normalization.py). No part
// of the installed library.
#pragma once

#include "elulayer/elulayer.hpp"

namespace elulayer::batch_normalization {

// mean[c], and the mean of (x - mean[c])^2 in variance[c], over the values of a channel; 0 of none.
template <class T>
void channel_moments(const T* x, double* mean, double* variance, Shape shape, int num_threads);

// sums[c] = sum of g; dots[c] = sum of g (x - center[c]).
template <class T>
void channel_dots(const T* g, const T* x, const double* center, double* sums, double* dots,
                  Shape shape, int num_threads);

// z = a[c] (x - center[c]) + b[c]
template <class T>
void channel_affine(const T* x, const double* center, const double* a, const double* b, T* z,
                    Shape shape, int num_threads);

// dx = a[c] g + b[c] (x - center[c]) + d[c]
template <class T>
void channel_affine_gradient(const T* g, const T* x, const double* center, const double* a,
                             const double* b, const double* d, T* dx, Shape shape, int num_threads);

}  // namespace elulayer::batch_normalization
