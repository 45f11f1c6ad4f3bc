// The register tile and the block around it: C = A B through offset tables (see kernels.h).
#pragma once

#include "../kernels.h"
#include "pack.h"
#include "vec.h"

namespace fastconv {
namespace {

// As many rows as leave registers for the two B vectors and one broadcast.
// AVX-512: 14 x 32, AVX2: 6 x 16, NEON: 14 x 8, SSE2: 6 x 8 (floats).
constexpr int kTileRows = kRegisters == 32 ? 14 : 6;

// Where a tile of C goes, and what happens to it on the way.
template <class T>
struct TileOut {
  T* c;
  ptrdiff_t c_row;
  const T* bias_row;
  const T* bias_lane;
  const T* residual;
  ptrdiff_t residual_row;
};

template <class T>
FC_INLINE void finish(const GemmBlock<T>& g, const TileOut<T>& o, ptrdiff_t row, int vec, Vec<T> v,
                      int part) {
  constexpr int L = kLanes<T>;
  const ptrdiff_t at = vec * L;
  T* c = o.c + row * o.c_row + at;
  const bool whole = part >= L;
  if (g.accumulate) v += whole ? load(c) : load_part(c, part);
  if (o.bias_row) v += splat(o.bias_row[row]);
  if (o.bias_lane) v += whole ? load(o.bias_lane + at) : load_part(o.bias_lane + at, part);
  if (o.residual) {
    const T* r = o.residual + row * o.residual_row + at;
    v += whole ? load(r) : load_part(r, part);
  }
  v = clamp(v, splat(g.lo), splat(g.hi));
  if (whole) {
    store(c, v);
  } else {
    store_part(c, v, part);
  }
}

// R rows x NV vectors. NV > kTileVectors spans two adjacent panels of B. `lanes` (at most
// NV * kLanes) are stored; the accumulators must stay in registers, so every loop over them is
// fully unrolled, the tail's too.
template <class T, int R, int NV>
__attribute__((noinline)) void tile(const GemmBlock<T>& g, const T* a, const T* b, TileOut<T> o,
                                    ptrdiff_t lanes) {
  constexpr int L = kLanes<T>;
  Vec<T> acc[R][NV];
  FC_UNROLL for (int i = 0; i < R; ++i) {
    FC_UNROLL for (int v = 0; v < NV; ++v) acc[i][v] = Vec<T>{};
  }
  const ptrdiff_t* a_off = g.a_off;
  const ptrdiff_t* b_off = g.b_off;
  const ptrdiff_t a_row = g.a_row, b_panel = g.b_panel, depth = g.depth;
  for (ptrdiff_t k = 0; k < depth; ++k) {
    const T* ak = a + a_off[k];
    const T* bk = b + b_off[k];
    Vec<T> bv[NV];
    FC_UNROLL for (int v = 0; v < NV; ++v) {
      bv[v] = load(bk + (v / kTileVectors) * b_panel + (v % kTileVectors) * L);
      pin(bv[v]);
    }
    FC_UNROLL for (int i = 0; i < R; ++i) {
      const Vec<T> x = splat(ak[i * a_row]);
      FC_UNROLL for (int v = 0; v < NV; ++v) acc[i][v] = fma(x, bv[v], acc[i][v]);
    }
  }
  if (lanes >= NV * L && !g.accumulate && !o.residual && !o.bias_lane) {
    // The common case without its branches.
    const Vec<T> lo = splat(g.lo), hi = splat(g.hi);
    FC_UNROLL for (int i = 0; i < R; ++i) {
      const Vec<T> bias = o.bias_row ? splat(o.bias_row[i]) : Vec<T>{};
      FC_UNROLL for (int v = 0; v < NV; ++v) {
        store(o.c + i * o.c_row + v * L, clamp(acc[i][v] + bias, lo, hi));
      }
    }
    return;
  }
  FC_UNROLL for (int v = 0; v < NV; ++v) {
    const ptrdiff_t left = lanes - v * L;
    if (left > 0) {
      const int part = static_cast<int>(left < L ? left : L);
      FC_UNROLL for (int i = 0; i < R; ++i) finish(g, o, i, v, acc[i][v], part);
    }
  }
}

template <class T>
using TileFn = void (*)(const GemmBlock<T>&, const T*, const T*, TileOut<T>, ptrdiff_t);

template <class T, int NV, int R>
FC_INLINE TileFn<T> pick_tile(ptrdiff_t rows) {
  if constexpr (R == 1) {
    return tile<T, 1, NV>;
  } else {
    return rows == R ? tile<T, R, NV> : pick_tile<T, NV, R - 1>(rows);
  }
}

// All lanes for one group of rows, the A panel staying in L1.
template <class T>
FC_INLINE void row_group(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t rows) {
  constexpr int L = kLanes<T>;
  constexpr int NR = kTileLanes<T>;
  // Few rows leave accumulators idle: two panels at a time keep the FMA pipes full.
  const bool wide = rows <= kTileRows / 2;
  const TileFn<T> narrow_fn = pick_tile<T, 1, kTileRows>(rows);
  const TileFn<T> full_fn = pick_tile<T, kTileVectors, kTileRows>(rows);
  const TileFn<T> wide_fn = wide ? pick_tile<T, 2 * kTileVectors, kTileRows / 2>(rows) : full_fn;
  const T* a = g.a + row * g.a_row;
  ptrdiff_t j = 0;
  while (j < g.lanes) {
    const ptrdiff_t left = g.lanes - j;
    TileFn<T> fn = full_fn;
    ptrdiff_t width = NR;
    if (left <= L) {
      fn = narrow_fn;
    } else if (wide && left > NR) {
      fn = wide_fn;
      width = 2 * NR;
    }
    TileOut<T> o;
    o.c = g.c + row * g.c_row + j;
    o.c_row = g.c_row;
    o.bias_row = g.bias_row ? g.bias_row + row : nullptr;
    o.bias_lane = g.bias_lane ? g.bias_lane + j : nullptr;
    o.residual = g.residual ? g.residual + row * g.residual_row + j : nullptr;
    o.residual_row = g.residual_row;
    fn(g, a, g.b + (j / NR) * g.b_panel, o, left < width ? left : width);
    j += width;
  }
}

// Rows are split evenly, so that no group is much smaller than the tile.
template <class T>
void gemm_block(const GemmBlock<T>& g) {
  const ptrdiff_t groups = (g.rows + kTileRows - 1) / kTileRows;
  for (ptrdiff_t i = 0; i < groups; ++i) {
    const ptrdiff_t r0 = g.rows * i / groups, r1 = g.rows * (i + 1) / groups;
    row_group(g, r0, r1 - r0);
  }
}

template <class T>
constexpr GemmKernels<T> gemm_table() {
  return {kTileRows,     kTileLanes<T>, gemm_block<T>, pack_panel<T>,
          gather_row<T>, finish_row<T>, sum<T>,        transpose<T>};
}

}  // namespace
}  // namespace fastconv
