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

// What happens to column v of a tile on its way to C; ld loads a vector, or the part of one that
// exists. Tests stand outside the loops over rows.
template <class T, int R, int NV, class Load>
FC_INLINE void finish(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t at, const Load& ld,
                      Vec<T> (&acc)[R][NV], int v) {
  if (g.accumulate) {
    const T* c = g.c + row * g.c_row + at;
    FC_UNROLL for (int i = 0; i < R; ++i) acc[i][v] += ld(c + i * g.c_row);
  }
  if (g.bias_lane) {
    const Vec<T> bias = ld(g.bias_lane + at);
    FC_UNROLL for (int i = 0; i < R; ++i) acc[i][v] += bias;
  }
  if (g.residual) {
    const T* r = g.residual + row * g.residual_row + at;
    FC_UNROLL for (int i = 0; i < R; ++i) acc[i][v] += ld(r + i * g.residual_row);
  }
  if (g.clamped) {
    const Vec<T> lo = splat(g.lo), hi = splat(g.hi);
    FC_UNROLL for (int i = 0; i < R; ++i) acc[i][v] = clamp(acc[i][v], lo, hi);
  }
}

// Rows of A lie a_row apart. An address is a base and one scaled register, so three multiples of
// a_row and a base every five rows reach all of them; adding a_row once a row instead would cost
// the tile more instructions than its loads.
template <class T>
struct RowPitch {
  ptrdiff_t one, three, five;  // bytes; opaque, so that the compiler keeps all three
  FC_INLINE explicit RowPitch(ptrdiff_t a_row)
      : one(a_row * static_cast<ptrdiff_t>(sizeof(T))), three(3 * one), five(5 * one) {
    hide(one);
    hide(three);
    hide(five);
  }
  // Row i = base + distance, the distance one of 0 1 2 3 4 6 8 12.
  static constexpr bool reaches(int distance) {
    return distance <= 4 || distance == 6 || distance == 8 || distance == 12;
  }
  static constexpr int base(int row) {
    return reaches(row) ? 0 : row >= 5 && reaches(row - 5) ? 5 : 10;
  }
  FC_INLINE const T* row(const char* p, int distance) const {
    return reinterpret_cast<const T*>(distance == 0   ? p
                                      : distance == 1 ? p + one
                                      : distance == 2 ? p + 2 * one
                                      : distance == 3 ? p + three
                                      : distance == 4 ? p + 4 * one
                                      : distance == 6 ? p + 2 * three
                                      : distance == 8 ? p + 8 * one
                                                      : p + 4 * three);
  }
};

template <class T, int Base, int R, int NV>
FC_INLINE void step_rows(const char* p, const RowPitch<T>& pitch, const Vec<T> (&bv)[NV],
                         Vec<T> (&acc)[R][NV]) {
  FC_UNROLL for (int i = Base; i < R; ++i) {
    if (RowPitch<T>::base(i) != Base) continue;
    const Vec<T> x = splat(*pitch.row(p, i - Base));
    FC_UNROLL for (int v = 0; v < NV; ++v) acc[i][v] = fma(x, bv[v], acc[i][v]);
  }
}

// One index of the depth.
template <class T, int R, int NV>
FC_INLINE void step(const T* a, const T* b, ptrdiff_t b_panel, const RowPitch<T>& pitch,
                    Vec<T> (&acc)[R][NV]) {
  constexpr int L = kLanes<T>;
  Vec<T> bv[NV];
  FC_UNROLL for (int v = 0; v < NV; ++v) {
    bv[v] = load(b + (v / kTileVectors) * b_panel + (v % kTileVectors) * L);
    pin(bv[v]);
  }
  const char* p = reinterpret_cast<const char*>(a);
  hide(p);
  step_rows<T, 0>(p, pitch, bv, acc);
  if constexpr (R > 5) {
    p += pitch.five;
    hide(p);
    step_rows<T, 5>(p, pitch, bv, acc);
  }
  if constexpr (R > 10) {
    p += pitch.five;
    hide(p);
    step_rows<T, 10>(p, pitch, bv, acc);
  }
}

// R rows x NV vectors of C, over lanes [j, end) in steps of the tile's width; the last may be
// narrower. NV > kTileVectors spans two adjacent panels of B. The accumulators must stay in
// registers, so every loop over them is fully unrolled, those after the sum too.
template <class T, int R, int NV>
__attribute__((noinline)) void tiles(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t j,
                                     ptrdiff_t end) {
  constexpr int L = kLanes<T>;
  constexpr int NR = kTileLanes<T>;
  const ptrdiff_t b_panel = g.b_panel, depth = g.depth, c_row = g.c_row;
  const T* const a = g.a + row * g.a_row;
  const RowPitch<T> pitch(g.a_row);
  const T* b = g.b + j / NR * b_panel;
  for (; j < end; j += NV * L, b += (NV + kTileVectors - 1) / kTileVectors * b_panel) {
    Vec<T> acc[R][NV];
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
    const ptrdiff_t* a_off = g.a_off;
    const ptrdiff_t* b_off = g.b_off;
    ptrdiff_t k = 0;
    if constexpr (NV * (R + 1) + 1 < kRegisters - 1) {
      for (; k + 2 <= depth; k += 2) {
        step<T, R, NV>(a + a_off[k], b + b_off[k], b_panel, pitch, acc);
        step<T, R, NV>(a + a_off[k + 1], b + b_off[k + 1], b_panel, pitch, acc);
      }
    }
    for (; k < depth; ++k) {
      step<T, R, NV>(a + a_off[k], b + b_off[k], b_panel, pitch, acc);
    }
    T* const c = g.c + row * c_row + j;
    FC_UNROLL for (int v = 0; v < NV; ++v) {
      const ptrdiff_t left = end - j - v * L;
      if (left >= L) {
        finish<T, R, NV>(g, row, j + v * L, [](const T* p) { return load(p); }, acc, v);
        FC_UNROLL for (int i = 0; i < R; ++i) store(c + i * c_row + v * L, acc[i][v]);
      } else if (left > 0) {
        const int part = static_cast<int>(left);
        finish<T, R, NV>(
            g, row, j + v * L, [part](const T* p) { return load_part(p, part); }, acc, v);
        FC_UNROLL for (int i = 0; i < R; ++i) store_part(c + i * c_row + v * L, acc[i][v], part);
      }
    }
  }
}

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
  for (int i = 0; i < R; ++i) {
    T v = g.bias_row ? g.bias_row[row + i] : T(0);
    for (int l = 0; l < L; ++l) v += acc[i][l];
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

// Rows are split evenly, so that no group is much smaller than the tile.
template <class T>
void gemm_block(const GemmBlock<T>& given) {
  constexpr int NR = kTileLanes<T>;
  GemmBlock<T> g = given;
  const bool lone = g.lone_lane && g.depth > 0 && g.depth <= kLoneDepth &&
                    g.a_off[g.depth - 1] - g.a_off[0] == g.depth - 1;
  T lane[kLoneDepth];
  if (lone) {
    const ptrdiff_t j = --g.lanes;
    const T* b = g.b + j / NR * g.b_panel + j % NR;
    for (ptrdiff_t k = 0; k < g.depth; ++k) lane[k] = b[g.b_off[k]];
  }
  const ptrdiff_t groups = (g.rows + kTileRows - 1) / kTileRows;
  for (ptrdiff_t i = 0; i < groups; ++i) {
    const ptrdiff_t r0 = g.rows * i / groups, r1 = g.rows * (i + 1) / groups;
    row_group(g, r0, r1 - r0);
    if (lone) lone_group(g, r0, r1 - r0, g.lanes, lane);
  }
}

}  // namespace
}  // namespace fastconv
