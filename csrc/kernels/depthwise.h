// Output rows of depthwise and grouped convolutions as sums of shifted source rows (see kernels.h),
// and the moves in and out of the strip that they read.
#pragma once

#include "../kernels.h"
#include "lanes.h"
#include "pack.h"
#include "vec.h"

namespace fastconv {
namespace {

// A tile is R x V vectors of outputs; with a band's K weights it fills the registers. Enough sums
// to hide the latency of the FMA, enough rows for a source row to be used K times.
constexpr bool kManyRegisters = kRegisters == 32;
constexpr int kMaxTaps = kManyRegisters ? 7 : 5;

// The first source row of a band, sums and weights of a tile: every source vector is loaded once.
template <class T, int R, int V, int K>
FC_INLINE void add_band(Vec<T> (&acc)[R][V], const BandSum<T>& g, const T* x, const T* w) {
  constexpr int L = kLanes<T>;
  const ptrdiff_t src_row = g.src_row, w_row = g.w_row, cols = g.cols;
  const ptrdiff_t* col = g.col;
  const ptrdiff_t* w_col = g.w_col;
  for (ptrdiff_t s = 0; s < cols; ++s) {
    const T* xs = x + col[s];
    const T* ws = w + w_col[s];
    Vec<T> weight[K];
    FC_UNROLL for (int k = 0; k < K; ++k) {
      weight[k] = splat(ws[k * w_row]);
      pin(weight[k]);
    }
    FC_UNROLL for (int i = 0; i < R + K - 1; ++i) {
      FC_UNROLL for (int v = 0; v < V; ++v) {
        Vec<T> row = load(xs + v * L);
        pin(row);
        FC_UNROLL for (int k = 0; k < K; ++k) {
          if (i - k >= 0 && i - k < R) acc[i - k][v] = fma(weight[k], row, acc[i - k][v]);
        }
      }
      xs += src_row;
    }
  }
}

// Hides that g is the same for every tile: the compiler would write out the loop over tiles once
// for each combination of its flags.
template <class T>
FC_INLINE const BandSum<T>& afresh(const BandSum<T>& g) {
  const BandSum<T>* p = &g;
  asm volatile("" : "+r"(p));
  return *p;
}

template <class T, int R, int V>
FC_INLINE void begin_tile(Vec<T> (&acc)[R][V], const BandSum<T>& g, const T* out, T bias,
                          ptrdiff_t lanes) {
  constexpr int L = kLanes<T>;
  FC_UNROLL for (int i = 0; i < R; ++i) {
    FC_UNROLL for (int v = 0; v < V; ++v) acc[i][v] = splat(bias);
  }
  if (!g.accumulate) return;
  FC_UNROLL for (int v = 0; v < V; ++v) {
    const int part = static_cast<int>(lanes - v * L < L ? lanes - v * L : L);
    FC_UNROLL for (int i = 0; i < R; ++i) {
      const T* from = out + i * g.out_row + v * L;
      acc[i][v] = part == L ? load(from) : load_part(from, part);
    }
  }
}

template <class T, int R, int V>
FC_INLINE void end_tile(Vec<T> (&acc)[R][V], const BandSum<T>& g, T* out, const T* residual,
                        ptrdiff_t lanes) {
  constexpr int L = kLanes<T>;
  const ptrdiff_t out_row = g.out_row, residual_row = g.residual_row;
  FC_UNROLL for (int v = 0; v < V; ++v) {
    const int part = static_cast<int>(lanes - v * L < L ? lanes - v * L : L);
    if (residual) {
      FC_UNROLL for (int i = 0; i < R; ++i) {
        const T* from = residual + i * residual_row + v * L;
        acc[i][v] += part == L ? load(from) : load_part(from, part);
      }
    }
    if (g.clamped) {
      const Vec<T> lo = splat(g.lo), hi = splat(g.hi);
      FC_UNROLL for (int i = 0; i < R; ++i) acc[i][v] = clamp(acc[i][v], lo, hi);
    }
    T* to = out + v * L;
    if (part == L) {
      FC_UNROLL for (int i = 0; i < R; ++i, to += out_row) store(to, acc[i][v]);
    } else {
      FC_UNROLL for (int i = 0; i < R; ++i, to += out_row) store_part(to, acc[i][v], part);
    }
  }
}

// R rows of every plane, from column j on, as many tiles of V vectors as fit; gives the next
// column.
template <class T, int R, int V, int K>
__attribute__((noinline)) ptrdiff_t sum_tiles(const BandSum<T>& g, ptrdiff_t row,
                                              const ptrdiff_t from) {
  constexpr int L = kLanes<T>;
  const T* src = g.src + row * g.src_row;
  const T* w = g.w;
  T* out = g.out + row * g.out_row;
  const T* bias = g.bias;
  const T* residual = g.residual ? g.residual + row * g.residual_row : nullptr;
  const ptrdiff_t last = g.row_hi - row * g.row_step;
  const ptrdiff_t first = g.row_lo - (row + R + K - 2) * g.row_step;
  ptrdiff_t j = from;
  for (ptrdiff_t plane = 0; plane < g.planes; ++plane) {
    for (j = from; j + (V - 1) * L < g.width; j += V * L) {
      Vec<T> acc[R][V];
      begin_tile<T, R, V>(acc, afresh(g), out + j, bias ? *bias : T(0), g.width - j);
      for (ptrdiff_t b = 0; b < g.bands_count; ++b) {
        const TapBand& band = g.bands[b];
        if (band.row < first || band.row >= last) continue;
        add_band<T, R, V, K>(acc, g, src + j + band.src, w + band.w);
      }
      end_tile<T, R, V>(acc, afresh(g), out + j, residual ? residual + j : nullptr, g.width - j);
    }
    src += g.next_src;
    w += g.next_w;
    out += g.next_out;
    if (residual) residual += g.next_out;
    if (bias) bias += g.next_bias;
  }
  return j;
}

template <class T, int R, int V, int K>
FC_INLINE ptrdiff_t sum_rows(const BandSum<T>& g, ptrdiff_t row) {
  const ptrdiff_t j = g.width > (V - 1) * kLanes<T> ? sum_tiles<T, R, V, K>(g, row, 0) : 0;
  if (j < g.width) sum_tiles<T, R, 1, K>(g, row, j);
  return row + R;
}

// Doubles do with tiles of four rows and of one: the code is not small.
template <class T>
constexpr bool kTallTiles = sizeof(T) == 4;

template <class T, int K>
void sum_planes(const BandSum<T>& g) {
  // Planes of a multiple of 7 rows are common.
  [[maybe_unused]] const bool sevens = g.rows % 7 == 0;
  for (ptrdiff_t row = 0; row < g.rows;) {
    const ptrdiff_t left = g.rows - row;
    if constexpr (kManyRegisters && kTallTiles<T>) {
      if (left >= 8 && !sevens) {
        row = sum_rows<T, 8, 2, K>(g, row);
        continue;
      }
      if (left >= 7) {
        row = sum_rows<T, 7, 2, K>(g, row);
        continue;
      }
    }
    if (left >= 4) {
      row = sum_rows<T, 4, kManyRegisters ? 3 : 2, K>(g, row);
    } else if (kVectorBytes > 16 && kTallTiles<T> && left >= 2) {
      row = sum_rows<T, 2, 4, K>(g, row);
    } else {
      row = sum_rows<T, 1, kManyRegisters ? 8 : 6, K>(g, row);
    }
  }
}

template <class T>
void band_sum(const BandSum<T>& g) {
  switch (g.taps) {
    case 1:
      return sum_planes<T, 1>(g);
    case 2:
      return sum_planes<T, 2>(g);
    case 3:
      return sum_planes<T, 3>(g);
    case 4:
      return sum_planes<T, 4>(g);
    case 5:
      return sum_planes<T, 5>(g);
    default:
      return sum_planes<T, kMaxTaps>(g);
  }
}

template <class T>
FC_INLINE Vec<T> odds(Vec<T> a, Vec<T> b) {
  constexpr int L = kLanes<T>;
  if constexpr (L == 16) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  } else if constexpr (L == 8) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
  } else if constexpr (L == 4) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7);
  } else {
    return __builtin_shufflevector(a, b, 1, 3);
  }
}

template <class T>
FC_INLINE int at_most_vector(ptrdiff_t n) {
  return static_cast<int>(n < 0 ? 0 : n < kLanes<T> ? n : kLanes<T>);
}

template <class T>
FC_INLINE void fill_even(const T* src, ptrdiff_t cols, ptrdiff_t first, ptrdiff_t pitch, T* dst) {
  constexpr int L = kLanes<T>;
  T* even = dst + first % 2 * pitch + first / 2;
  T* odd = dst + (first + 1) % 2 * pitch + (first + 1) / 2;
  ptrdiff_t j = 0;
  for (; j + 2 * L <= cols; j += 2 * L, even += L, odd += L) {
    const Vec<T> a = load(src + j), b = load(src + j + L);
    store(even, evens<T>(a, b));
    store(odd, odds<T>(a, b));
  }
  if (j < cols) {
    const Vec<T> a = load_part(src + j, at_most_vector<T>(cols - j));
    const Vec<T> b = load_part(src + j + L, at_most_vector<T>(cols - j - L));
    store(even, evens<T>(a, b));
    store(odd, odds<T>(a, b));
  }
}

// Every Step-th of cols elements.
template <class T, int Step>
FC_INLINE void fill_every(const T* src, ptrdiff_t cols, T* dst) {
  constexpr int L = kLanes<T>;
  for (ptrdiff_t j = 0; j < cols; j += Step * L, dst += L) {
    Vec<T> part[Step];
    FC_UNROLL for (int i = 0; i < Step; ++i) {
      part[i] = load_part(src + j + i * L, at_most_vector<T>(cols - j - i * L));
    }
    store(dst, every<Step>(part));
  }
}

template <class T>
void fill_rows(const RowMove<T>& m) {
  constexpr int L = kLanes<T>;
  // By value: the stores below might change m, as far as the compiler knows.
  const ptrdiff_t rows = m.rows, cols = m.cols, step = m.step, first = m.first, pitch = m.pitch;
  const ptrdiff_t src_row = m.src_row, dst_row = m.dst_row, planes = m.planes;
  const ptrdiff_t src_plane = m.src_plane, dst_plane = m.dst_plane;
  const ptrdiff_t whole = cols / L * L;
  const int part = static_cast<int>(cols - whole);
  const T* plane = m.src;
  T* strip = m.dst;
  for (ptrdiff_t p = 0; p < planes; ++p, plane += src_plane, strip += dst_plane) {
    const T* src = plane;
    T* dst = strip;
    if (step == 1) {
      dst += first;
      for (ptrdiff_t i = 0; i < rows; ++i, src += src_row, dst += dst_row) {
        for (ptrdiff_t j = 0; j < whole; j += L) store(dst + j, load(src + j));
        if (part) store(dst + whole, load_part(src + whole, part));
      }
    } else if (step == 2) {
      for (ptrdiff_t i = 0; i < rows; ++i, src += src_row, dst += dst_row) {
        fill_even(src, cols, first, pitch, dst);
      }
    } else {
      for (ptrdiff_t i = 0; i < rows; ++i, src += src_row, dst += dst_row) {
        for (ptrdiff_t f = 0; f < step && f < cols; ++f) {
          T* to = dst + (first + f) % step * pitch + (first + f) / step;
          if (step == 3) {
            fill_every<T, 3>(src + f, cols - f, to);
          } else if (step == 4) {
            fill_every<T, 4>(src + f, cols - f, to);
          } else {
            for (ptrdiff_t j = f; j < cols; j += step) *to++ = src[j];
          }
        }
      }
    }
  }
}

template <class T>
FC_INLINE void zip(Vec<T> a, Vec<T> b, T* dst) {
  constexpr int L = kLanes<T>;
  if constexpr (L == 16) {
    store<T>(dst,
             __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
    store<T>(dst + L, __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
                                              14, 30, 15, 31));
  } else if constexpr (L == 8) {
    store<T>(dst, __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11));
    store<T>(dst + L, __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15));
  } else if constexpr (L == 4) {
    store<T>(dst, __builtin_shufflevector(a, b, 0, 4, 1, 5));
    store<T>(dst + L, __builtin_shufflevector(a, b, 2, 6, 3, 7));
  } else {
    store<T>(dst, __builtin_shufflevector(a, b, 0, 2));
    store<T>(dst + L, __builtin_shufflevector(a, b, 1, 3));
  }
}

template <class T>
void interleave_rows(const RowMove<T>& m) {
  constexpr int L = kLanes<T>;
  for (ptrdiff_t row = 0; row < m.planes * m.rows; ++row) {
    const T* src = m.src + row / m.rows * m.src_plane + row % m.rows * m.src_row;
    T* dst = m.dst + row / m.rows * m.dst_plane + row % m.rows * m.dst_row;
    ptrdiff_t j = 0;
    if (m.step == 2) {
      for (; (j + L) * 2 <= m.cols; j += L) {
        zip<T>(load(src + j), load(src + m.pitch + j), dst + 2 * j);
      }
    }
    for (ptrdiff_t f = 0; f < m.step; ++f) {
      for (ptrdiff_t i = j; i * m.step + f < m.cols; ++i) {
        dst[i * m.step + f] = src[f * m.pitch + i];
      }
    }
  }
}

}  // namespace
}  // namespace fastconv
