// The element types that the functions of elu.hpp exist for.
#pragma once

#define ELULAYER_FOR_ELEMENT_TYPES(instantiate) \
  instantiate(float) instantiate(double) instantiate(float16) instantiate(bfloat16)

#define ELULAYER_INSTANTIATE_FORWARD(T)                                  \
  template void elu(const T*, Alphas<Arithmetic<T>>, T*, Shape, Stream); \
  template void elu_with_memory(const T*, Alphas<Arithmetic<T>>, T*, T*, Shape, Stream);

#define ELULAYER_INSTANTIATE_BACKWARD_AS(name, T)                                                 \
  template void name(const T*, const T*, Alphas<Arithmetic<T>>, T*, Arithmetic<T>*, void*, Shape, \
                     Stream);
#define ELULAYER_INSTANTIATE_BACKWARD(T)                        \
  ELULAYER_INSTANTIATE_BACKWARD_AS(elu_backward, T)             \
  ELULAYER_INSTANTIATE_BACKWARD_AS(elu_backward_from_memory, T) \
  ELULAYER_INSTANTIATE_BACKWARD_AS(elu_backward_from_output, T)
