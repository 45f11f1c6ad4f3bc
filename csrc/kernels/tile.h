// The register tile: R rows x NV vectors of C = A B through offset tables (see contracts/gemm.h).
#pragma once

#include "../kernels.h"
#include "panel.h"
#include "rows_of_a.h"

namespace fastconv {
namespace {

// As many rows as leave registers for the two B vectors and one broadcast.
// AVX-512: 14 x 32, AVX2: 6 x 16, NEON: 14 x 8, SSE2: 6 x 8 (floats).
constexpr int kTileRows = kRegisters == 32 ? 14 : 6;

// B(k, 0) and the lanes after it, in registers.
template <class T, int NV>
struct RowOfB {
  Vec<T> v[NV];
};

// Read at b, and at the panels after it.
template <class T, int NV>
FC_INLINE RowOfB<T, NV> row_of_b(const T* b, ptrdiff_t b_panel) {
  RowOfB<T, NV> row;
  FC_UNROLL for (int v = 0; v < NV; ++v) {
    row.v[v] = load(b + (v / kTileVectors) * b_panel + (v % kTileVectors) * kLanes<T>);
    pin(row.v[v]);
  }
  return row;
}

// Index k of the depth, counted from the bases of A.
template <class T, int R, int NV>
FC_INLINE void step(const RowsOfA<T, R>& a, ptrdiff_t k, const RowOfB<T, NV>& b,
                    Vec<T> (&acc)[R][NV]) {
  FC_UNROLL for (int i = 0; i < R; ++i) {
    Vec<T> x = splat(*a.at(i, k));
    if constexpr (NV > kTileVectors) {
      pin(x);  // or each product would broadcast it anew
      FC_UNROLL for (int v = 0; v < NV; ++v) accumulate<T>(acc[i][v], x, b.v[v]);
    } else {
      FC_UNROLL for (int v = 0; v < NV; ++v) acc[i][v] = fma(x, b.v[v], acc[i][v]);
    }
  }
}

// acc += A B over the whole depth. next(k) is run before each step and gives B's row k; between()
// is run once every two steps.
template <class T, int R, int NV, class Next, class Between>
FC_INLINE void sum(const GemmBlock<T>& g, ptrdiff_t row, const Next& next, Between&& between,
                   Vec<T> (&acc)[R][NV]) {
  const T* const a = g.a + row * g.a_row;
  const ptrdiff_t depth = g.depth;
  const ptrdiff_t* a_off = g.a_off;
  RowsOfA<T, R> rows(a, g.a_row);
  ptrdiff_t k = 0;
  if (g.a_contiguous) {
    rows.move_to(a + a_off[0]);
    for (; k + 2 <= depth; k += 2) {
      rows.keep();
      between();
      step<T, R, NV>(rows, 0, next(k), acc);
      step<T, R, NV>(rows, 1, next(k + 1), acc);
      rows.advance(2);
    }
  }
  for (; k < depth; ++k) {
    rows.keep();
    rows.move_to(a + a_off[k]);
    step<T, R, NV>(rows, 0, next(k), acc);
  }
}

// acc += A B over a depth of runs; b is B(0, 0).
template <class T, int R, int NV>
FC_INLINE void sum_runs(const GemmBlock<T>& g, ptrdiff_t row, const T* b, Vec<T> (&acc)[R][NV]) {
  constexpr ptrdiff_t NR = kTileLanes<T>;
  const T* const a = g.a + row * g.a_row;
  const ptrdiff_t b_panel = g.b_panel, run = g.run, depth = g.depth;
  RowsOfA<T, R> rows(a, g.a_row);
  for (ptrdiff_t k = 0; k < depth; k += run) {
    rows.move_to(a + g.a_off[k]);
    const T* from = b + g.b_off[k];
    const T* const end = from + run / 2 * (2 * NR);
    for (; from != end; from += 2 * NR) {
      rows.keep();
      step<T, R, NV>(rows, 0, row_of_b<T, NV>(from, b_panel), acc);
      step<T, R, NV>(rows, 1, row_of_b<T, NV>(from + NR, b_panel), acc);
      rows.advance(2);
    }
    if (run & 1) step<T, R, NV>(rows, 0, row_of_b<T, NV>(from, b_panel), acc);
  }
}

// Where that is worth code of its own: for floats in wide registers, and many rows of them.
template <class T>
constexpr bool kRuns = sizeof(T) == 4 && (kVectorBytes >= 32 || kRegisters == 32);
template <class T, int R, int NV>
constexpr bool kSumsRuns = kRuns<T> && NV == kTileVectors && R >= kTileRows / 2;

// Nothing happens between two steps.
struct Nothing {
  FC_INLINE void operator()() const {}
};

// Lines that a tile fetches for later: more at a time than the first-level cache can wait for would
// hold up the sum.
template <class T>
struct Ahead {
  const T* from;
  const ptrdiff_t* off;
  FC_INLINE void operator()() { __builtin_prefetch(from + *off++, 0, 2); }
};

// Where the sums of R rows x NV vectors start.
template <class T, int R, int NV>
FC_INLINE void start(const GemmBlock<T>& g, ptrdiff_t row, Vec<T> (&acc)[R][NV]) {
  if (g.bias_row) {
    FC_UNROLL for (int i = 0; i < R; ++i) {
      const Vec<T> bias = splat(g.bias_row[row + i]);
      FC_UNROLL for (int v = 0; v < NV; ++v) acc[i][v] = bias;
    }
  } else {
    FC_UNROLL for (int i = 0; i < R; ++i) {
      FC_UNROLL for (int v = 0; v < NV; ++v) acc[i][v] = Vec<T>{};
    }
  }
}

// One row of sums into `lanes` lanes of C from j on, with all that may happen on the way.
template <class T>
FC_INLINE void join_row(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t j, ptrdiff_t lanes,
                        const T* sums) {
  constexpr int L = kLanes<T>;
  for (ptrdiff_t at = 0; at < lanes; at += L, j += L) {
    const int part = static_cast<int>(lanes - at < L ? lanes - at : L);
    const auto get = [part](const T* p)
                         FC_LAMBDA { return part == L ? load(p) : load_part(p, part); };
    T* const c = g.c + row * g.c_row + j;
    Vec<T> v = load(sums + at);
    if (g.accumulate) v += get(c);
    if (g.bias_lane) v += get(g.bias_lane + j);
    if (g.residual) v += get(g.residual + row * g.residual_row + j);
    if (g.clamped) v = clamp(v, splat(g.lo), splat(g.hi));
    part == L ? store(c, v) : store_part(c, v, part);
  }
}

// Whole tiles with their residual: not worth code in each shape of tile, but a loop without
// questions.
template <class T>
__attribute__((noinline)) void add_residual(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t rows,
                                            ptrdiff_t j, const T* sums) {
  constexpr int L = kLanes<T>;
  constexpr T infinity = __builtin_inf();
  const Vec<T> lo = splat(g.clamped ? g.lo : -infinity), hi = splat(g.clamped ? g.hi : infinity);
  T* c = g.c + row * g.c_row + j;
  const T* r = g.residual + row * g.residual_row + j;
  for (ptrdiff_t i = 0; i < rows; ++i, c += g.c_row, r += g.residual_row) {
    FC_UNROLL for (int v = 0; v < kTileVectors; ++v, sums += L) {
      store(c + v * L, clamp(load(sums) + load(r + v * L), lo, hi));
    }
  }
}

// Any tile but a whole one that is only stored: not worth its own code in each shape of tile.
template <class T>
__attribute__((noinline)) void join(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t rows,
                                    ptrdiff_t j, ptrdiff_t lanes, const T* sums, ptrdiff_t pitch) {
  for (ptrdiff_t i = 0; i < rows; ++i) join_row(g, row + i, j, lanes, sums + i * pitch);
}

// The sums into lanes [j, end) of C.
template <class T, int R, int NV>
FC_INLINE void finish(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t j, ptrdiff_t end,
                      const Vec<T> (&acc)[R][NV]) {
  constexpr ptrdiff_t L = kLanes<T>, pitch = NV * L;
  // Added up in place where that is worth its code: the chunks of a long sum, of whole tiles. So
  // are rectifiers.
  constexpr bool adds = NV >= kTileVectors && 2 * R > kTileRows, clamps = adds && sizeof(T) == 4;
  const bool plain = !(g.bias_lane || g.residual) && (adds || !g.accumulate) &&
                     (!g.clamped || (clamps && !g.accumulate));
  if (end - j >= pitch && plain) {
    T* const c = g.c + row * g.c_row + j;
    if (clamps && g.clamped) {
      const Vec<T> lo = splat(g.lo), hi = splat(g.hi);
      FC_UNROLL for (int i = 0; i < R; ++i) {
        FC_UNROLL for (int v = 0; v < NV; ++v) {
          store(c + i * g.c_row + v * L, clamp(acc[i][v], lo, hi));
        }
      }
      return;
    }
    if (adds && g.accumulate) {
      FC_UNROLL for (int i = 0; i < R; ++i) {
        FC_UNROLL for (int v = 0; v < NV; ++v) {
          T* const to = c + i * g.c_row + v * L;
          store(to, acc[i][v] + load(to));
        }
      }
      return;
    }
    FC_UNROLL for (int i = 0; i < R; ++i) {
      FC_UNROLL for (int v = 0; v < NV; ++v) store(c + i * g.c_row + v * L, acc[i][v]);
    }
    return;
  }
  alignas(64) T sums[R * pitch];
  FC_UNROLL for (int i = 0; i < R; ++i) {
    FC_UNROLL for (int v = 0; v < NV; ++v) store(sums + i * pitch + v * L, acc[i][v]);
  }
  if constexpr (kRuns<T> && NV == kTileVectors) {
    const bool alone = g.residual && !g.bias_lane && !g.accumulate;
    if (end - j >= pitch && alone) return add_residual(g, row, R, j, sums);
  }
  join(g, row, R, j, end - j < pitch ? end - j : pitch, sums, pitch);
}

// R rows x NV vectors of C, over lanes [j, end) in steps of the tile's width; the last may be
// narrower. NV > kTileVectors spans two adjacent panels of B. The accumulators must stay in
// registers, so every loop over them is fully unrolled, those after the sum too.
template <class T, int R, int NV>
__attribute__((noinline)) void tiles(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t j,
                                     ptrdiff_t end) {
  for (; j < end; j += NV * kLanes<T>) {
    Vec<T> acc[R][NV];
    start<T, R, NV>(g, row, acc);
    const T* const b = g.b + j / kTileLanes<T> * g.b_panel;
    const ptrdiff_t* const b_off = g.b_off;
    const ptrdiff_t b_panel = g.b_panel;
    const auto next = [=](ptrdiff_t k) FC_LAMBDA { return row_of_b<T, NV>(b + b_off[k], b_panel); };
    bool summed = false;
    if constexpr (kSumsRuns<T, R, NV>) {
      summed = g.run > 0;
      if (summed) sum_runs<T, R, NV>(g, row, b, acc);
    }
    if (!summed) sum<T, R, NV>(g, row, next, Nothing{}, acc);
    finish<T, R, NV>(g, row, j, end, acc);
  }
}

// The first rows of the panel at lane j, read from the source and packed on the way.
template <class T, int R>
__attribute__((noinline)) void tile_packing(const GemmBlock<T>& g, ptrdiff_t j,
                                            const Ahead<T>& given) {
  constexpr int L = kLanes<T>;
  Vec<T> acc[R][kTileVectors];
  start<T, R, kTileVectors>(g, 0, acc);
  const T* const source = g.source + j;
  const ptrdiff_t* const off = g.source_off;
  T* const panel = g.panel + j / kTileLanes<T> * g.b_panel;
  Ahead<T> ahead = given;
  const auto pack = [=](ptrdiff_t k) FC_LAMBDA {
    const auto row = row_of_b<T, kTileVectors>(source + off[k], 0);
    FC_UNROLL for (int v = 0; v < kTileVectors; ++v) {
      store(panel + k * kTileLanes<T> + v * L, row.v[v]);
    }
    return row;
  };
  sum<T, R, kTileVectors>(g, 0, pack, ahead, acc);
  finish<T, R, kTileVectors>(g, 0, j, j + kTileLanes<T>, acc);
}

// The first rows of a panel whose vectors are at most two runs of the source each.
constexpr int kMostRuns = 2;

template <class T, int R>
__attribute__((noinline)) void tile_gathering(const GemmBlock<T>& g) {
  constexpr int L = kLanes<T>;
  Vec<T> acc[R][kTileVectors];
  start<T, R, kTileVectors>(g, 0, acc);
  const Runs<T, kMostRuns> given(g.segments, g.segment_count);
  const Runs<T, kMostRuns> runs = given;  // a copy that the compiler can keep in registers
  const T* const source = g.source;
  const ptrdiff_t* const off = g.source_off;
  T* const panel = g.panel;
  const auto gather = [=](ptrdiff_t k) FC_LAMBDA {
    RowOfB<T, kTileVectors> row;
    FC_UNROLL for (int v = 0; v < kTileVectors; ++v) {
      row.v[v] = runs.get(source + off[k], v);
      pin(row.v[v]);
      store(panel + k * kTileLanes<T> + v * L, row.v[v]);
    }
    return row;
  };
  sum<T, R, kTileVectors>(g, 0, gather, Nothing{}, acc);
  finish<T, R, kTileVectors>(g, 0, 0, g.lanes, acc);
}

// Other rows of it.
template <class T, int R>
__attribute__((noinline)) void tile_fetching(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t j,
                                             const Ahead<T>& given) {
  Vec<T> acc[R][kTileVectors];
  start<T, R, kTileVectors>(g, row, acc);
  const T* const panel = g.panel + j / kTileLanes<T> * g.b_panel;
  Ahead<T> ahead = given;
  const auto fetch = [=](ptrdiff_t k) FC_LAMBDA {
    return row_of_b<T, kTileVectors>(panel + k * kTileLanes<T>, 0);
  };
  sum<T, R, kTileVectors>(g, row, fetch, ahead, acc);
  finish<T, R, kTileVectors>(g, row, j, j + kTileLanes<T>, acc);
}

}  // namespace
}  // namespace fastconv
