// The matrix product at one of Winograd's points. Plainer than the tile of gemm.h: no tables of
// offsets, nothing done to the result, but the operands of the next product are fetched meanwhile,
// a little at every step, because a burst of prefetches would fill the miss buffers.
#pragma once

#include "../kernels.h"
#include "rows_of_a.h"

namespace fastconv {
namespace {

// Doubles make do with tiles of half the height: the code is not small.
template <class T>
constexpr int kProductRows = kRegisters == 32 ? (sizeof(T) == 4 ? 14 : 8) : 6;
// One vector beside rows that are neighbours leaves registers for more: sixteen channels are one
// tile.
template <class T>
constexpr int kNarrowRows = kRegisters == 32 && sizeof(T) == 4 ? 16 : kProductRows<T>;
template <class T>
constexpr int kProductLanes = 2 * kLanes<T>;

// Steps of k between fetches.
constexpr int kStride = 4;

// Cache lines to fetch, a few every kStride steps of k.
struct Ahead {
  const char* at;
  int lines;

  // `count` elements from p on, in `steps` times kStride steps.
  template <class T>
  FC_INLINE void start(const T* p, ptrdiff_t count, ptrdiff_t steps) {
    at = reinterpret_cast<const char*>(p);
    lines = static_cast<int>((count * sizeof(T) + 64 * steps - 1) / (64 * steps));
  }
  template <int kLevel>  // 3 for the first-level cache, 2 for the second
  FC_INLINE void fetch() {
    for (int i = 0; i < lines; ++i, at += 64) __builtin_prefetch(at, 0, kLevel);
  }
};

template <class T>
struct ProductTile {
  const T* a;
  T* c;
  Ahead near_a;        // the rows after these, to the first-level cache
  Ahead far_a, far_b;  // what later products read
};

// Every register of C's tile and its place in memory.
template <class T, int R, int NV, class Use>
FC_INLINE void each_vector(T* c, ptrdiff_t c_row, Vec<T> (&acc)[R][NV], const Use& use) {
  FC_UNROLL for (int i = 0; i < R; ++i, c += c_row) {
    FC_UNROLL for (int v = 0; v < NV; ++v) use(c + v * kLanes<T>, acc[i][v]);
    hide(c);  // one pointer that moves, not one for every row
  }
}

// kUnit: the depth of A is contiguous; else its rows are, and no address but one changes.
template <class T, int R, int NV, bool kUnit>
__attribute__((noinline)) void product_tile(const WinogradProduct<T>& g, const ProductTile<T>& o) {
  constexpr int L = kLanes<T>;
  Vec<T> acc[R][NV];
  const ptrdiff_t a_k = kUnit ? 1 : g.a_k, b_k = g.b_k;
  FC_UNROLL for (int i = 0; i < R; ++i) {
    FC_UNROLL for (int v = 0; v < NV; ++v) acc[i][v] = Vec<T>{};
  }
  if (g.resume) each_vector(o.c, g.c_row, acc, [](const T* c, Vec<T>& x) { x = load(c); });
  RowsOfA<T, R> a(o.a, g.a_row);
  const T* column = o.a;
  const T* b = g.b;
  const auto step = [&](int k) FC_LAMBDA {
    Vec<T> bv[NV];
    FC_UNROLL for (int v = 0; v < NV; ++v) {
      bv[v] = load(b + v * L);
      pin(bv[v]);
    }
    b += b_k;
    FC_UNROLL for (int i = 0; i < R; ++i) {
      const Vec<T> x = splat(kUnit ? *a.at(i, k) : column[i]);
      FC_UNROLL for (int v = 0; v < NV; ++v) accumulate<T>(acc[i][v], x, bv[v]);
    }
  };
  Ahead near_a = o.near_a, far_a = o.far_a, far_b = o.far_b;
  ptrdiff_t k = g.depth;
  for (; k >= kStride; k -= kStride) {
    near_a.fetch<3>();
    far_a.fetch<kUnit ? 2 : 3>();
    far_b.fetch<kUnit ? 2 : 3>();
    if constexpr (kUnit) {
      a.keep();
      FC_UNROLL for (int i = 0; i < kStride; ++i) step(i);
      a.advance(kStride);
    } else {
      // Unrolling would save nothing here.
      _Pragma("GCC unroll 1") for (int i = 0; i < kStride; ++i, column += a_k) step(0);
    }
  }
  for (; k > 0; --k) {
    step(0);
    if constexpr (kUnit) a.advance(1);
    column += a_k;
  }
  if (g.add) each_vector(o.c, g.c_row, acc, [](const T* c, Vec<T>& x) { x += load(c); });
  each_vector(o.c, g.c_row, acc, [](T* c, const Vec<T>& x) { store(c, x); });
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

// The tile for 1 to kProductRows<T> rows.
template <class T, int NV, bool kUnit, int... R>
FC_INLINE ProductFn<T> pick_product(ptrdiff_t rows, RowCounts<R...>) {
  static constexpr ProductFn<T> kTiles[] = {product_tile<T, R + 1, NV, kUnit>...};
  return kTiles[rows - 1];
}

// Rows are split evenly, so that no group is much smaller than the tile.
template <class T>
void winograd_product(const WinogradProduct<T>& g) {
  using Counts = typename MakeRowCounts<kProductRows<T>>::Type;
  using Narrow = typename MakeRowCounts<kNarrowRows<T>>::Type;
  const bool unit = g.a_k == 1;
  const int rows = static_cast<int>(g.rows);
  const int tallest = g.narrow && !unit ? kNarrowRows<T> : kProductRows<T>;
  const int groups = (rows + tallest - 1) / tallest;
  const int most = (rows + groups - 1) / groups, whole = rows - groups * (most - 1);
  const ptrdiff_t steps = (g.depth + kStride - 1) / kStride;
  const ptrdiff_t far_a = g.far_a_count / groups, far_b = g.far_b_count / groups;
  ProductTile<T> o;
  o.a = g.a;
  o.c = g.c;
  for (int i = 0; i < groups; ++i) {
    const int count = i < whole ? most : most - 1;
    const bool last = i + 1 == groups;
    o.near_a.start(last ? g.next_a : o.a + count * g.a_row, unit ? count * g.a_row : 0, steps);
    o.far_a.start(g.far_a + i * far_a, far_a, steps);
    o.far_b.start(g.far_b + i * far_b, far_b, steps);
    const auto tile = g.narrow ? unit ? pick_product<T, 1, true>(count, Counts{})
                                      : pick_product<T, 1, false>(count, Narrow{})
                      : unit   ? pick_product<T, 2, true>(count, Counts{})
                               : pick_product<T, 2, false>(count, Counts{});
    tile(g, o);
    o.a += count * g.a_row;
    o.c += count * g.c_row;
  }
}

}  // namespace
}  // namespace fastconv
