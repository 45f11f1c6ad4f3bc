// The matrix product at one of Winograd's points. Plainer than the tile of gemm.h: no tables of
// offsets, nothing done to the result, but the operands of the next product are fetched meanwhile,
// a little at every step, because a burst of prefetches would fill the miss buffers.
#pragma once

#include "../kernels.h"
#include "vec.h"

namespace fastconv {
namespace {

constexpr int kProductRows = kRegisters == 32 ? 14 : 6;
template <class T>
constexpr int kProductLanes = 2 * kLanes<T>;

template <class T>
struct ProductTile {
  const T* a;
  T* c;
  const char* next;
  ptrdiff_t next_step;  // bytes a step of k, in each of two streams
  ptrdiff_t next_half;  // between the streams
};

template <class T, int R, int NV>
__attribute__((noinline)) void product_tile(const WinogradProduct<T>& g, const ProductTile<T>& o) {
  constexpr int L = kLanes<T>;
  Vec<T> acc[R][NV];
  const ptrdiff_t a_row = g.a_row, a_k = g.a_k, b_k = g.b_k, c_row = g.c_row, depth = g.depth;
  if (g.resume) {
    FC_UNROLL for (int i = 0; i < R; ++i) {
      FC_UNROLL for (int v = 0; v < NV; ++v) acc[i][v] = load(o.c + i * c_row + v * L);
    }
  } else {
    FC_UNROLL for (int i = 0; i < R; ++i) {
      FC_UNROLL for (int v = 0; v < NV; ++v) acc[i][v] = Vec<T>{};
    }
  }
  const T* a = o.a;
  const T* b = g.b;
  const char* next = o.next;
  const ptrdiff_t next_step = o.next_step, next_half = o.next_half;
  for (ptrdiff_t k = 0; k < depth; ++k, a += a_k, b += b_k, next += next_step) {
    __builtin_prefetch(next, 0, 2);
    __builtin_prefetch(next + next_half, 0, 2);
    Vec<T> bv[NV];
    FC_UNROLL for (int v = 0; v < NV; ++v) {
      bv[v] = load(b + v * L);
      pin(bv[v]);
    }
    FC_UNROLL for (int i = 0; i < R; ++i) {
      const Vec<T> x = splat(a[i * a_row]);
      FC_UNROLL for (int v = 0; v < NV; ++v) acc[i][v] = fma(x, bv[v], acc[i][v]);
    }
  }
  if (g.add) {
    FC_UNROLL for (int i = 0; i < R; ++i) {
      FC_UNROLL for (int v = 0; v < NV; ++v) acc[i][v] += load(o.c + i * c_row + v * L);
    }
  }
  FC_UNROLL for (int i = 0; i < R; ++i) {
    FC_UNROLL for (int v = 0; v < NV; ++v) store(o.c + i * c_row + v * L, acc[i][v]);
  }
}

template <class T>
using ProductFn = void (*)(const WinogradProduct<T>&, const ProductTile<T>&);

template <class T, int NV, int R = kProductRows>
FC_INLINE ProductFn<T> pick_product(ptrdiff_t rows) {
  if constexpr (R == 1) {
    return product_tile<T, 1, NV>;
  } else {
    return rows == R ? product_tile<T, R, NV> : pick_product<T, NV, R - 1>(rows);
  }
}

// Rows are split evenly, so that no group is much smaller than the tile.
template <class T>
void winograd_product(const WinogradProduct<T>& g) {
  const ptrdiff_t groups = (g.rows + kProductRows - 1) / kProductRows;
  ProductTile<T> o;
  const ptrdiff_t share = g.next ? g.next_bytes / groups : 0;
  o.next_step = g.depth > 0 ? (share / 2 + g.depth - 1) / g.depth : 0;
  o.next_half = share / 2;
  for (ptrdiff_t i = 0; i < groups; ++i) {
    const ptrdiff_t r0 = g.rows * i / groups, r1 = g.rows * (i + 1) / groups;
    o.a = g.a + r0 * g.a_row;
    o.c = g.c + r0 * g.c_row;
    o.next = g.next ? reinterpret_cast<const char*>(g.next) + i * share
                    : reinterpret_cast<const char*>(g.b);
    (g.narrow ? pick_product<T, 1>(r1 - r0) : pick_product<T, 2>(r1 - r0))(g, o);
  }
}

}  // namespace
}  // namespace fastconv
