// Tiles of pixels and filters, filters in the lanes: every pixel is broadcast from where it lies,
// so that neither the stride nor the width of a row leaves lanes idle.
#pragma once

#include "../kernels.h"
#include "pack.h"
#include "vec.h"

namespace fastconv {
namespace {

// Q pixels of V vectors, and beside them V of weights and a pixel, fill the registers. Doubles get
// by with fewer: their code is as large, and what it gains half as much.
template <class T, int V>
constexpr int tile_pixels() {
  constexpr int fit = (kRegisters - V - 1) / V, most = sizeof(T) == 4 ? 14 : 8;
  return fit < most ? fit : most;
}

// `count` tiles of every row, from column `first` on.
template <class T, int V, int Q>
__attribute__((noinline)) void broadcast_tiles(const BroadcastTiles<T>& g, ptrdiff_t first,
                                               ptrdiff_t count) {
  constexpr int L = kLanes<T>;
  const ptrdiff_t* const off = g.x_off;
  const ptrdiff_t depth = g.depth;
  for (ptrdiff_t i = 0; i < g.rows; ++i) {
    const T* x = g.x + i * g.x_row + first;
    T* sums = g.sums + (i * g.width + first) * (V * L);
    for (ptrdiff_t tile = 0; tile < count; ++tile, x += Q, sums += Q * V * L) {
      Vec<T> acc[Q][V];
      FC_UNROLL for (int q = 0; q < Q; ++q) {
        FC_UNROLL for (int v = 0; v < V; ++v) {
          acc[q][v] = g.start ? load(g.start + v * L) : Vec<T>{};
        }
      }
      const T* w = g.w;
      for (ptrdiff_t k = 0; k < depth; ++k, w += V * L) {
        const T* at = x + off[k];
        Vec<T> weight[V];
        FC_UNROLL for (int v = 0; v < V; ++v) {
          weight[v] = load(w + v * L);
          pin(weight[v]);
        }
        FC_UNROLL for (int q = 0; q < Q; ++q) {
          Vec<T> pixel = splat(at[q]);
          if constexpr (V > 1) pin(pixel);
          FC_UNROLL for (int v = 0; v < V; ++v) acc[q][v] = fma(weight[v], pixel, acc[q][v]);
        }
      }
      FC_UNROLL for (int q = 0; q < Q; ++q) {
        FC_UNROLL for (int v = 0; v < V; ++v) {
          T* to = sums + (q * V + v) * L;
          store(to, g.start ? acc[q][v] : acc[q][v] + load(to));
        }
      }
    }
  }
}

template <class T, int V, int Q>
FC_INLINE void pick_broadcast(const BroadcastTiles<T>& g, ptrdiff_t pixels, ptrdiff_t first,
                              ptrdiff_t count) {
  if constexpr (Q == 1) {
    broadcast_tiles<T, V, 1>(g, first, count);
  } else {
    pixels == Q ? broadcast_tiles<T, V, Q>(g, first, count)
                : pick_broadcast<T, V, Q - 1>(g, pixels, first, count);
  }
}

// Rows are cut evenly, into tiles of two sizes at most.
template <class T, int V>
FC_INLINE void broadcast_rows(const BroadcastTiles<T>& g) {
  constexpr int most = tile_pixels<T, V>();
  const ptrdiff_t tiles = (g.width + most - 1) / most;
  const ptrdiff_t small = g.width / tiles, large = g.width % tiles;  // so many have one more
  if (large) pick_broadcast<T, V, most>(g, small + 1, 0, large);
  pick_broadcast<T, V, most>(g, small, large * (small + 1), tiles - large);
}

template <class T>
void broadcast_tiles(const BroadcastTiles<T>& g) {
  g.vectors == 2 ? broadcast_rows<T, 2>(g) : broadcast_rows<T, 1>(g);
}

template <class T>
void broadcast_store(const BroadcastStore<T>& s) {
  constexpr int L = kLanes<T>;
  const Vec<T> lo = splat(s.lo), hi = splat(s.hi);
  const ptrdiff_t dst_row = s.dst_row;
  for (ptrdiff_t f = 0; f < s.filters; f += L) {
    const int filters = static_cast<int>(s.filters - f < L ? s.filters - f : L);
    for (ptrdiff_t p = 0; p < s.pixels; p += L) {
      const int pixels = static_cast<int>(s.pixels - p < L ? s.pixels - p : L);
      const T* from = s.sums + p * s.sums_row + f;
      Vec<T> v[L];
      FC_UNROLL for (int i = 0; i < L; ++i) {
        v[i] = i < pixels ? load(from + i * s.sums_row) : Vec<T>{};
      }
      transpose_square<T>(v);
      T* dst = s.dst + f * dst_row + p;
      const T* residual = s.residual ? s.residual + f * dst_row + p : nullptr;
      FC_UNROLL for (int i = 0; i < L; ++i, dst += dst_row) {
        if (i >= filters) continue;
        if (residual) {
          v[i] += pixels == L ? load(residual) : load_part(residual, pixels);
          residual += dst_row;
        }
        const Vec<T> c = clamp(v[i], lo, hi);
        pixels == L ? store(dst, c) : store_part(dst, c, pixels);
      }
    }
  }
}

}  // namespace
}  // namespace fastconv
