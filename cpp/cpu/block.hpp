// Runs of array elements, as the loops read and write them: in the type of the arithmetic. Internal
// linkage only: compiled once for each instruction set.
#pragma once

#include "cpu/kernels.hpp"
#include "math/half.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace elulayer::cpu {
namespace {

// The most elements of a run, in the type of the arithmetic.
template <class T>
constexpr int max_run = static_cast<int>(run_size(sizeof(T)));

// Whether numbers of type S are computed in that type.
template <class S>
constexpr bool is_arithmetic = sizeof(S) == sizeof(Arithmetic<S>);

// Conversions -------------------------------------------------------------------------------------

template <class S>
inline void convert(const S* from, float* to, int n) {
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    to[i] = to_float(from[i]);
  }
}

template <class S>
inline void convert(const float* from, S* to, int n) {
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    from_float(from[i], to[i]);
  }
}

// The machine's own conversions of a vector of float16, where it has them.
#if defined(__AVX512F__)
#define ELULAYER_F16C 16
constexpr __mmask16 all_lanes = 0xffff;  // without a mask g++ 12 warns of its own header
inline void convert_vector(const float16* from, float* to) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  _mm512_storeu_ps(to, _mm512_maskz_cvtph_ps(all_lanes, half));
}
inline void convert_vector(const float* from, float16* to) {
  const __m256i half =
      _mm512_maskz_cvtps_ph(all_lanes, _mm512_loadu_ps(from), _MM_FROUND_TO_NEAREST_INT);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), half);
}
#elif defined(__F16C__)
#define ELULAYER_F16C 8
inline void convert_vector(const float16* from, float* to) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  _mm256_storeu_ps(to, _mm256_cvtph_ps(half));
}
inline void convert_vector(const float* from, float16* to) {
  const __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(from), _MM_FROUND_TO_NEAREST_INT);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), half);
}
#endif

#if defined(ELULAYER_F16C)
// Converts the whole vectors of n numbers: how many, is the result.
template <class From, class To>
inline int convert_vectors(const From* from, To* to, int n) {
  int i = 0;
  for (; i + ELULAYER_F16C <= n; i += ELULAYER_F16C) {
    convert_vector(from + i, to + i);
  }
  return i;
}

inline void convert(const float16* from, float* to, int n) {
  for (int i = convert_vectors(from, to, n); i < n; ++i) {
    to[i] = to_float(from[i]);
  }
}

inline void convert(const float* from, float16* to, int n) {
  for (int i = convert_vectors(from, to, n); i < n; ++i) {
    from_float(from[i], to[i]);
  }
}
#endif

// Double to float with its last bit set where the conversion was not exact: rounding that to 16
// bits is rounding the double.
inline float round_to_odd(double value) {
  const float nearest = static_cast<float>(value);
  const double difference = value - static_cast<double>(nearest);
  const bool exact = !(difference != 0.0) || !is_finite(nearest);
  const bool away = (difference > 0.0) == (value > 0.0);
  const uint32_t bits = to_bits(nearest);
  const uint32_t even_to_odd = away ? bits | 1 : bits - 1;
  return from_bits<float>(exact || (bits & 1) != 0 ? bits : even_to_odd);
}

// A double result of float or 16-bit arrays is rounded once.
template <class S>
inline void round_to(double from, S& to) {
  if constexpr (is_arithmetic<S>) {
    to = static_cast<S>(from);
  } else {
    from_float(round_to_odd(from), to);
  }
}

template <class S>
inline double to_double(S value) {
  if constexpr (is_arithmetic<S>) {
    return static_cast<double>(value);
  } else {
    return static_cast<double>(to_float(value));
  }
}

// Reading -----------------------------------------------------------------------------------------

// n numbers in the type of the arithmetic: the array itself, or `buffer`.
template <class S>
inline const Arithmetic<S>* read(const S* from, Arithmetic<S>* buffer, int n) {
  if constexpr (is_arithmetic<S>) {
    return from;
  } else {
    convert(from, buffer, n);
    return buffer;
  }
}

// Writing -----------------------------------------------------------------------------------------

// Where the loops write a run's results: the array itself, or `buffer` where that must not change
// before the run is done.
template <class S>
inline Arithmetic<S>* target(S* to, Arithmetic<S>* buffer, bool is_input) {
  if constexpr (is_arithmetic<S>) {
    return is_input ? buffer : to;
  } else {
    return buffer;
  }
}

// Brings the n results of a run from their target to the array.
template <class S>
inline void write(const Arithmetic<S>* from, S* to, int n) {
  if constexpr (!is_arithmetic<S>) {
    convert(from, to, n);
  } else if (from != to) {
    __builtin_memcpy(to, from, static_cast<size_t>(n) * sizeof(S));
  }
}

}  // namespace
}  // namespace elulayer::cpu
