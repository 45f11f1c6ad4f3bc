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

// Steps of k between looks at what to fetch.
constexpr int kStride = 4;

template <class T>
struct ProductTile {
  const T* a;
  T* c;
  const char *next_a, *next_b;  // what to fetch
  ptrdiff_t step_a, step_b;     // bytes of it every kStride steps of k
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
  const char *next_a = o.next_a, *next_b = o.next_b, *until_a = next_a, *until_b = next_b;
  for (ptrdiff_t k = 0; k < depth;) {
    const ptrdiff_t stop = k + kStride < depth ? k + kStride : depth;
    until_a += o.step_a;
    until_b += o.step_b;
    for (; next_a < until_a; next_a += 64) __builtin_prefetch(next_a, 0, 2);
    for (; next_b < until_b; next_b += 64) __builtin_prefetch(next_b, 0, 2);
    for (; k < stop; ++k, a.advance(a_k), b += b_k) {
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

// 0, 1, ... N - 1 as template arguments.
template <int...>
struct RowCounts {};
template <int N, int... R>
struct MakeRowCounts : MakeRowCounts<N - 1, N - 1, R...> {};
template <int... R>
struct MakeRowCounts<0, R...> {
  using Type = RowCounts<R...>;
};

template <class T>
using ProductFn = void (*)(const WinogradProduct<T>&, const ProductTile<T>&);

// The tile for 1 to kProductRows rows.
template <class T, int NV, int... R>
FC_INLINE ProductFn<T> pick_product(ptrdiff_t rows, RowCounts<R...>) {
  static constexpr ProductFn<T> kTiles[] = {product_tile<T, R + 1, NV>...};
  return kTiles[rows - 1];
}

// Rows are split evenly, so that no group is much smaller than the tile.
template <class T>
void winograd_product(const WinogradProduct<T>& g) {
  using Counts = MakeRowCounts<kProductRows>::Type;
  const int rows = static_cast<int>(g.rows);
  const int groups = (rows + kProductRows - 1) / kProductRows;
  const int most = (rows + groups - 1) / groups, whole = rows - groups * (most - 1);
  ProductTile<T> o;
  o.a = g.a;
  o.c = g.c;
  o.next_a = reinterpret_cast<const char*>(g.next_a);
  o.next_b = reinterpret_cast<const char*>(g.next_b);
  const ptrdiff_t share_a = g.next_a_bytes / groups, share_b = g.next_b_bytes / groups;
  o.step_a = share_a ? share_a * kStride / g.depth : 0;
  o.step_b = share_b ? share_b * kStride / g.depth : 0;
  for (int i = 0; i < groups; ++i) {
    const int count = i < whole ? most : most - 1;
    (g.narrow ? pick_product<T, 1>(count, Counts{}) : pick_product<T, 2>(count, Counts{}))(g, o);
    o.a += count * g.a_row;
    o.c += count * g.c_row;
    o.next_a += share_a;
    o.next_b += share_b;
  }
}

}  // namespace
}  // namespace fastconv
