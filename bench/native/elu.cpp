// elulayer::elu and elulayer::elu_backward beside the ceilings of their memory traffic.
//
//   elu_benchmark [--benchmark_filter=REGEX] [--benchmark_format=json] ...
//
// takes Google Benchmark's flags (--help); --benchmark_list_tests prints the names, which are
//
//   elu, elu_backward   /TYPE/size:ELEMENTS/LAYOUT:OUTERxCHANNELSxINNER/PLACE/num_threads:N
//   copy, add           /TYPE/size:ELEMENTS/STORES/num_threads:N
//
//   LAYOUT   row (one row per channel), NCHW, NHWC
//   PLACE    out_of_place, in_place (z is x; dx is x), or out_of_place with other inputs, of some
//            layouts: deep (one x of 1024 is -100, in double -700), masked (half of x is -inf),
//            negative (alpha is -1)
//   STORES   ordinary, streaming (non-temporal), in_place (ordinary, over the first input)
//
// The ceiling of elu is copy, of elu_backward add, of the same type, size and number of threads.
// Bytes per second count what the function has to move: elu one read and one write,
// elu_backward two reads and one write. The label is the instruction set that ran.
//
// On a shared machine, repetitions in random order keep a slow minute from one benchmark:
//   --benchmark_repetitions=9 --benchmark_enable_random_interleaving=true
//   --benchmark_report_aggregates_only=true
// All sizes of all types take 2.9 GB of memory; a size is made when it is first measured.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "ceiling.hpp"
#include "elulayer/cpu_info.hpp"
#include "elulayer/elulayer.hpp"

namespace {

using bench::Stores;
using elulayer::Shape;

// A type is added by an ElementType and a place in ElementTypes. `from` need not round well: what
// it gives is only timed.
template <class T>
struct ElementType;
template <>
struct ElementType<float> {
  static constexpr const char* name = "float32";
  static float from(float value) { return value; }
};
template <>
struct ElementType<double> {
  static constexpr const char* name = "float64";
  static double from(float value) { return static_cast<double>(value); }
};
template <>
struct ElementType<elulayer::bfloat16> {
  static constexpr const char* name = "bfloat16";
  static elulayer::bfloat16 from(float value) {
    return {static_cast<std::uint16_t>(bits_of(value) >> 16)};
  }
  static std::uint32_t bits_of(float value) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
  }
};
template <>
struct ElementType<elulayer::float16> {
  static constexpr const char* name = "float16";
  // Truncated; 0 below the normal numbers, infinity above them.
  static elulayer::float16 from(float value) {
    const std::uint32_t bits = ElementType<elulayer::bfloat16>::bits_of(value);
    const std::uint32_t magnitude = bits & 0x7fffffff;
    const std::uint32_t normal = (magnitude - (112u << 23)) >> 13;
    const std::uint32_t finite = magnitude < (113u << 23) ? 0 : normal;
    const std::uint32_t half = magnitude < (143u << 23) ? finite : 0x7c00;
    return {static_cast<std::uint16_t>(half | (bits >> 16 & 0x8000))};
  }
};

template <class... T>
struct TypeList {};
using ElementTypes = TypeList<float, double, elulayer::bfloat16, elulayer::float16>;

template <class T>
using Alpha = elulayer::Arithmetic<T>;

struct Layout {
  const char* name;
  Shape shape;
};

// In the order of their sizes: those of one size share their inputs and their ceilings.
constexpr Layout layouts[] = {
    {"row", {1, 1, 1 << 10}},
    {"row", {1, 1, 1 << 13}},
    // 39200 elements: rows of a channel that are short, in the second-level cache.
    {"row", {1, 8, 4900}},
    {"NCHW", {100, 8, 49}},
    {"NCHW", {49, 8, 100}},
    {"NCHW", {25, 8, 196}},
    {"row", {1, 1, 1 << 16}},
    {"NCHW", {32, 8, 256}},
    {"row", {1, 1, 1 << 19}},
    // (128, 20, 24, 24)
    {"row", {1, 20, 128 * 24 * 24}},
    {"NCHW", {128, 20, 24 * 24}},
    {"NHWC", {128 * 24 * 24, 20, 1}},
    {"row", {1, 1, 1 << 22}},
    // 6272000 elements: short rows, out of cache.
    {"row", {1, 64, 98000}},
    {"NCHW", {2000, 64, 49}},
    {"NCHW", {980, 64, 100}},
    {"NCHW", {500, 64, 196}},
    // (32, 64, 56, 56)
    {"row", {1, 64, 32 * 56 * 56}},
    {"NCHW", {32, 64, 56 * 56}},
    {"NHWC", {32 * 56 * 56, 64, 1}},
    {"row", {1, 1, 1 << 25}},
};

constexpr std::int64_t size_of(Shape shape) { return shape.outer * shape.channels * shape.inner; }

// An array of whole cache lines, every page of it written.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::int64_t size) {
    const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(T);
    const std::size_t lines = (bytes + bench::cache_line - 1) / bench::cache_line;
    const std::size_t count = lines * bench::cache_line / sizeof(T);
    void* memory = ::operator new(count * sizeof(T), alignment);
    data_.reset(static_cast<T*>(memory));
    std::uninitialized_fill_n(data_.get(), count, T{});
  }

  T* data() const { return data_.get(); }

 private:
  static constexpr std::align_val_t alignment{bench::cache_line};
  struct Delete {
    void operator()(T* p) const { ::operator delete(p, alignment); }
  };
  std::unique_ptr<T, Delete> data_;
};

// The arrays of one size. x and grad are never written after they are made.
template <class T>
struct Arrays {
  Buffer<T> x;
  Buffer<T> grad;
  Buffer<T> out;

  explicit Arrays(std::int64_t size) : x(size), grad(size), out(size) {
    std::mt19937_64 engine(static_cast<std::uint64_t>(size));
    std::normal_distribution<float> normal;
    const auto draw = [&] { return ElementType<T>::from(normal(engine)); };
    std::generate_n(x.data(), size, draw);
    std::generate_n(grad.data(), size, draw);
  }
};

template <class T>
const Arrays<T>& arrays_of(std::int64_t size) {
  static std::map<std::int64_t, Arrays<T>> made;
  return made.try_emplace(size, size).first->second;
}

// Runs step() in the timed loop and reports its rates. It moves `arrays` arrays of the size.
template <class T, class Step>
void measure(benchmark::State& state, std::int64_t size, int arrays, const std::string& label,
             const Step& step) {
  using Clock = std::chrono::steady_clock;
  step();  // starts OpenMP's threads
  const Clock::time_point start = Clock::now();
  for ([[maybe_unused]] const auto _ : state) {
    step();
  }
  const std::chrono::duration<double, std::nano> elapsed = Clock::now() - start;
  const std::int64_t elements = state.iterations() * size;
  state.SetBytesProcessed(elements * arrays * static_cast<std::int64_t>(sizeof(T)));
  state.counters["ns_per_element"] = elapsed.count() / static_cast<double>(elements);
  state.SetLabel(label);
}

template <class T>
void run_elu(benchmark::State& state, Shape shape, bool in_place, int threads) {
  const std::int64_t size = size_of(shape);
  const Arrays<T>& arrays = arrays_of<T>(size);
  // With alpha = 1 values in place approach zero as -2 / n and do not become subnormal.
  const std::vector<Alpha<T>> alpha(static_cast<std::size_t>(shape.channels), 1.0f);
  T* z = arrays.out.data();
  std::copy_n(arrays.x.data(), size, z);
  const T* x = in_place ? z : arrays.x.data();
  measure<T>(state, size, 2, elulayer::cpu_info().active,
             [&] { elulayer::elu(x, alpha.data(), z, shape, threads); });
}

template <class T>
void run_elu_backward(benchmark::State& state, Shape shape, bool in_place, int threads) {
  const std::int64_t size = size_of(shape);
  const Arrays<T>& arrays = arrays_of<T>(size);
  const std::vector<Alpha<T>> alpha(static_cast<std::size_t>(shape.channels), 1.0f);
  std::vector<Alpha<T>> dalpha(alpha.size());
  T* dx = arrays.out.data();
  std::copy_n(arrays.x.data(), size, dx);
  // In place means over x: its values stay between grad and grad * exp(-|grad|), whereas those of
  // grad, multiplied by exp(x) again and again, would become subnormal.
  const T* x = in_place ? dx : arrays.x.data();
  const T* grad = arrays.grad.data();
  measure<T>(state, size, 3, elulayer::cpu_info().active, [&] {
    elulayer::elu_backward(grad, x, alpha.data(), dx, dalpha.data(), shape, threads);
  });
}

// Inputs that an ordinary network has few of.
enum class Inputs { deep, masked, negative };

template <class T>
void run_with(benchmark::State& state, Shape shape, Inputs inputs, bool backward, int threads) {
  const std::int64_t size = size_of(shape);
  const Arrays<T>& arrays = arrays_of<T>(size);
  std::vector<T> x(arrays.x.data(), arrays.x.data() + size);
  if (inputs != Inputs::negative) {
    const float deep = sizeof(Alpha<T>) == sizeof(double) ? -700.0f : -100.0f;
    const float value = inputs == Inputs::deep ? deep : -std::numeric_limits<float>::infinity();
    std::mt19937_64 engine(1);
    for (T& element : x) {
      element = engine() % (inputs == Inputs::deep ? 1024 : 2) == 0 ? ElementType<T>::from(value)
                                                                    : element;
    }
  }
  const std::vector<Alpha<T>> alpha(static_cast<std::size_t>(shape.channels),
                                    inputs == Inputs::negative ? -1.0f : 1.0f);
  std::vector<Alpha<T>> dalpha(alpha.size());
  T* out = arrays.out.data();
  const T* grad = arrays.grad.data();
  if (backward) {
    measure<T>(state, size, 3, elulayer::cpu_info().active, [&] {
      elulayer::elu_backward(grad, x.data(), alpha.data(), out, dalpha.data(), shape, threads);
    });
  } else {
    measure<T>(state, size, 2, elulayer::cpu_info().active,
               [&] { elulayer::elu(x.data(), alpha.data(), out, shape, threads); });
  }
}

template <class T>
void run_copy(benchmark::State& state, std::int64_t size, Stores stores, bool in_place,
              int threads) {
  const Arrays<T>& arrays = arrays_of<T>(size);
  const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(T);
  T* out = arrays.out.data();
  const T* in = in_place ? out : arrays.x.data();
  measure<T>(state, size, 2, bench::ceiling_vectors(),
             [&] { bench::copy(in, out, bytes, threads, stores); });
}

template <class T>
void run_add(benchmark::State& state, std::int64_t size, Stores stores, bool in_place,
             int threads) {
  const Arrays<T>& arrays = arrays_of<T>(size);
  const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(T);
  T* out = arrays.out.data();
  const T* a = in_place ? out : arrays.x.data();
  const T* b = arrays.grad.data();
  measure<T>(state, size, 3, bench::ceiling_vectors(),
             [&] { bench::add(a, b, out, bytes, threads, stores); });
}

template <class Function>
void add_benchmark(const std::string& name, Function function) {
  benchmark::RegisterBenchmark(name.c_str(), function)
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

// "/TYPE/size:ELEMENTS"
template <class T>
std::string type_and_size(std::int64_t size) {
  return std::string("/") + ElementType<T>::name + "/size:" + std::to_string(size);
}

// "/TYPE/size:ELEMENTS/LAYOUT:OUTERxCHANNELSxINNER"
template <class T>
std::string name_of(const Layout& layout) {
  const auto& [outer, channels, inner] = layout.shape;
  return type_and_size<T>(size_of(layout.shape)) + "/" + layout.name + ":" + std::to_string(outer) +
         "x" + std::to_string(channels) + "x" + std::to_string(inner);
}

template <class T>
void add_ceilings(std::int64_t size, int threads) {
  struct Variant {
    const char* name;
    Stores stores;
    bool in_place;
  };
  constexpr Variant variants[] = {
      {"/ordinary", Stores::ordinary, false},
      {"/streaming", Stores::streaming, false},
      {"/in_place", Stores::ordinary, true},
  };
  for (const Variant& variant : variants) {
    const Stores stores = variant.stores;
    const bool in_place = variant.in_place;
    if (stores == Stores::streaming && !bench::have_streaming_stores()) {
      continue;
    }
    const std::string name =
        type_and_size<T>(size) + variant.name + "/num_threads:" + std::to_string(threads);
    add_benchmark("copy" + name, [=](benchmark::State& state) {
      run_copy<T>(state, size, stores, in_place, threads);
    });
    add_benchmark("add" + name, [=](benchmark::State& state) {
      run_add<T>(state, size, stores, in_place, threads);
    });
  }
}

template <class T>
void add_layout(const Layout& layout, int threads) {
  const Shape shape = layout.shape;
  for (const bool in_place : {false, true}) {
    const std::string name = name_of<T>(layout) + (in_place ? "/in_place" : "/out_of_place") +
                             "/num_threads:" + std::to_string(threads);
    add_benchmark("elu" + name,
                  [=](benchmark::State& state) { run_elu<T>(state, shape, in_place, threads); });
    add_benchmark("elu_backward" + name, [=](benchmark::State& state) {
      run_elu_backward<T>(state, shape, in_place, threads);
    });
  }
}

// In cache, on one thread: long rows, short ones, and rows that are half a run of floats.
constexpr Layout layouts_with_inputs[] = {
    {"NCHW", {100, 8, 49}},
    {"row", {1, 1, 1 << 16}},
    {"NCHW", {32, 8, 256}},
};

template <class T>
void add_inputs() {
  struct Variant {
    const char* name;
    Inputs inputs;
  };
  constexpr Variant variants[] = {
      {"/deep", Inputs::deep}, {"/masked", Inputs::masked}, {"/negative", Inputs::negative}};
  for (const Layout& layout : layouts_with_inputs) {
    const Shape shape = layout.shape;
    for (const auto& [variant, inputs] : variants) {
      const std::string name = name_of<T>(layout) + variant + "/num_threads:1";
      for (const bool backward : {false, true}) {
        add_benchmark((backward ? "elu_backward" : "elu") + name,
                      [shape, inputs = inputs, backward](benchmark::State& state) {
                        run_with<T>(state, shape, inputs, backward, 1);
                      });
      }
    }
  }
}

// The library takes fewer threads than it is given for an array that is small; this many elements
// for each thread are enough.
constexpr std::int64_t elements_per_thread = 1 << 15;

template <class T>
void add_type(int all_threads) {
  std::int64_t previous_size = 0;
  for (const Layout& layout : layouts) {
    const std::int64_t size = size_of(layout.shape);
    std::vector<int> thread_counts{1};
    if (all_threads > 1 && size / all_threads >= elements_per_thread) {
      thread_counts.push_back(all_threads);
    }
    for (const int threads : thread_counts) {
      if (size != previous_size) {
        add_ceilings<T>(size, threads);
      }
      add_layout<T>(layout, threads);
    }
    previous_size = size;
  }
  add_inputs<T>();
}

template <class... T>
void add_types(TypeList<T...>, int all_threads) {
  (add_type<T>(all_threads), ...);
}

std::string last_level_cache() {
  int level = 0;
  int bytes = 0;
  for (const benchmark::CPUInfo::CacheInfo& cache : benchmark::CPUInfo::Get().caches) {
    if (cache.level > level) {
      level = cache.level;
      bytes = cache.size;
    }
  }
  return level == 0 ? "unknown" : std::to_string(bytes);
}

void add_context(const elulayer::CpuInfo& info) {
  benchmark::AddCustomContext("elulayer_version", ELULAYER_VERSION);
  benchmark::AddCustomContext("instruction_set", info.active);
  benchmark::AddCustomContext("openmp", info.openmp.empty() ? "none" : info.openmp);
  benchmark::AddCustomContext("all_threads", std::to_string(info.threads));
  benchmark::AddCustomContext("ceiling_vectors", bench::ceiling_vectors());
  benchmark::AddCustomContext("last_level_cache_bytes", last_level_cache());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
      return 1;
    }
    const elulayer::CpuInfo info = elulayer::cpu_info();
    add_context(info);
    add_types(ElementTypes{}, info.threads);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "elu_benchmark: %s\n", error.what());
    return 1;
  }
  return 0;
}
