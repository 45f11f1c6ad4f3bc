// The weight gradient of small planes, read where they lie: every tap is the dot product of the
// output gradient with the input, shifted. Lines and masks are those of plane_masks.h.
#pragma once

#include "pack.h"
#include "plane_masks.h"

namespace fastconv {
namespace {

template <int N, class V, int... I>
FC_INLINE V rotate(V v, Ints<I...>) {
  return __builtin_shufflevector(v, v, (I + N) % static_cast<int>(sizeof...(I))...);
}

// Lane l plus the lanes l + G, l + 2 * G, ... of L.
template <int G, int L, class V>
FC_INLINE V add_parts(V v) {
  if constexpr (G == L) {
    return v;
  } else {
    constexpr int all = sizeof(V) / sizeof(v[0]);
    return add_parts<G, L / 2>(v + rotate<L / 2>(v, typename Count<all>::Type{}));
  }
}

// Sums of lanes: lane j of the result is the sum of vector j of G, a power of two.
template <class T, int G>
FC_INLINE Vec<T> totals(Vec<T> (&v)[G]) {
  constexpr int L = kLanes<T>;
  // Two vectors lane by lane, halves added: vectors become fewer, and so do the terms of a sum.
  FC_UNROLL for (int half = G / 2; half > 0; half /= 2) {
    FC_UNROLL for (int j = 0; j < half; ++j) {
      Vec<T> lo, hi;
      zip<T>(v[j], v[j + half], &lo, &hi);
      v[j] = lo + hi;
    }
  }
  // Lane l holds part l / G of sum l % G.
  return add_parts<G, L>(v[0]);
}

// out[j] = the sum of the lanes of v[j], j < N. Writes up to a vector past the end.
template <class T, int N>
FC_INLINE void store_totals(const Vec<T>* v, T* out) {
  constexpr int L = kLanes<T>;
  // Groups of powers of two, as large as they come; one short of a power is filled up.
  constexpr int up = N > 8 ? 16 : N > 4 ? 8 : N > 2 ? 4 : N;
  constexpr int fit = N == up || N == up - 1 ? up : up / 2;
  constexpr int G = fit < L ? fit : L;
  Vec<T> group[G];
  FC_UNROLL for (int j = 0; j < G; ++j) group[j] = j < N ? v[j] : Vec<T>{};
  store(out, totals<T, G>(group));
  if constexpr (N > G) store_totals<T, N - G>(v + G, out + G);
}

// Sums for K x C taps of KO results, each a vector. P and Step as in PlaneTile.
template <class T, int KO, int K, int C, int P, int Step>
struct DotTile {
  static constexpr int L = kLanes<T>;
  static constexpr int kDown = P > 1 ? P : Step;

  Vec<T> acc[KO][K][C];

  // R lines of the gradient, of `part` lanes, the last of `last_part`: x is where the first tap
  // reads for lane 0 of the first.
  template <int R>
  FC_INLINE void add_lines(const PlaneDots<T>& g, const T* x, const T* grad, int part,
                           int last_part, const LaneMask<T>* mask, ptrdiff_t pitch, ptrdiff_t lo,
                           ptrdiff_t hi) {
    const ptrdiff_t in_cols = g.in_cols, line_size = P * g.out_cols;
    const ptrdiff_t plane = g.out_rows * g.out_cols;
    const LaneMask<T> last = lanes_between<T>(0, last_part);
    LaneMask<T> lanes[C];
    if constexpr (P == 1) {
      FC_UNROLL for (int c = 0; c < C; ++c) lanes[c] = mask[c * pitch];
    }
    Vec<T> dy[KO][R];
    FC_UNROLL for (int o = 0; o < KO; ++o) {
      FC_UNROLL for (int r = 0; r < R; ++r) {
        const T* from = grad + o * plane + r * line_size;
        // Masks of lanes, where there are any, keep what lies beside the plane from the sums.
        const int n = P > 1 && r == R - 1 ? last_part : part;
        dy[o][r] = kMergesLanes || n == L ? load(from) : load_part(from, n);
        pin(dy[o][r]);
      }
    }
    FC_UNROLL for (int i = 0; i < (R - 1) * kDown + K; ++i, x += in_cols) {
      if (i < K - 1 && i < lo) continue;
      if (i > (R - 1) * kDown && i >= hi) continue;
      FC_UNROLL for (int c0 = 0; c0 < C; c0 += Step) {
        Vec<T> row[Step];
        if constexpr (Step == 1) {
          row[0] = load(x + c0);
        } else {
          const Vec<T> a = load(x + c0), b = load(x + c0 + L);
          row[0] = every_second<0, T>(a, b);
          row[Step - 1] = every_second<1, T>(a, b);
        }
        FC_UNROLL for (int f = 0; f < Step; ++f) {
          const int c = c0 + f;
          if (c >= C) continue;
          const LaneMask<T> in = P == 1 ? lanes[c] : mask[c * pitch + i];
          Vec<T> v = keep<T>(row[f], in);
          if constexpr (Step == 1) pin(v);  // or each product would read it anew, from two lines
          FC_UNROLL for (int k = 0; k < K; ++k) {
            const int r = (i - k) / kDown;
            if (i < k || (i - k) % kDown != 0 || r >= R) continue;
            FC_UNROLL for (int o = 0; o < KO; ++o) {
              if (P > 1 && r == R - 1) {
                const LaneMask<T> both = in & last;
                acc[o][k][c] = fma_where<T>(both, dy[o][r], keep<T>(v, both), acc[o][k][c]);
              } else {
                acc[o][k][c] = fma_where<T>(in, dy[o][r], v, acc[o][k][c]);
              }
            }
          }
        }
      }
    }
  }

  // Every line of one vector of columns. As many lines at a time as the registers hold.
  FC_INLINE void add_column(const PlaneDots<T>& g, const PlaneMasks<T>& masks, const T* src,
                            const T* grad, ptrdiff_t tap, ptrdiff_t vector) {
    constexpr int kMost = kManyPlaneRegisters ? (KO > 1 || P > 1 ? 4 : 7) : KO > 1 ? 2 : 4;
    const ptrdiff_t lines = (g.out_rows + P - 1) / P, line_size = P * g.out_cols;
    const ptrdiff_t width = P > 1 ? line_size : g.out_cols - vector * L;
    const int part = static_cast<int>(width < L ? width : L);
    const ptrdiff_t rest = (g.out_rows - (lines - 1) * P) * g.out_cols;  // of packed lines
    const auto add = [&](auto size, ptrdiff_t line) FC_LAMBDA {
      constexpr int R = decltype(size)::value;
      const ptrdiff_t row = line * kDown - g.taps.top;
      const T* x = src + row * g.in_cols + vector * L * Step - g.taps.left + tap;
      const LaneMask<T>* mask = masks.at + tap * masks.pitch + (P == 1 ? vector : line * kDown);
      const int last_part = P > 1 && line + R == lines ? static_cast<int>(rest) : part;
      add_lines<R>(g, x, grad + line * line_size + vector * L, part, last_part, mask, masks.pitch,
                   1 - P - row, g.in_rows - row);
    };
    ptrdiff_t line = 0;
    for (; line + kMost <= lines; line += kMost) add(Int<kMost>{}, line);
    if constexpr (kMost > 4) {
      if (line + 4 <= lines) {
        add(Int<4>{}, line);
        line += 4;
      }
    }
    if constexpr (kMost > 2) {
      if (line + 2 <= lines) {
        add(Int<2>{}, line);
        line += 2;
      }
    }
    if (line < lines) add(Int<1>{}, line);
  }

  // Column taps from `tap` on, of every unit.
  static __attribute__((noinline)) void run(const PlaneDots<T>& g, const PlaneMasks<T>& masks,
                                            ptrdiff_t tap, T* dw) {
    const T* src = g.src;
    const T* grad = g.grad;
    const ptrdiff_t vectors = P > 1 ? 1 : masks.pitch;
    for (ptrdiff_t unit = 0; unit < g.units; ++unit) {
      DotTile t;
      FC_UNROLL for (int j = 0; j < KO * K * C; ++j) t.acc[j / (K * C)][j / C % K][j % C] =
          Vec<T>{};
      for (ptrdiff_t v = 0; v < vectors; ++v) t.add_column(g, masks, src, grad, tap, v);
      T sums[KO * K * C + L];
      store_totals<T, KO * K * C>(&t.acc[0][0][0], sums);
      FC_UNROLL for (int o = 0; o < KO; ++o) {
        T* to = dw + o * g.w_result + tap;
        FC_UNROLL for (int k = 0; k < K; ++k, to += g.taps.cols) {
          FC_UNROLL for (int c = 0; c < C; ++c) {
            const T sum = sums[(o * K + k) * C + c];
            to[c] = g.add ? to[c] + sum : sum;
          }
        }
      }
      src += g.next_src;
      grad += g.next_grad;
      dw += g.next_w;
    }
  }
};

// Column taps that one pass sums, and results that share its loads: what the registers hold.
template <int K, int KO>
constexpr int most_dot_columns() {
  if (kManyPlaneRegisters) return KO == 1 || K == 3 ? 3 : 2;
  return K == 3 ? 3 : K == 5 ? 2 : 1;
}
// The code is large: only for kernels that grouped layers have.
template <int K, int P, int Step>
constexpr int kDotResults =
    kManyPlaneRegisters && (K == 3 || (K == 5 && P == 1 && Step == 1)) ? 2 : 1;

template <class T, int KO, int K, int C, int P, int Step>
FC_INLINE void dot_columns(const PlaneDots<T>& g, const PlaneMasks<T>& masks, ptrdiff_t tap,
                           ptrdiff_t count, T* dw) {
  if constexpr (C > 1) {
    if (count < C) return dot_columns<T, KO, K, C - 1, P, Step>(g, masks, tap, count, dw);
  }
  DotTile<T, KO, K, C, P, Step>::run(g, masks, tap, dw);
}

// KO results with one source.
template <class T, int KO, int K, int P, int Step>
void dot_planes(const PlaneDots<T>& g, const PlaneMasks<T>& masks, T* dw) {
  constexpr int most = most_dot_columns<K, KO>();
  if constexpr (KO == 2 && K == 3) {
    DotTile<T, KO, K, 3, P, Step>::run(g, masks, 0, dw);
  } else {
    for (ptrdiff_t tap = 0; tap < g.taps.cols; tap += most) {
      dot_columns<T, KO, K, most, P, Step>(g, masks, tap, g.taps.cols - tap, dw);
    }
  }
}

template <class T, int K, int P, int Step>
void dot_units(PlaneDots<T> g) {
  PlaneMasks<T> masks;
  if constexpr (P > 1) {
    packed_masks(g, P, &masks);
  } else {
    row_masks(g, &masks);
  }
  const T* const src = g.src;
  const ptrdiff_t in_plane = g.in_rows * g.in_cols, out_plane = g.out_rows * g.out_cols;
  for (ptrdiff_t o = 0; o < g.results;) {
    constexpr int kMost = kDotResults<K, P, Step>;
    const bool pair = kMost == 2 && o + 2 <= g.results && (K > 3 || g.taps.cols == 3);
    T* dw = g.dw + o * g.w_result;
    g.src = src;
    for (ptrdiff_t c = 0; c < g.sources; ++c) {
      pair ? dot_planes<T, kMost, K, P, Step>(g, masks, dw)
           : dot_planes<T, 1, K, P, Step>(g, masks, dw);
      g.src += in_plane;
      dw += g.taps.rows * g.taps.cols;
    }
    const ptrdiff_t done = pair ? 2 : 1;
    o += done;
    g.grad += done * out_plane;
  }
}

template <class T, int K>
FC_INLINE void dot_steps(const PlaneDots<T>& g) {
  if constexpr (K < 7) {
    if (g.taps.step == 2) return dot_units<T, K, 1, 2>(g);
  }
  if constexpr (kLanes<T> >= 4) {
    if (rows_packed(g) > 1) return dot_units<T, K, 2, 1>(g);
  }
  dot_units<T, K, 1, 1>(g);
}

template <class T>
void plane_dot(const PlaneDots<T>& g) {
  if (g.taps.rows == 3) return dot_steps<T, 3>(g);
  if (g.taps.rows == 5) return dot_steps<T, 5>(g);
  dot_steps<T, 7>(g);
}

}  // namespace
}  // namespace fastconv
