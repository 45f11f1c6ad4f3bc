// The input gradient of a convolution of stride 2, on small planes read where they lie: every
// position of the gradient spreads over its taps. Rows and columns of the result have two phases,
// even and odd, each with its own taps; columns of both are woven as they are stored.
#pragma once

#include "pack.h"
#include "plane.h"

namespace fastconv {
namespace {

// Result row 2 * i + f takes from gradient row i + d through tap K / 2 + f - 2 * d, where there is
// such a tap; columns likewise.
template <int K>
struct Spread {
  static constexpr int kFirst = -(K / 4);            // smallest d
  static constexpr int kLast = (K / 2 + 1) / 2;      // largest d
  static constexpr int kCount = kLast - kFirst + 1;  // of values of d
  static constexpr int tap(int phase, int d) { return K / 2 + phase - 2 * d; }
  static constexpr bool has(int phase, int d) { return tap(phase, d) >= 0 && tap(phase, d) < K; }
};

template <class T>
void spread_masks(const PlaneSum<T>& g, ptrdiff_t first, ptrdiff_t count, PlaneMasks<T>* masks) {
  constexpr ptrdiff_t L = kLanes<T>;
  masks->pitch = ((g.out_cols + 1) / 2 + L - 1) / L;
  for (ptrdiff_t e = 0; e < count; ++e) {
    for (ptrdiff_t c = 0; c < masks->pitch; ++c) {
      const ptrdiff_t lo = -(first + e) - c * L;
      masks->at[e * masks->pitch + c] = mask_of_bits<T>(bits_between(lo, lo + g.in_cols, L));
    }
  }
}

// R pairs of result rows, one vector of pairs of columns.
template <class T, int R, int K>
struct SpreadTile {
  using S = Spread<K>;
  static constexpr int L = kLanes<T>;

  Vec<T> acc[2][2][R];  // [row phase][column phase]

  FC_INLINE void add_plane(const PlaneSum<T>& g, const T* x, const T* w, const LaneMask<T>* mask,
                           ptrdiff_t pitch, ptrdiff_t lo, ptrdiff_t hi) {
    FC_UNROLL for (int e = 0; e < S::kCount; ++e) {
      Vec<T> weight[2][K];
      FC_UNROLL for (int f = 0; f < 2; ++f) {
        if (!S::has(f, S::kFirst + e)) continue;
        FC_UNROLL for (int r = 0; r < K; ++r) {
          weight[f][r] = splat(w[r * K + S::tap(f, S::kFirst + e)]);
          pin(weight[f][r]);
        }
      }
      const LaneMask<T> in = mask[e * pitch];
      const T* xe = x + e;
      FC_UNROLL for (int q = 0; q < R + S::kCount - 1; ++q, xe += g.in_cols) {
        if (q < S::kCount - 1 && q < lo) continue;
        if (q > R - 1 && q >= hi) continue;
        Vec<T> row = keep<T>(load(xe), in);
        pin(row);
        FC_UNROLL for (int d = 0; d < S::kCount; ++d) {
          const int i = q - d;
          if (i < 0 || i >= R) continue;
          FC_UNROLL for (int f = 0; f < 2; ++f) {
            FC_UNROLL for (int h = 0; h < 2; ++h) {
              if (!S::has(h, S::kFirst + d) || !S::has(f, S::kFirst + e)) continue;
              Vec<T>& sum = acc[h][f][i];
              sum = fma_where<T>(in, weight[f][S::tap(h, S::kFirst + d)], row, sum);
            }
          }
        }
      }
    }
  }

  // Pairs of rows from `pair` on, vectors from `vector` on, of every unit.
  template <bool Single>
  static __attribute__((noinline)) void run(const PlaneSum<T>& g, const PlaneMasks<T>& masks,
                                            ptrdiff_t pair, ptrdiff_t vector) {
    const ptrdiff_t row = pair + S::kFirst, lo = -row, hi = g.in_rows - row;
    const T* src = g.src + row * g.in_cols + vector * L + S::kFirst;
    const T* w = g.w;
    T* out = g.out + 2 * pair * g.out_cols + 2 * vector * L;
    const ptrdiff_t width = g.out_cols - 2 * vector * L, rows = g.out_rows - 2 * pair;
    for (ptrdiff_t unit = 0; unit < g.units; ++unit) {
      SpreadTile t;
      FC_UNROLL for (int i = 0; i < 4 * R; ++i) t.acc[i / R / 2][i / R % 2][i % R] = Vec<T>{};
      const T* x = src;
      const T* wc = w;
      const ptrdiff_t sources = Single ? 1 : g.sources;
      for (ptrdiff_t c = 0; c < sources; ++c, x += g.in_rows * g.in_cols, wc += g.w_source) {
        t.add_plane(g, x, wc, masks.at + vector, masks.pitch, lo, hi);
      }
      FC_UNROLL for (int i = 0; i < 2 * R; ++i) {
        if (i == 2 * R - 1 && i >= rows) continue;  // an odd number of rows
        Vec<T> first, second;
        zip<T>(t.acc[i % 2][0][i / 2], t.acc[i % 2][1][i / 2], &first, &second);
        T* to = out + i * g.out_cols;
        if (width >= 2 * L) {
          store(to, first);
          store(to + L, second);
        } else {
          store_part(to, first, static_cast<int>(width < L ? width : L));
          if (width > L) store_part(to + L, second, static_cast<int>(width - L));
        }
      }
      src += g.next_src;
      w += g.next_w;
      out += g.next_out;
    }
  }
};

template <class T, int R, int K>
FC_INLINE ptrdiff_t spread_pairs(const PlaneSum<T>& g, const PlaneMasks<T>& masks, ptrdiff_t pair) {
  for (ptrdiff_t v = 0; v < masks.pitch; ++v) {
    g.sources == 1 ? SpreadTile<T, R, K>::template run<true>(g, masks, pair, v)
                   : SpreadTile<T, R, K>::template run<false>(g, masks, pair, v);
  }
  return pair + R;
}

template <class T, int K>
void spread_planes(PlaneSum<T> g) {
  constexpr int R = kManyPlaneRegisters ? (K == 3 ? 4 : 3) : K == 3 ? 2 : 1;
  PlaneMasks<T> masks;
  spread_masks(g, Spread<K>::kFirst, Spread<K>::kCount, &masks);
  const ptrdiff_t results = g.results, plane = g.out_rows * g.out_cols;
  const ptrdiff_t pairs = (g.row_hi + 1) / 2;
  for (ptrdiff_t o = 0; o < results; ++o) {
    for (ptrdiff_t pair = g.row_lo / 2; pair < pairs;) {
      if (pairs - pair >= R) {
        pair = spread_pairs<T, R, K>(g, masks, pair);
      } else if (R > 2 && pairs - pair >= 2) {
        pair = spread_pairs<T, 2, K>(g, masks, pair);
      } else {
        pair = spread_pairs<T, 1, K>(g, masks, pair);
      }
    }
    g.w += g.w_result;
    g.out += plane;
  }
}

// A batch of units that stays in the nearest cache at a time.
template <class T>
void plane_spread(const PlaneSum<T>& all) {
  PlaneSum<T> g = all;
  const ptrdiff_t batch = plane_batch(g);
  for (ptrdiff_t units = all.units; units > 0; units -= batch) {
    g.units = units < batch ? units : batch;
    g.taps.rows == 3 ? spread_planes<T, 3>(g) : spread_planes<T, 5>(g);
    g.src += g.units * g.next_src;
    g.w += g.units * g.next_w;
    g.out += g.units * g.next_out;
  }
}

}  // namespace
}  // namespace fastconv
