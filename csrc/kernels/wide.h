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

// The sum over the depth; next() gives B(k, 0) for one k after the other. Planes of 7 x 7 have no
// other lanes, and each row of their weights is read once: the next R rows are fetched meanwhile.
template <class T, int R, class Next>
FC_INLINE void wide_sum(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t b_panel, Next& next,
                        const Beside<T>& beside, Vec<T> (&acc)[R][kWideVectors]) {
  constexpr int L = kLanes<T>;
  const ptrdiff_t depth = g.depth;
  const T* const a = g.a + row * g.a_row;
  RowsOfA<T, R> rows(a, g.a_row);
  ptrdiff_t k = 0;
  if (g.a_contiguous) {
    rows.move_to(a + g.a_off[0]);
    const ptrdiff_t ahead = R * g.a_row;
    const T* lane = beside.lane;
    T* const sums = beside.sums;
    for (; k + L <= depth; k += L) {
      FC_UNROLL for (int i = 0; i < R; ++i) __builtin_prefetch(rows.at(i, ahead), 0, 3);
      if (lane) {
        const Vec<T> b = load(lane);
        lane += L;
        FC_UNROLL for (int i = 0; i < R; ++i) {
          store(sums + i * L, fma(load(rows.at(i, 0)), b, load(sums + i * L)));
        }
      }
      for (int i = 0; i < L; ++i) {
        rows.keep();
        step<T, R, kWideVectors>(rows, 0, next(), b_panel, acc);
        rows.advance(1);
      }
    }
  }
  for (; k < depth; ++k) {
    rows.move_to(a + g.a_off[k]);
    step<T, R, kWideVectors>(rows, 0, next(), b_panel, acc);
  }
}

// R rows x 3 vectors of C, over lanes [j, end), from a panel and a half at g.b.
template <class T, int R>
__attribute__((noinline)) void wide_tile(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t j,
                                         ptrdiff_t end, const Beside<T>& beside) {
  Vec<T> acc[R][kWideVectors];
  start<T, R, kWideVectors>(g, row, acc);
  const T* const b = g.b;
  const ptrdiff_t* off = g.b_off;
  const auto next = [b, &off]() FC_LAMBDA { return b + *off++; };
  wide_sum<T, R>(g, row, g.b_panel, next, beside, acc);
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
    const T* from = source + *off++;
    FC_UNROLL for (int v = 0; v < kWideVectors; ++v) {
      store(panel + v / kTileVectors * b_panel + v % kTileVectors * L, load(from + v * L));
    }
    panel += kTileLanes<T>;
    return from;
  };
  wide_sum<T, R>(g, 0, kTileLanes<T>, next, beside, acc);
  finish<T, R, kWideVectors>(g, 0, j, j + kWideVectors * L, acc);
}

}  // namespace
}  // namespace fastconv
