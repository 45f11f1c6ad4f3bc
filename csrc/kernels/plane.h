// Depthwise and grouped convolution of small planes, read where they lie: no copy, no padding in
// memory. Lanes whose tap falls into the padding keep their sum.
//
// A vector holds a line: part of an output row or, where rows are narrow, two whole rows.
#pragma once

#include "../kernels.h"
#include "lanes.h"
#include "vec.h"

namespace fastconv {
namespace {

constexpr int kPlaneCols = 7;      // most taps of a row
constexpr int kPlaneVectors = 16;  // most vectors of an output row
constexpr int kPackedLines = 40;   // most lines of packed rows, with those above and below

// The lanes whose bits are set.
template <class T>
FC_INLINE LaneMask<T> mask_of_bits(unsigned bits) {
#if defined(__AVX512F__)
  return static_cast<LaneMask<T>>(bits);
#else
  using I = decltype(Mask<T>{}[0] + 0);
  const Mask<T> bit = (Mask<T>{} + I{1}) << iota<T>();
  return (bit & static_cast<I>(bits)) != 0;
#endif
}

// Whether sums can be masked; otherwise what is added is.
#if defined(__AVX512F__)
constexpr bool kMergesLanes = true;
#else
constexpr bool kMergesLanes = false;
#endif

template <class T>
FC_INLINE Vec<T> keep(Vec<T> v, LaneMask<T> mask) {
#if defined(__AVX512F__)
  (void)mask;
  return v;
#else
  return reinterpret_cast<Vec<T>>(reinterpret_cast<Mask<T>>(v) & mask);
#endif
}

// sum + a * b in the lanes of the mask; b has been through keep.
template <class T>
FC_INLINE Vec<T> fma_where(LaneMask<T> mask, Vec<T> a, Vec<T> b, Vec<T> sum) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return _mm512_mask3_fmadd_ps(a, b, sum, mask);
  } else {
    return _mm512_mask3_fmadd_pd(a, b, sum, mask);
  }
#else
  (void)mask;
  return fma(a, b, sum);
#endif
}

// Every second lane of a and b, from lane F on.
template <int F, class V, int... I>
FC_INLINE V every_second(V a, V b, Ints<I...>) {
  return __builtin_shufflevector(a, b, (2 * I + F)...);
}
template <int F, class T>
FC_INLINE Vec<T> every_second(Vec<T> a, Vec<T> b) {
  return every_second<F>(a, b, typename Count<kLanes<T>>::Type{});
}

// The masks of a call: [column tap][vector of the row], or [column tap][line] of packed rows.
template <class T>
struct PlaneMasks {
  LaneMask<T> at[kPlaneCols * kPackedLines];
  ptrdiff_t pitch;
  LaneMask<T> whole[kPlaneCols];  // of packed lines whose rows are all within the plane
};

// Lanes [lo, hi) as bits, whatever lo and hi are.
FC_INLINE unsigned bits_between(ptrdiff_t lo, ptrdiff_t hi, ptrdiff_t lanes) {
  lo = lo < 0 ? 0 : lo > lanes ? lanes : lo;
  hi = hi < lo ? lo : hi > lanes ? lanes : hi;
  return ((1u << hi) - 1u) & ~((1u << lo) - 1u);
}

FC_INLINE ptrdiff_t floor_div(ptrdiff_t a, ptrdiff_t b) {
  return a >= 0 ? a / b : -((b - 1 - a) / b);
}

// Sums of more taps over narrow rows are left to PlaneLanes.
template <class T>
FC_INLINE bool packs_rows(const PlaneSum<T>& g) {
  return g.taps.rows == 3;
}
template <class T>
FC_INLINE bool packs_rows(const PlaneDots<T>&) {
  return true;
}

// Rows that are packed into one vector.
template <class T, template <class> class Work>
int rows_packed(const Work<T>& g) {
  if (!packs_rows(g)) return 1;
  if (g.taps.step > 1 || g.out_cols != g.in_cols) return 1;
  if (g.out_rows + 3 + g.taps.rows > kPackedLines) return 1;
  return g.in_cols * 2 <= kLanes<T> ? 2 : 1;
}

template <class T, class Work>
void row_masks(const Work& g, PlaneMasks<T>* masks) {
  constexpr ptrdiff_t L = kLanes<T>;
  const ptrdiff_t step = g.taps.step;
  masks->pitch = (g.out_cols + L - 1) / L;
  for (ptrdiff_t s = 0; s < g.taps.cols; ++s) {
    // Outputs lo .. hi - 1 read columns of the plane through this tap.
    const ptrdiff_t lo = floor_div(g.taps.left - s + step - 1, step);
    const ptrdiff_t end = floor_div(g.in_cols - 1 + g.taps.left - s, step) + 1;
    const ptrdiff_t hi = end < g.out_cols ? end : g.out_cols;
    for (ptrdiff_t c = 0; c < masks->pitch; ++c) {
      masks->at[s * masks->pitch + c] = mask_of_bits<T>(bits_between(lo - c * L, hi - c * L, L));
    }
  }
}

// Line i of the input holds rows i - top .. of the plane.
template <class T, class Work>
void packed_masks(const Work& g, int rows_packed, PlaneMasks<T>* masks) {
  constexpr ptrdiff_t L = kLanes<T>;
  const ptrdiff_t width = g.in_cols;
  masks->pitch = (g.out_rows + rows_packed - 1) / rows_packed * rows_packed + g.taps.rows - 1;
  for (ptrdiff_t s = 0; s < g.taps.cols; ++s) {
    unsigned cols = 0;
    for (ptrdiff_t p = 0; p < rows_packed; ++p) {
      cols |= bits_between(g.taps.left - s, width + g.taps.left - s, width) << (p * width);
    }
    masks->whole[s] = mask_of_bits<T>(cols);
    for (ptrdiff_t i = 0; i < masks->pitch; ++i) {
      const ptrdiff_t first = (g.taps.top - i) * width;
      const unsigned rows = bits_between(first, first + g.in_rows * width, L);
      masks->at[s * masks->pitch + i] = mask_of_bits<T>(cols & rows);
    }
  }
}

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

template <class T, int KO, int R, int V, int K, int P, int Step, bool Single>
FC_INLINE ptrdiff_t plane_lines(const PlaneSum<T>& g, const PlaneMasks<T>& masks, ptrdiff_t line) {
  const ptrdiff_t vectors = P > 1 ? 1 : masks.pitch;
  ptrdiff_t v = 0;
  for (; v + V <= vectors; v += V) {
    PlaneTile<T, KO, R, V, K, P, Step>::template run<Single>(g, masks, line, v);
  }
  if constexpr (V > 1) {
    if (v < vectors) PlaneTile<T, KO, R, 1, K, P, Step>::template run<Single>(g, masks, line, v);
  }
  return line + R;
}

constexpr bool kManyPlaneRegisters = kRegisters == 32;

// KO results of every unit.
template <class T, int KO, int K, int P, int Step, bool Single>
void plane_results(const PlaneSum<T>& g, const PlaneMasks<T>& masks) {
  const ptrdiff_t lines = (g.row_hi + P - 1) / P;
  for (ptrdiff_t line = g.row_lo / P; line < lines;) {
    const ptrdiff_t left = lines - line;
    if constexpr (kManyPlaneRegisters && Single && P == 1) {
      // Tall tiles load fewer rows twice, but walk down the plane.
      if (Step == 1 && left >= 14 && (K > 3 || masks.pitch == 1)) {
        line = plane_lines<T, KO, 14, 1, K, P, Step, Single>(g, masks, line);
        continue;
      }
      if (left >= 7) {
        line = plane_lines<T, KO, 7, 2, K, P, Step, Single>(g, masks, line);
        continue;
      }
    }
    constexpr int V = P == 1 && Single ? 2 : 1;
    if (left >= 4) {
      line = plane_lines<T, KO, 4, V, K, P, Step, Single>(g, masks, line);
    } else if (left >= 2) {
      line = plane_lines<T, KO, 2, V, K, P, Step, Single>(g, masks, line);
    } else {
      line = plane_lines<T, KO, 1, V, K, P, Step, Single>(g, masks, line);
    }
  }
}

// Results that share the loads of the input: as many as the registers hold.
template <int K, int Step>
constexpr int most_results() {
  return kManyPlaneRegisters ? (K * Step <= 3 ? 4 : K * Step <= 7 ? 2 : 1) : K * Step <= 3 ? 2 : 1;
}

// All results of g.units units.
template <class T, int K, int P, int Step>
FC_INLINE void plane_units(PlaneSum<T> g, const PlaneMasks<T>& masks) {
  const ptrdiff_t plane = g.out_rows * g.out_cols;
  const auto next = [&](int results) {
    g.w += results * g.w_result;
    g.out += results * plane;
    if (g.bias) g.bias += results;
    if (g.residual) g.residual += results * plane;
  };
  ptrdiff_t left = g.results;
  constexpr int most = most_results<K, Step>();
  if constexpr (most >= 4) {
    for (; left >= 4; left -= 4, next(4)) plane_results<T, 4, K, P, Step, false>(g, masks);
  }
  if constexpr (most >= 2) {
    for (; left >= 2; left -= 2, next(2)) plane_results<T, 2, K, P, Step, false>(g, masks);
  }
  for (; left > 0; --left, next(1)) {
    g.sources == 1 ? plane_results<T, 1, K, P, Step, true>(g, masks)
                   : plane_results<T, 1, K, P, Step, false>(g, masks);
  }
}

// As many units as stay in the nearest cache while tile follows tile.
template <class T>
ptrdiff_t plane_batch(const PlaneSum<T>& g) {
  constexpr ptrdiff_t near = (16 << 10) / sizeof(T);
  const ptrdiff_t unit = g.sources * g.in_rows * g.in_cols + g.results * g.out_rows * g.out_cols;
  return unit < near ? near / unit : 1;
}

template <class T, int K, int P, int Step>
void plane_batches(PlaneSum<T> g) {
  PlaneMasks<T> masks;
  if constexpr (P > 1) {
    packed_masks(g, P, &masks);
  } else {
    row_masks(g, &masks);
  }
  const ptrdiff_t batch = plane_batch(g);
  for (ptrdiff_t units = g.units; units > 0; units -= batch) {
    g.units = units < batch ? units : batch;
    plane_units<T, K, P, Step>(g, masks);
    g.src += g.units * g.next_src;
    g.w += g.units * g.next_w;
    g.out += g.units * g.next_out;
    if (g.bias) g.bias += g.units * g.next_bias;
    if (g.residual) g.residual += g.units * g.next_out;
  }
}

template <class T>
bool whole_planes(const PlaneSum<T>& g) {
  return rows_packed(g) > 1;
}

template <class T, template <class> class Work>
ptrdiff_t plane_reach(const Work<T>& g) {
  constexpr ptrdiff_t L = kLanes<T>;
  const ptrdiff_t rows = rows_packed(g);
  if (rows > 1) return (rows + g.taps.rows) * g.in_cols + g.taps.left + g.taps.cols + L;
  return (g.out_cols / L + 1) * L * g.taps.step + L + g.taps.cols;
}

template <class T, int K>
FC_INLINE void plane_steps(const PlaneSum<T>& g) {
  if constexpr (K < 7) {
    if (g.taps.step == 2) return plane_batches<T, K, 1, 2>(g);
  }
  if constexpr (kLanes<T> >= 4 && K == 3) {  // two columns would be a vector of two otherwise
    if (rows_packed(g) == 2) return plane_batches<T, K, 2, 1>(g);
  }
  plane_batches<T, K, 1, 1>(g);
}

template <class T>
void plane_sum(const PlaneSum<T>& g) {
  if (g.taps.rows == 3) return plane_steps<T, 3>(g);
  if (g.taps.rows == 5) return plane_steps<T, 5>(g);
  plane_steps<T, 7>(g);
}

// x - x is NaN where x is not finite.
template <class T>
bool all_finite(const T* x, ptrdiff_t n) {
  constexpr int L = kLanes<T>;
  Vec<T> sum{};
  ptrdiff_t i = 0;
  for (; i + L <= n; i += L) {
    const Vec<T> v = load(x + i);
    sum += v - v;
  }
  if (i < n) {
    const Vec<T> v = load_part(x + i, static_cast<int>(n - i));
    sum += v - v;
  }
  bool finite = true;
  for (int l = 0; l < L; ++l) finite &= sum[l] == T(0);
  return finite;
}

}  // namespace
}  // namespace fastconv
