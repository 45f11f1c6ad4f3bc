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
  // What to fetch, and how many bytes of it at every step of k. B comes in two streams: a tile of
  // few rows has too few steps for one.
  const char *next_a, *next_b;
  ptrdiff_t step_a, step_b, half_b;
};

// Rows of A through two bases and three strides, which the address modes of x86 reach without more
// registers: row i is base[i / 7] + {0, 1, 2, 3, 4, 5, 6} strides.
template <class T>
struct RowAddress {
  const char* base[2];
  ptrdiff_t one, three, five;  // strides in bytes
  RowAddress(const T* a, ptrdiff_t a_row)
      : base{reinterpret_cast<const char*>(a), reinterpret_cast<const char*>(a + 7 * a_row)},
        one(a_row * static_cast<ptrdiff_t>(sizeof(T))),
        three(3 * one),
        five(5 * one) {
    keep(one);
    keep(three);
    keep(five);
  }
  FC_INLINE const T& operator[](int i) const {
    const char* b = base[i / 7];
    switch (i % 7) {
      case 1:
        b += one;
        break;
      case 2:
        b += 2 * one;
        break;
      case 3:
        b += three;
        break;
      case 4:
        b += 4 * one;
        break;
      case 5:
        b += five;
        break;
      case 6:
        b += 2 * three;
        break;
    }
    return *reinterpret_cast<const T*>(b);
  }
  FC_INLINE void advance(ptrdiff_t bytes) {
    base[0] += bytes;
    base[1] += bytes;
  }

 private:
  // Hides where a stride comes from, lest the compiler give every row a register of its own.
  static FC_INLINE void keep(ptrdiff_t& x) { asm("" : "+r"(x)); }
};

template <class T, int R, int NV>
__attribute__((noinline)) void product_tile(const WinogradProduct<T>& g, const ProductTile<T>& o) {
  constexpr int L = kLanes<T>;
  Vec<T> acc[R][NV];
  const ptrdiff_t a_k = g.a_k * static_cast<ptrdiff_t>(sizeof(T));
  const ptrdiff_t b_k = g.b_k, c_row = g.c_row, depth = g.depth;
  if (g.resume) {
    FC_UNROLL for (int i = 0; i < R; ++i) {
      FC_UNROLL for (int v = 0; v < NV; ++v) acc[i][v] = load(o.c + i * c_row + v * L);
    }
  } else {
    FC_UNROLL for (int i = 0; i < R; ++i) {
      FC_UNROLL for (int v = 0; v < NV; ++v) acc[i][v] = Vec<T>{};
    }
  }
  RowAddress<T> a(o.a, g.a_row);
  const T* b = g.b;
  const char *next_a = o.next_a, *next_b = o.next_b;
  const ptrdiff_t step_a = o.step_a, step_b = o.step_b, half_b = o.half_b;
  for (ptrdiff_t k = 0; k < depth; ++k, a.advance(a_k), b += b_k) {
    __builtin_prefetch(next_a, 0, 2);
    __builtin_prefetch(next_b, 0, 2);
    __builtin_prefetch(next_b + half_b, 0, 2);
    next_a += step_a;
    next_b += step_b;
    Vec<T> bv[NV];
    FC_UNROLL for (int v = 0; v < NV; ++v) {
      bv[v] = load(b + v * L);
      pin(bv[v]);
    }
    FC_UNROLL for (int i = 0; i < R; ++i) {
      const Vec<T> x = splat(a[i]);
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
  const ptrdiff_t share_a = g.next_a_bytes / groups, share_b = g.next_b_bytes / groups;
  ProductTile<T> o;
  o.step_a = (share_a + g.depth - 1) / g.depth;
  o.half_b = share_b / 2;
  o.step_b = (o.half_b + g.depth - 1) / g.depth;
  for (ptrdiff_t i = 0; i < groups; ++i) {
    const ptrdiff_t r0 = g.rows * i / groups, r1 = g.rows * (i + 1) / groups;
    o.a = g.a + r0 * g.a_row;
    o.c = g.c + r0 * g.c_row;
    o.next_a = reinterpret_cast<const char*>(g.next_a) + i * share_a;
    o.next_b = reinterpret_cast<const char*>(g.next_b) + i * share_b;
    (g.narrow ? pick_product<T, 1>(r1 - r0) : pick_product<T, 2>(r1 - r0))(g, o);
  }
}

}  // namespace
}  // namespace fastconv
