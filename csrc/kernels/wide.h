// The tile for three vectors of lanes that are left over, and the lone lane beside it.
#pragma once

#include "tile.h"

namespace fastconv {
namespace {

// Rows and vectors of the tile for three vectors of lanes that are left over: half a panel of its
// own would load as much as it multiplies.
constexpr int kWideVectors = 3;
constexpr int kWideRows = kRegisters == 32 ? 9 : 4;

// The lone lane beside a wide tile: its values, contiguous along the depth, and a vector of partial
// sums for each row. Without one `lane` is null.
template <class T>
struct Beside {
  const T* lane;
  T* sums;
};

// The sum over the depth: whole vectors of it, `whole` steps, with B's rows from next(), where A is
// contiguous; then B's row k from rest(k). Planes of 7 x 7 have no other lanes, and each row of
// their weights is read once: the next R rows are fetched meanwhile.
template <class T, int R, class Next, class Rest>
FC_INLINE void wide_sum(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t whole, Next& next,
                        const Rest& rest, const Beside<T>& beside, Vec<T> (&acc)[R][kWideVectors]) {
  constexpr int L = kLanes<T>;
  const T* const a = g.a + row * g.a_row;
  RowsOfA<T, R> rows(a + g.a_off[0], g.a_row);
  const ptrdiff_t ahead = R * g.a_row;
  const T* lane = beside.lane;
  T* const sums = beside.sums;
  ptrdiff_t k = 0;
  for (; k < whole; k += L) {
    FC_UNROLL for (int i = 0; i < R; ++i) __builtin_prefetch(rows.at(i, ahead), 0, 3);
    if (lane) {
      const Vec<T> b = load(lane);
      lane += L;
      FC_UNROLL for (int i = 0; i < R; ++i) {
        store(sums + i * L, fma(load(rows.at(i, 0)), b, load(sums + i * L)));
      }
    }
    for (int i = 0; i < L; i += 2) {
      rows.keep();
      step<T, R, kWideVectors>(rows, 0, next(), acc);
      step<T, R, kWideVectors>(rows, 1, next(), acc);
      rows.advance(2);
    }
  }
  for (; k < g.depth; ++k) {
    rows.move_to(a + g.a_off[k]);
    step<T, R, kWideVectors>(rows, 0, rest(k), acc);
  }
}

// The steps of the depth that are whole vectors.
template <class T>
FC_INLINE ptrdiff_t whole_vectors(ptrdiff_t depth) {
  return depth / kLanes<T> * kLanes<T>;
}

// Whether B's rows follow each other in their panel: some phases of a stride skip some. A strip's
// rows are no panel's, whatever the first and the last of them are apart.
template <class T>
FC_INLINE bool dense(const GemmBlock<T>& g) {
  const ptrdiff_t last = g.depth - 1;
  const bool strip = g.b_panel == kTileLanes<T>;
  return !strip && g.b_off[last] - g.b_off[0] == last * kTileLanes<T>;
}

// R rows x 3 vectors of C, over lanes [j, end), from a panel and a half at g.b.
template <class T, int R>
__attribute__((noinline)) void wide_tile(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t j,
                                         ptrdiff_t end, const Beside<T>& beside) {
  Vec<T> acc[R][kWideVectors];
  start<T, R, kWideVectors>(g, row, acc);
  // Without the table, two steps fit the registers.
  const bool whole = g.a_contiguous && dense(g);
  const T* b = g.b + g.b_off[0];
  const T* half = b + g.b_panel;
  const auto next = [&b, &half]() FC_LAMBDA {
    RowOfB<T, kWideVectors> x = {load(b), load(b + kLanes<T>), load(half)};
    FC_UNROLL for (int v = 0; v < kWideVectors; ++v) pin(x.v[v]);
    b += kTileLanes<T>;
    half += kTileLanes<T>;
    return x;
  };
  const auto rest = [&g](ptrdiff_t k) FC_LAMBDA {
    return row_of_b<T, kWideVectors>(g.b + g.b_off[k], g.b_panel);
  };
  bool summed = false;
  if constexpr (kRuns<T>) {
    summed = g.run > 0 && !beside.lane;
    if (summed) sum_runs<T, R>(g, row, g.b, acc);
  }
  if (!summed) {
    wide_sum<T, R>(g, row, whole ? whole_vectors<T>(g.depth) : 0, next, rest, beside, acc);
  }
  finish<T, R, kWideVectors>(g, row, j, end, acc);
}

// The first rows of lanes [j, j + 3 vectors), read from the source and packed on the way.
template <class T, int R>
__attribute__((noinline)) void wide_packing(const GemmBlock<T>& g, ptrdiff_t j,
                                            const Beside<T>& beside) {
  constexpr int L = kLanes<T>;
  Vec<T> acc[R][kWideVectors];
  start<T, R, kWideVectors>(g, 0, acc);
  const T* const source = g.source + j;
  const ptrdiff_t* off = g.source_off;
  T* panel = g.panel;
  const ptrdiff_t b_panel = g.b_panel;
  const auto next = [=, &off, &panel]() FC_LAMBDA {
    const auto row = row_of_b<T, kWideVectors>(source + *off++, kTileLanes<T>);
    FC_UNROLL for (int v = 0; v < kWideVectors; ++v) {
      store(panel + v / kTileVectors * b_panel + v % kTileVectors * L, row.v[v]);
    }
    panel += kTileLanes<T>;
    return row;
  };
  const auto rest = [&next](ptrdiff_t) FC_LAMBDA { return next(); };
  wide_sum<T, R>(g, 0, g.a_contiguous ? whole_vectors<T>(g.depth) : 0, next, rest, beside, acc);
  finish<T, R, kWideVectors>(g, 0, j, j + kWideVectors * L, acc);
}

}  // namespace
}  // namespace fastconv
