// How a kernel goes through its tile: in runs of contiguous elements. Internal linkage only:
// compiled once for each instruction set.
//
// for_each_group gives a kernel the runs that have their alphas at the same places:
//
//   Pieces     of the rows of one channel, where rows are longer than a run
//   Patterns   whole rows side by side, as many as a run holds, of all channels of the tile, so
//              that element i of each has the same channel
#pragma once

#include "cpu/block.hpp"
#include "cpu/sums.hpp"

// A loop over a run is a function of its own: so the symbol table and the compilers' reports name
// it with its types, and tests/native/test_vectorization.py can tell that each is vectorized.
// Aligned, so that its time does not depend on what lies before it.
#define ELULAYER_LOOP __attribute__((noinline, aligned(64)))

namespace elulayer::cpu {
namespace {

// n, which is not less than 1: compilers and analysers need not think of empty runs.
template <class N>
N not_empty(N n) {
  if (n < 1) {
    __builtin_unreachable();
  }
  return n;
}

// The number of elements of a run of at most `most`, where `left` are left.
inline int run_length(int64_t left, int most) {
  return not_empty(left) < most ? static_cast<int>(left) : most;
}

// A value for each element of a run: one for all, or an array. Loops are given its view(), which
// begins at an element.
template <class V>
struct Uniform {
  static constexpr int capacity = 1;
  V value;
  void set(int, const V& v) { value = v; }
  Uniform view(int = 0) const { return *this; }
  const V& operator[](int) const { return value; }
};

template <class V, size_t size>
struct Pattern {
  static constexpr int capacity = size;
  alignas(64) V values[size];
  void set(int i, const V& v) { values[i] = v; }
  const V* view(int first = 0) const { return values + first; }
};

template <class T>
struct Pieces {
  const Tile& tile;
  int64_t first_channel;  // the one of the tile's channels that these are of

  template <class V>
  using Values = Uniform<V>;

  // values[i] = value(the channel of element i)
  template <class V, class Value>
  void fill(V& values, const Value& value) const {
    const auto of_channel = value(tile.first_channel + first_channel);
    for (int i = 0; i < V::capacity; ++i) {
      values.set(i, of_channel);
    }
  }

  // Calls body(at, n) for each run: its place in the array, and its length.
  template <class Body>
  void for_each_run(const Body& body) const {
    for (int64_t n = 0; n < tile.outers; ++n) {
      const int64_t row = tile.offset + n * tile.outer_stride + first_channel * tile.channel_stride;
      for (int64_t i = 0; i < tile.inner; i += max_run<T>) {
        body(row + i, run_length(tile.inner - i, max_run<T>));
      }
    }
  }

  // The runs that backward computes together, and the lanes that it adds their terms in.
  static constexpr int runs_of_block = 1;
  static constexpr size_t max_lanes = 16;
  static constexpr int lanes() { return static_cast<int>(max_lanes); }
  // Of a part of a run that begins at an element that is a multiple of the lanes.
  static constexpr int first_lane(int) { return 0; }
  static constexpr int lanes_of_part(int) { return lanes(); }
  // Lane (r * channels() + c) * lanes_of_channel() + l is of channel c, for each r < repeats().
  static constexpr int repeats() { return 1; }
  static constexpr int channels() { return 1; }
  static constexpr int lanes_of_channel() { return lanes(); }
};

template <class T>
struct Patterns {
  const Tile& tile;
  static constexpr int64_t first_channel = 0;

  template <class V>
  using Values = Pattern<V, max_run<T>>;

  template <class V, class Value>
  void fill(V& values, const Value& value) const {
    int i = 0;
    for (int c = 0; c < channels(); ++c) {
      const auto of_channel = value(tile.first_channel + c);
      for (int l = 0; l < lanes_of_channel(); ++l) {
        values.set(i++, of_channel);
      }
    }
    for (; i < V::capacity; i *= 2) {
      const int n = i < V::capacity - i ? i : V::capacity - i;
      __builtin_memcpy(values.values + i, values.values,
                       sizeof *values.values * static_cast<size_t>(n));
    }
  }

  template <class Body>
  void for_each_run(const Body& body) const {
    const int64_t row = tile.channels * tile.inner;
    const int width = lanes();
    for (int64_t n = 0; n < tile.outers; n += tile.outers_per_run) {
      body(tile.offset + n * tile.outer_stride, run_length((tile.outers - n) * row, width));
    }
  }

  static constexpr int runs_of_block = terms_per_lane;
  static constexpr size_t max_lanes = max_run<T>;
  int lanes() const { return repeats() * channels() * lanes_of_channel(); }
  static int first_lane(int element) { return element; }
  static int lanes_of_part(int size) { return size; }
  int repeats() const { return not_empty(static_cast<int>(tile.outers_per_run)); }
  int channels() const { return not_empty(static_cast<int>(tile.channels)); }
  int lanes_of_channel() const { return not_empty(static_cast<int>(tile.inner)); }
};

// Calls kernel(runs) for each group of a tile's runs.
template <class T, class Kernel>
void for_each_group(const Tile& tile, const Kernel& kernel) {
  if (!tile.has_long_rows) {
    kernel(Patterns<T>{tile});
    return;
  }
  for (int64_t c = 0; c < tile.channels; ++c) {
    kernel(Pieces<T>{tile, c});
  }
}

// Calls body(at, alphas, n) for each run of a tile, with the alphas of its elements.
template <class T, class Body>
void for_each_run_with_alphas(const Tile& tile, const T* alpha, const Body& body) {
  if (!tile.has_long_rows && tile.channels * tile.inner > max_run<T>) {
    // Rows longer than a run, of one element a channel.
    for (int64_t n = 0; n < tile.outers; ++n) {
      for (int64_t c = 0; c < tile.channels; c += max_run<T>) {
        body(tile.offset + n * tile.outer_stride + c, alpha + tile.first_channel + c,
             run_length(tile.channels - c, max_run<T>));
      }
    }
    return;
  }
  for_each_group<T>(tile, [&](auto runs) {
    typename decltype(runs)::template Values<T> alphas;
    runs.fill(alphas, [&](int64_t c) { return alpha[c]; });
    // Short beside the call that g++ would make of it, because of its arrays.
    runs.for_each_run([&](int64_t at, int n)
                          __attribute__((always_inline)) { body(at, alphas.view(), n); });
  });
}

struct Run {
  int64_t at;
  int n;
};

// Calls body(runs, count) for blocks of up to runs_of_block runs.
template <class Runs, class Body>
void for_each_block(const Runs& runs, const Body& body) {
  Run block[Runs::runs_of_block];
  int count = 0;
  runs.for_each_run([&](int64_t at, int n) {
    block[count++] = {at, n};
    if (count == Runs::runs_of_block) {
      body(block, count);
      count = 0;
    }
  });
  if constexpr (Runs::runs_of_block > 1) {
    if (count > 0) {
      body(block, count);
    }
  }
}

// Adds up the lanes of each channel: the tile's partial sums.
template <class Runs, class T, size_t capacity>
void add_up(const Runs& runs, const Lanes<T, capacity>& lanes, Sum<T>* partials) {
  const int size = runs.lanes_of_channel();
  for (int c = 0; c < runs.channels(); ++c) {
    Sum<T> sum{};
    for (int r = 0; r < runs.repeats(); ++r) {
      for (int l = 0; l < size; ++l) {
        sum = add(sum, lanes[(r * runs.channels() + c) * size + l]);
      }
    }
    partials[runs.tile.first_partial + runs.first_channel + c] = sum;
  }
}

}  // namespace
}  // namespace elulayer::cpu
