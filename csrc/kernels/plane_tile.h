// A tile of output lines of small planes, its sums in registers, from taps read where they lie.
#pragma once

#include "plane_masks.h"

namespace fastconv {
namespace {

// One tile: R lines of V vectors of KO results, from K x cols taps. P rows are packed into a line;
// Step is the step of the input.
template <class T, int KO, int R, int V, int K, int P, int Step>
struct PlaneTile {
  static constexpr int L = kLanes<T>;
  // Input lines that the tile reads; line i serves the output lines (i - k) / kDown.
  static constexpr int kDown = P > 1 ? P : Step;
  static constexpr int kLines = (R - 1) * kDown + K;
  static constexpr int kPair = Step;  // column taps that are read together

  Vec<T> acc[KO][R][V];

  // Column taps s .. s + C - 1.
  template <int C>
  FC_INLINE void add_columns(const PlaneSum<T>& g, const T* x, const T* w,
                             const PlaneMasks<T>& masks, ptrdiff_t first, int s, ptrdiff_t lo,
                             ptrdiff_t hi) {
    const ptrdiff_t in_cols = g.in_cols, pitch = masks.pitch;
    const LaneMask<T>* mask = masks.at + s * pitch + first;
    x += s;
    w += s * g.w_col;
    Vec<T> weight[C][KO][K];
    LaneMask<T> lanes[C][V];
    FC_UNROLL for (int c = 0; c < C; ++c) {
      FC_UNROLL for (int o = 0; o < KO; ++o) {
        FC_UNROLL for (int k = 0; k < K; ++k) {
          weight[c][o][k] = splat(w[c * g.w_col + o * g.w_result + k * g.w_row]);
          pin(weight[c][o][k]);
        }
      }
      if constexpr (P == 1) {
        FC_UNROLL for (int v = 0; v < V; ++v) lanes[c][v] = mask[c * pitch + v];
      } else {
        lanes[c][0] = masks.whole[s + c];
      }
    }
    FC_UNROLL for (int i = 0; i < kLines; ++i, x += in_cols) {
      if (i < K - 1 && i < lo) continue;
      if (i > (R - 1) * kDown && i >= hi) continue;
      FC_UNROLL for (int v = 0; v < V; ++v) {
        Vec<T> row[C];
        if constexpr (Step == 1) {
          row[0] = load(x + v * L);
        } else {
          const Vec<T> a = load(x + 2 * v * L), b = load(x + 2 * v * L + L);
          row[0] = every_second<0, T>(a, b);
          if constexpr (C == 2) row[1] = every_second<1, T>(a, b);
        }
        FC_UNROLL for (int c = 0; c < C; ++c) {
          // Packed lines near the ends of the tile may lie partly in the padding.
          const bool whole = i >= K - 1 && i <= (R - 1) * kDown - (P - 1);
          const LaneMask<T> in = P == 1 || whole ? lanes[c][v] : mask[c * pitch + i];
          row[c] = keep<T>(row[c], in);
          pin(row[c]);
          FC_UNROLL for (int k = 0; k < K; ++k) {
            if (i >= k && (i - k) % kDown == 0 && (i - k) / kDown < R) {
              FC_UNROLL for (int o = 0; o < KO; ++o) {
                Vec<T>& sum = acc[o][(i - k) / kDown][v];
                sum = fma_where<T>(in, weight[c][o][k], row[c], sum);
              }
            }
          }
        }
      }
    }
  }

  FC_INLINE void add_plane(const PlaneSum<T>& g, const T* x, const T* w, const PlaneMasks<T>& masks,
                           ptrdiff_t first, ptrdiff_t lo, ptrdiff_t hi) {
    int s = 0;
    do {  // reads_planes wants as many taps of a row as the step
      add_columns<kPair>(g, x, w, masks, first, s, lo, hi);
      s += kPair;
    } while (s + kPair <= g.taps.cols);
    if constexpr (kPair == 2) {
      if (s < g.taps.cols) add_columns<1>(g, x, w, masks, first, s, lo, hi);
    }
  }

  // Output lines from `line` on, vectors from `vector` on, of every unit. With a single source the
  // compiler prepares the addresses once for all units.
  template <bool Single>
  static __attribute__((noinline)) void run(const PlaneSum<T>& g, const PlaneMasks<T>& masks,
                                            ptrdiff_t line, ptrdiff_t vector) {
    const ptrdiff_t row = line * kDown - g.taps.top;  // of the input, for the first tap
    const ptrdiff_t lo = 1 - P - row, hi = g.in_rows - row;
    const ptrdiff_t first_mask = P == 1 ? vector : line * kDown;
    const T* src = g.src + row * g.in_cols + vector * L * Step - g.taps.left;
    const T* w = g.w;
    const T* bias = g.bias;
    const ptrdiff_t first = line * P * g.out_cols + vector * L;
    T* out = g.out + first;
    const T* residual = g.residual ? g.residual + first : nullptr;
    // The last vector of a row, or the last line of packed rows, is not whole.
    const ptrdiff_t left = P > 1 ? g.out_rows * g.out_cols - first : g.out_cols - vector * L;
    for (ptrdiff_t unit = 0; unit < g.units; ++unit) {
      PlaneTile t;
      t.begin(bias);
      const T* x = src;
      const T* wc = w;
      ptrdiff_t sources = Single ? 1 : g.sources;
      do {
        t.add_plane(g, x, wc, masks, first_mask, lo, hi);
        x += g.in_rows * g.in_cols;
        wc += g.w_source;
      } while (--sources > 0);
      t.finish(g, out, residual, left);
      src += g.next_src;
      w += g.next_w;
      out += g.next_out;
      if (residual) residual += g.next_out;
      if (bias) bias += g.next_bias;
    }
  }

  FC_INLINE void begin(const T* bias) {
    FC_UNROLL for (int o = 0; o < KO; ++o) {
      const Vec<T> b = splat(bias ? bias[o] : T(0));
      FC_UNROLL for (int i = 0; i < R; ++i) {
        FC_UNROLL for (int v = 0; v < V; ++v) acc[o][i][v] = b;
      }
    }
  }

  FC_INLINE void finish(const PlaneSum<T>& g, T* out, const T* residual, ptrdiff_t left) {
    const ptrdiff_t line_size = P * g.out_cols, plane = g.out_rows * g.out_cols;
    if (residual) {
      each_output(line_size, plane, left, [&](Vec<T>& sum, ptrdiff_t at, int part) FC_LAMBDA {
        sum += !kMergesLanes && part == L ? load(residual + at) : load_part(residual + at, part);
      });
    }
    if (g.clamped) {
      const Vec<T> lo = splat(g.lo), hi = splat(g.hi);
      each_output(line_size, plane, left,
                  [&](Vec<T>& sum, ptrdiff_t, int) FC_LAMBDA { sum = clamp(sum, lo, hi); });
    }
    each_output(line_size, plane, left, [&](Vec<T>& sum, ptrdiff_t at, int part) FC_LAMBDA {
      !kMergesLanes&& part == L ? store(out + at, sum) : store_part(out + at, sum, part);
    });
  }

  // use(sum, offset, lanes) for every vector of the tile.
  template <class Use>
  FC_INLINE void each_output(ptrdiff_t line_size, ptrdiff_t plane, ptrdiff_t left, const Use& use) {
    FC_UNROLL for (int v = 0; v < V; ++v) {
      const ptrdiff_t most = (P > 1 ? line_size : left - v * L);
      const int part = static_cast<int>(most < L ? most : L);
      FC_UNROLL for (int o = 0; o < KO; ++o) {
        FC_UNROLL for (int i = 0; i < R; ++i) {
          const ptrdiff_t rest = left - i * line_size;
          use(acc[o][i][v], o * plane + i * line_size + v * L,
              P > 1 && i == R - 1 && rest < part ? static_cast<int>(rest) : part);
        }
      }
    }
  }
};

}  // namespace
}  // namespace fastconv
