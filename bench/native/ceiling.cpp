#include "ceiling.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#define HAVE_X86_INTRINSICS
#endif

namespace bench {
namespace {

using Byte = unsigned char;

// Each takes a number of bytes that is a multiple of the cache line.
struct Loops {
  const char* vectors;
  void (*copy)(const Byte* in, Byte* out, std::size_t bytes);
  void (*copy_streaming)(const Byte* in, Byte* out, std::size_t bytes);
  void (*add)(const Byte* a, const Byte* b, Byte* out, std::size_t bytes);
  void (*add_streaming)(const Byte* a, const Byte* b, Byte* out, std::size_t bytes);
};

#ifdef HAVE_X86_INTRINSICS

// The four loops for one instruction set. The fence makes streaming stores visible to the threads
// that wait for this one.
#define DEFINE_LOOPS(name, features, Vector, load_vector, store_vector, stream_vector, add_bytes) \
  __attribute__((target(features))) Vector load_##name(const Byte* p) {                           \
    return load_vector(reinterpret_cast<const Vector*>(p));                                       \
  }                                                                                               \
  __attribute__((target(features))) void copy_##name(const Byte* in, Byte* out,                   \
                                                     std::size_t bytes) {                         \
    for (std::size_t i = 0; i < bytes; i += sizeof(Vector)) {                                     \
      store_vector(reinterpret_cast<Vector*>(out + i), load_##name(in + i));                      \
    }                                                                                             \
  }                                                                                               \
  __attribute__((target(features))) void copy_streaming_##name(const Byte* in, Byte* out,         \
                                                               std::size_t bytes) {               \
    for (std::size_t i = 0; i < bytes; i += sizeof(Vector)) {                                     \
      stream_vector(reinterpret_cast<Vector*>(out + i), load_##name(in + i));                     \
    }                                                                                             \
    _mm_sfence();                                                                                 \
  }                                                                                               \
  __attribute__((target(features))) void add_##name(const Byte* a, const Byte* b, Byte* out,      \
                                                    std::size_t bytes) {                          \
    for (std::size_t i = 0; i < bytes; i += sizeof(Vector)) {                                     \
      store_vector(reinterpret_cast<Vector*>(out + i),                                            \
                   add_bytes(load_##name(a + i), load_##name(b + i)));                            \
    }                                                                                             \
  }                                                                                               \
  __attribute__((target(features))) void add_streaming_##name(const Byte* a, const Byte* b,       \
                                                              Byte* out, std::size_t bytes) {     \
    for (std::size_t i = 0; i < bytes; i += sizeof(Vector)) {                                     \
      stream_vector(reinterpret_cast<Vector*>(out + i),                                           \
                    add_bytes(load_##name(a + i), load_##name(b + i)));                           \
    }                                                                                             \
    _mm_sfence();                                                                                 \
  }

DEFINE_LOOPS(sse2, "sse2", __m128i, _mm_load_si128, _mm_store_si128, _mm_stream_si128, _mm_add_epi8)
DEFINE_LOOPS(avx2, "avx2", __m256i, _mm256_load_si256, _mm256_store_si256, _mm256_stream_si256,
             _mm256_add_epi8)
DEFINE_LOOPS(avx512, "avx512f,avx512bw", __m512i, _mm512_load_si512, _mm512_store_si512,
             _mm512_stream_si512, _mm512_add_epi8)
#undef DEFINE_LOOPS

Loops choose_loops() {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) {
    return {"AVX-512", copy_avx512, copy_streaming_avx512, add_avx512, add_streaming_avx512};
  }
  if (__builtin_cpu_supports("avx2")) {
    return {"AVX2", copy_avx2, copy_streaming_avx2, add_avx2, add_streaming_avx2};
  }
  return {"SSE2", copy_sse2, copy_streaming_sse2, add_sse2, add_streaming_sse2};
}

#else

void copy_plain(const Byte* in, Byte* out, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) {
    out[i] = in[i];
  }
}

void add_plain(const Byte* a, const Byte* b, Byte* out, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) {
    out[i] = static_cast<Byte>(a[i] + b[i]);
  }
}

Loops choose_loops() { return {"plain loop", copy_plain, copy_plain, add_plain, add_plain}; }

#endif

const Loops& loops() {
  static const Loops chosen = choose_loops();
  return chosen;
}

// Calls task(offset, length) for contiguous parts of whole cache lines, one on each thread.
template <class Task>
void for_each_part(std::size_t bytes, [[maybe_unused]] int threads, const Task& task) {
  const std::size_t lines = (bytes + cache_line - 1) / cache_line;
#ifdef _OPENMP
  if (threads > 1) {
#pragma omp parallel num_threads(threads)
    {
      const std::size_t part = static_cast<std::size_t>(omp_get_thread_num());
      const std::size_t parts = static_cast<std::size_t>(omp_get_num_threads());
      const std::size_t first = lines * part / parts;
      const std::size_t last = lines * (part + 1) / parts;
      task(first * cache_line, (last - first) * cache_line);
    }
    return;
  }
#endif
  task(0, lines * cache_line);
}

}  // namespace

void copy(const void* in, void* out, std::size_t bytes, int threads, Stores stores) {
  const auto loop = stores == Stores::streaming ? loops().copy_streaming : loops().copy;
  const Byte* from = static_cast<const Byte*>(in);
  Byte* to = static_cast<Byte*>(out);
  for_each_part(bytes, threads, [=](std::size_t offset, std::size_t length) {
    loop(from + offset, to + offset, length);
  });
}

void add(const void* a, const void* b, void* out, std::size_t bytes, int threads, Stores stores) {
  const auto loop = stores == Stores::streaming ? loops().add_streaming : loops().add;
  const Byte* first = static_cast<const Byte*>(a);
  const Byte* second = static_cast<const Byte*>(b);
  Byte* to = static_cast<Byte*>(out);
  for_each_part(bytes, threads, [=](std::size_t offset, std::size_t length) {
    loop(first + offset, second + offset, to + offset, length);
  });
}

const char* ceiling_vectors() { return loops().vectors; }

bool have_streaming_stores() { return loops().copy_streaming != loops().copy; }

}  // namespace bench
