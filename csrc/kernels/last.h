// Products and depthwise sums where the channels lie last (see contracts/last.h).
#pragma once

#include "../kernels.h"
#include "vec.h"

namespace fastconv {
namespace {

using T = float;

constexpr int kPanelVectors = kRegisters == 32 ? 4 : 2;

// Rows of a tile that is NV vectors wide: 28 sums where there are 32 registers, 12 where 16.
constexpr int rows_of_tile(int nv) {
  return kRegisters == 32 ? (nv > 2 ? 7 : 14) : 6;
}

template <int N>
struct Count {
  static constexpr int value = N;
};

// R pixels x NV vectors of outputs. Meanwhile a line for each k is fetched from `ahead`.
template <int R, int NV>
FC_INLINE void product_tile(const LastProduct& g, ptrdiff_t row, const T* b, ptrdiff_t j,
                            const T* ahead) {
  constexpr int L = kLanes<T>, lanes = kPanelVectors * L;
  Vec<T> acc[R][NV];
  FC_UNROLL for (int v = 0; v < NV; ++v) {
    const Vec<T> bias = load(g.bias + j + v * L);
    FC_UNROLL for (int i = 0; i < R; ++i) acc[i][v] = bias;
  }
  for (ptrdiff_t t = 0; t < g.count; ++t) {
    const T* a[R];
    const T* from = g.a + g.pieces[t].a;
    FC_UNROLL for (int i = 0; i < R; ++i) {
      a[i] = from + (g.a_off ? g.a_off[row + i] : (row + i) * g.a_row);
    }
    const T* p = b + g.pieces[t].b * lanes;
    for (ptrdiff_t k = 0; k < g.depth; ++k, p += lanes, ahead += L) {
      __builtin_prefetch(ahead, 0, 2);
      Vec<T> bv[NV];
      FC_UNROLL for (int v = 0; v < NV; ++v) {
        bv[v] = load(p + v * L);
        pin(bv[v]);
      }
      FC_UNROLL for (int i = 0; i < R; ++i) {
        const Vec<T> x = splat(a[i][k]);
        FC_UNROLL for (int v = 0; v < NV; ++v) acc[i][v] = fma(x, bv[v], acc[i][v]);
      }
    }
  }
  const Vec<T> lo = splat(g.lo), hi = splat(g.hi);
  FC_UNROLL for (int i = 0; i < R; ++i) {
    T* const c = g.c + g.c_off[row + i] + j;
    FC_UNROLL for (int v = 0; v < NV; ++v) store(c + v * L, clamp(acc[i][v], lo, hi));
  }
}

// All pixels of one panel; the last whole tile begins earlier where pixels are left over.
template <int NV>
__attribute__((noinline)) void product_panel(const LastProduct& g, const T* b, ptrdiff_t j) {
  constexpr int R = rows_of_tile(NV), half = R / 2;
  const T* ahead = b + g.b_panel;  // the next panel
  ptrdiff_t i = 0;
  const auto tiles = [&](auto rows) FC_LAMBDA {
    constexpr int n = decltype(rows)::value;
    const T* const end = b + 2 * g.b_panel;
    const ptrdiff_t fetched = g.count * g.depth * kLanes<T>;
    for (; i < g.rows; i += n) {
      product_tile<n, NV>(g, i + n <= g.rows ? i : g.rows - n, b, j, ahead);
      ahead = ahead + fetched < end ? ahead + fetched : ahead;
    }
  };
  if (g.rows >= R) {
    tiles(Count<R>{});
  } else if (g.rows >= half) {
    tiles(Count<half>{});
  } else {
    tiles(Count<1>{});
  }
}

void last_product(const LastProduct& g) {
  constexpr int L = kLanes<T>, lanes = kPanelVectors * L;
  const T* b = g.b;
  for (ptrdiff_t j = 0; j < g.outputs; j += lanes, b += g.b_panel) {
    const ptrdiff_t vectors = (g.outputs - j + L - 1) / L;
    if (kPanelVectors == 4 && vectors >= 4) {
      product_panel<kPanelVectors>(g, b, j);
    } else if (kPanelVectors == 4 && vectors == 3) {
      product_panel<kPanelVectors - 1>(g, b, j);
    } else if (vectors >= 2) {
      product_panel<2>(g, b, j);
    } else {
      product_panel<1>(g, b, j);
    }
  }
}

// N outputs of a row, for `count` vectors of channels, from channel e on.
template <int N>
FC_INLINE void sum_tile(const LastSum& g, const T* src, T* out, ptrdiff_t e, int count) {
  constexpr int L = kLanes<T>, half = N > 7 ? N / 2 : N;
  const Vec<T> lo = splat(g.lo), hi = splat(g.hi);
  const ptrdiff_t step = g.src_step, out_step = g.out_step, w_tap = g.w_tap, taps = g.taps;
  const ptrdiff_t* const tap_off = g.tap_off;
  const T* w = g.w + e;
  const T* bias = g.bias + e;
  src += e;
  out += e;
  for (int v = 0; v < count; ++v, src += L, out += L, w += L, bias += L) {
    Vec<T> acc[N];
    const Vec<T> start = load(bias);
    FC_UNROLL for (int j = 0; j < N; ++j) acc[j] = start;
    const T* tap = w;
    for (ptrdiff_t t = 0; t < taps; ++t, tap += w_tap) {
      const Vec<T> weight = load(tap);
      const T* x[2] = {src + tap_off[t]};
      x[1] = x[0] + half * step;
      hide(x[1]);
      FC_UNROLL for (int j = 0; j < N; ++j) {
        acc[j] = fma(weight, load(x[j / half] + j % half * step), acc[j]);
      }
    }
    T* to[2] = {out, out + half * out_step};
    hide(to[1]);
    FC_UNROLL for (int j = 0; j < N; ++j) {
      store(to[j / half] + j % half * out_step, clamp(acc[j], lo, hi));
    }
  }
}

// Down a column of tiles for a few vectors of channels, whose inputs are then in the first cache
// for as long as windows overlap. The last tile begins earlier where it would not be full.
template <int N>
__attribute__((noinline)) void sum_columns(const LastSum& g, ptrdiff_t e, int count) {
  for (ptrdiff_t j = 0; j < g.width; j += N) {
    const ptrdiff_t at = j + N <= g.width ? j : g.width - N;
    for (ptrdiff_t i = 0; i < g.rows; ++i) {
      sum_tile<N>(g, g.src + i * g.src_row + at * g.src_step,
                  g.out + i * g.out_row + at * g.out_step, e, count);
    }
  }
}

// Pictures of known networks are 7 << n pixels wide.
void last_sum(const LastSum& g) {
  constexpr int L = kLanes<T>, most = 4, wide = kRegisters == 32 ? 14 : 7;
  for (ptrdiff_t e = 0; e < g.channels; e += most * L) {
    const ptrdiff_t left = (g.channels - e + L - 1) / L;
    const int count = left < most ? static_cast<int>(left) : most;
    if (g.width >= wide) {
      sum_columns<wide>(g, e, count);
    } else if (g.width >= 7) {
      sum_columns<7>(g, e, count);
    } else {
      sum_columns<1>(g, e, count);
    }
  }
}

// N taps over some rows, a vector of channels after the other. Spread: a tap is one number for all.
template <int N, bool Spread>
__attribute__((noinline)) void dot_rows(const LastDot& d, const LastPiece* pieces, const T* grad,
                                        const T* src, ptrdiff_t rows, ptrdiff_t width) {
  constexpr int L = kLanes<T>;
  const ptrdiff_t step = d.src_step, grad_step = d.grad_step;
  for (ptrdiff_t e = 0; e < d.channels; e += L) {
    Vec<T> acc[N];
    const T* x[N];
    FC_UNROLL for (int t = 0; t < N; ++t) {
      acc[t] = load(d.out + pieces[t].b + e);
      x[t] = src + pieces[t].a + (Spread ? 0 : e);
    }
    for (ptrdiff_t i = 0; i < rows; ++i) {
      const T* g = grad + i * d.grad_row + e;
      const ptrdiff_t from = i * d.src_row, to = from + width * step;
      for (ptrdiff_t j = from; j < to; j += step, g += grad_step) {
        const Vec<T> gv = load(g);
        FC_UNROLL for (int t = 0; t < N; ++t) {
          acc[t] = fma(gv, Spread ? splat(x[t][j]) : load(x[t] + j), acc[t]);
        }
      }
    }
    FC_UNROLL for (int t = 0; t < N; ++t) store(d.out + pieces[t].b + e, acc[t]);
  }
}

// Pieces of rows, whose inputs stay in the first cache for as long as windows overlap.
template <bool Spread>
void last_dot(const LastDot& d) {
  constexpr ptrdiff_t kWidth = 32, kPixels = 64;
  for (ptrdiff_t j = 0; j < d.width; j += kWidth) {
    const ptrdiff_t width = d.width - j < kWidth ? d.width - j : kWidth;
    for (ptrdiff_t i = 0, rows; i < d.rows; i += rows) {
      rows = kPixels / width < d.rows - i ? kPixels / width : d.rows - i;
      const T* grad = d.grad + i * d.grad_row + j * d.grad_step;
      const T* src = d.src + i * d.src_row + j * d.src_step;
      for (ptrdiff_t t = 0; t < d.taps;) {
        const ptrdiff_t left = d.taps - t;
        const int n = left >= 9 ? 9 : left >= 5 ? 5 : left >= 3 ? 3 : static_cast<int>(left);
        const auto run = n == 9   ? dot_rows<9, Spread>
                         : n == 5 ? dot_rows<5, Spread>
                         : n == 3 ? dot_rows<3, Spread>
                         : n == 2 ? dot_rows<2, Spread>
                                  : dot_rows<1, Spread>;
        run(d, d.pieces + t, grad, src, rows, width);
        t += n;
      }
    }
  }
}

}  // namespace
}  // namespace fastconv
