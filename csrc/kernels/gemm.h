// The block around the register tile: rows in groups of a tile's height, lanes in panels.
#pragma once

#include <utility>

#include "tile.h"

namespace fastconv {
namespace {

template <class T>
using TilesFn = void (*)(const GemmBlock<T>&, ptrdiff_t, ptrdiff_t, ptrdiff_t);

template <class T, int NV, int R>
FC_INLINE TilesFn<T> pick_tiles(ptrdiff_t rows) {
  if constexpr (R == 1) {
    return tiles<T, 1, NV>;
  } else {
    return rows == R ? tiles<T, R, NV> : pick_tiles<T, NV, R - 1>(rows);
  }
}

// Rows are split evenly, so that no group is much smaller than the tile.
struct RowGroups {
  ptrdiff_t rows, count;
  explicit RowGroups(ptrdiff_t n) : rows(n), count((n + kTileRows - 1) / kTileRows) {}
  ptrdiff_t begin(ptrdiff_t i) const { return rows * i / count; }
};

// All lanes for one group of rows, the A panel staying in L1.
template <class T>
FC_INLINE void row_group(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t rows) {
  constexpr int L = kLanes<T>;
  constexpr int NR = kTileLanes<T>;
  ptrdiff_t j = 0;
  // Few rows leave accumulators idle: two panels at a time keep the FMA pipes full.
  if (rows <= kTileRows / 2 && g.lanes > NR) {
    const ptrdiff_t rest = g.lanes % (2 * NR);
    j = rest > NR || rest == 0 ? g.lanes : g.lanes - rest;
    pick_tiles<T, 2 * kTileVectors, kTileRows / 2>(rows)(g, row, 0, j);
  }
  if (j == g.lanes) return;
  // A last vector of its own costs half of a whole tile.
  const ptrdiff_t rest = (g.lanes - j) % NR;
  const ptrdiff_t end = rest > 0 && rest <= L ? g.lanes - rest : g.lanes;
  if (j < end) pick_tiles<T, kTileVectors, kTileRows>(rows)(g, row, j, end);
  if (end < g.lanes) pick_tiles<T, 1, kTileRows>(rows)(g, row, end, g.lanes);
}

template <class T, int N, int... I>
FC_INLINE Vec<T> rotate(Vec<T> v, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(v, v, ((I + N) % kLanes<T>)...);
}

// The sum of v's lanes, by halves.
template <class T, int N = kLanes<T> / 2>
FC_INLINE T total(Vec<T> v) {
  v += rotate<T, N>(v, std::make_integer_sequence<int, kLanes<T>>{});
  if constexpr (N > 1) {
    return total<T, N / 2>(v);
  } else {
    return v[0];
  }
}

// The depth of a dot product that keeps its lane of B on the stack.
constexpr ptrdiff_t kLoneDepth = 512;

// Rows [row, row + R) of lane j: dot products of A's rows, contiguous, with `lane`.
template <class T, int R>
FC_INLINE void lone_rows(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t j, const T* lane) {
  constexpr int L = kLanes<T>;
  const T* a = g.a + row * g.a_row + g.a_off[0];
  Vec<T> acc[R];
  FC_UNROLL for (int i = 0; i < R; ++i) acc[i] = Vec<T>{};
  ptrdiff_t k = 0;
  for (; k + L <= g.depth; k += L) {
    const Vec<T> b = load(lane + k);
    FC_UNROLL for (int i = 0; i < R; ++i) acc[i] = fma(load(a + i * g.a_row + k), b, acc[i]);
  }
  if (k < g.depth) {
    const int part = static_cast<int>(g.depth - k);
    const Vec<T> b = load_part(lane + k, part);
    FC_UNROLL for (int i = 0; i < R; ++i) {
      acc[i] = fma(load_part(a + i * g.a_row + k, part), b, acc[i]);
    }
  }
  FC_UNROLL for (int i = 0; i < R; ++i) {
    T v = total<T>(acc[i]);
    if (g.bias_row) v += g.bias_row[row + i];
    T* c = g.c + (row + i) * g.c_row + j;
    if (g.accumulate) v += *c;
    if (g.bias_lane) v += g.bias_lane[j];
    if (g.residual) v += g.residual[(row + i) * g.residual_row + j];
    if (g.clamped) {
      v = v < g.lo ? g.lo : v;
      v = v > g.hi ? g.hi : v;
    }
    *c = v;
  }
}

template <class T>
void lone_group(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t j, const T* lane) {
  ptrdiff_t i = 0;
  for (; i + 4 <= rows; i += 4) lone_rows<T, 4>(g, row + i, j, lane);
  for (; i < rows; ++i) lone_rows<T, 1>(g, row + i, j, lane);
}

template <class T>
void packed_block(const GemmBlock<T>& given) {
  constexpr int NR = kTileLanes<T>;
  GemmBlock<T> g = given;
  const bool lone = g.lone_lane && g.a_contiguous && g.depth <= kLoneDepth;
  T lane[kLoneDepth];
  if (lone) {
    const ptrdiff_t j = --g.lanes;
    const T* b = g.b + j / NR * g.b_panel + j % NR;
    for (ptrdiff_t k = 0; k < g.depth; ++k) lane[k] = b[g.b_off[k]];
  }
  const RowGroups groups(g.rows);
  for (ptrdiff_t i = 0; i < groups.count; ++i) {
    const ptrdiff_t r0 = groups.begin(i), rows = groups.begin(i + 1) - r0;
    row_group(g, r0, rows);
    if (lone) lone_group(g, r0, rows, g.lanes, lane);
  }
}

template <class T>
using PackingFn = void (*)(const GemmBlock<T>&, ptrdiff_t);

template <class T, int R>
FC_INLINE PackingFn<T> pick_packing(ptrdiff_t rows) {
  if constexpr (R <= (kTileRows + 1) / 2) {  // two groups have no fewer
    return tile_packing<T, R>;
  } else {
    return rows == R ? tile_packing<T, R> : pick_packing<T, R - 1>(rows);
  }
}

template <class T>
using FetchingFn = void (*)(const GemmBlock<T>&, ptrdiff_t, ptrdiff_t, const T*);

template <class T, int R>
FC_INLINE FetchingFn<T> pick_fetching(ptrdiff_t rows) {
  if constexpr (R <= (kTileRows + 1) / 2) {  // two groups have no fewer
    return tile_fetching<T, R>;
  } else {
    return rows == R ? tile_fetching<T, R> : pick_fetching<T, R - 1>(rows);
  }
}

// Doubles pack their panels before: they have half as much to gain, and the code is not small.
template <class T>
constexpr bool kPacksOnTheWay = sizeof(T) == 4;

// Panel after panel, all rows of each: B is packed as the first group of rows reads it.
template <class T>
void unpacked_block(const GemmBlock<T>& given) {
  constexpr int NR = kTileLanes<T>;
  GemmBlock<T> g = given;
  const RowGroups groups(g.rows);
  const ptrdiff_t whole = g.lanes / NR * NR;
  if (groups.count == 1 && whole > 0) {
    g.b = g.source;
    g.b_panel = NR;
    g.b_off = g.source_off;
    g.lanes = whole;
    row_group(g, 0, g.rows);
  }
  g.b = g.panel;
  g.b_panel = 0;
  g.b_off = given.b_off;
  for (ptrdiff_t j = groups.count == 1 ? whole : 0; j < given.lanes; j += NR) {
    const bool full = j < whole;
    const ptrdiff_t end = full ? j + NR : given.lanes;
    ptrdiff_t i = 0;
    if constexpr (kPacksOnTheWay<T>) {
      if (full) {
        pick_packing<T, kTileRows>(groups.begin(1))(g, j);
        for (i = 1; i < groups.count && i <= kTileVectors; ++i) {
          const T* ahead = g.source + end + i * kLanes<T> - 1;
          pick_fetching<T, kTileRows>(groups.begin(i + 1) - groups.begin(i))(g, groups.begin(i), j,
                                                                             ahead);
        }
      }
    }
    if (i == 0) {
      const Segment segment{0, 0, end - j};
      pack_panel(g.source + j, g.source_off, g.depth, &segment, 1, g.panel);
    }
    for (; i < groups.count; ++i) {
      const ptrdiff_t r0 = groups.begin(i), rows = groups.begin(i + 1) - r0;
      const auto run = end - j > kLanes<T> ? pick_tiles<T, kTileVectors, kTileRows>(rows)
                                           : pick_tiles<T, 1, kTileRows>(rows);
      run(g, r0, j, end);
    }
  }
}

template <class T>
void gemm_block(const GemmBlock<T>& g) {
  if (g.source) {
    unpacked_block(g);
  } else {
    packed_block(g);
  }
}

}  // namespace
}  // namespace fastconv
