// Winograd's transforms in two dimensions, between images and points (see kernels.h). Along rows
// pixels are lanes; a transpose then makes channels lanes for the other axis and for the product.
#pragma once

#include "../kernels.h"
#include "pack.h"
#include "vec.h"
#include "winograd_lines.h"
#include "winograd_points.h"
#include "winograd_product.h"
#include "winograd_turn.h"

namespace fastconv {
namespace {

// Pixels of a row that one call transforms: a row of tiles with all its channels stays in L1.
constexpr int kRun = 64;

// Lanes [lo, hi), the rest zero; memory outside them is not touched.
template <class T>
FC_INLINE Vec<T> load_between(const T* p, int lo, int hi) {
#if defined(__AVX512F__)
  const unsigned keep = ((1u << hi) - 1u) & ~((1u << lo) - 1u);
  if constexpr (sizeof(T) == 4) {
    return reinterpret_cast<Vec<T>>(_mm512_maskz_loadu_epi32(static_cast<__mmask16>(keep), p));
  } else {
    return reinterpret_cast<Vec<T>>(_mm512_maskz_loadu_epi64(static_cast<__mmask8>(keep), p));
  }
#else
  Vec<T> v{};
  for (int i = lo; i < hi; ++i) v[i] = p[i];
  return v;
#endif
}

template <bool value>
struct Whole {
  constexpr operator bool() const { return value; }
};

constexpr ptrdiff_t bounded(ptrdiff_t x, ptrdiff_t lo, ptrdiff_t hi) {
  return x < lo ? lo : x > hi ? hi : x;
}

// Windows of Tf::kFrom x Tf::kFrom pixels, kStep apart, to Tf::kTo x Tf::kTo points. Group by group
// of pixels: transform along y, transpose, and at once transform along x the tiles now complete.
// The gradient's tiles are filters (kWeights).
template <class T, class P, class Tf, bool kWeights>
void tiles_in(const WinogradIn<T>& g) {
  constexpr int L = kLanes<T>, kFrom = Tf::kFrom, kTo = Tf::kTo, kStep = P::kOut;
  // A group is whole vectors and whole steps. It completes as many tiles as it has steps, together
  // with the kKept pixels before it.
  constexpr int kGroup = L < kStep ? kStep : L;
  constexpr int kBehind = (kFrom - 1) / kStep, kKept = kBehind * kStep;
  alignas(64) T down[kTo][kGroup / L][L][L];           // [point along y][vector][channel][pixel]
  alignas(64) T kept[kTo][kKept ? kKept : 1][L] = {};  // [point along y][pixel][channel]
  alignas(64) const T zeros[kGroup] = {};
  const int channels = g.channels, tiles = g.tiles;
  const ptrdiff_t point = g.point, tile = g.tile;
  // Rows outside the image are a row of zeros that never advances.
  const T* row[kFrom];
  ptrdiff_t plane[kFrom], along[kFrom];
  for (int i = 0; i < kFrom; ++i) {
    const bool inside = g.y + i >= 0 && g.y + i < g.height;
    row[i] = inside ? g.src + (g.y + i) * g.width + g.x : zeros;
    plane[i] = inside ? g.plane : 0;
    along[i] = inside ? 1 : 0;
  }
  for (int i = 0; i < kTo; ++i) {
    for (int c = channels; c < L; ++c) {
      FC_UNROLL for (int n = 0; n < kGroup / L; ++n) store(down[i][n][c], Vec<T>{});
    }
  }
  ptrdiff_t j = 0;
  for (int first = -kBehind; first < tiles; first += kGroup / kStep) {
    FC_UNROLL for (int n = 0; n < kGroup / L; ++n, j += L) {
      const int lo = static_cast<int>(bounded(-g.x - j, 0, L));
      const int hi = static_cast<int>(bounded(g.width - g.x - j, lo, L));
      const auto along_y = [&](auto whole) {
        const T* at[kFrom];
        FC_UNROLL for (int i = 0; i < kFrom; ++i) at[i] = row[i] + j * along[i];
        for (int c = 0; c < channels; ++c) {
          Vec<T> d[kFrom], r[kTo];
          FC_UNROLL for (int i = 0; i < kFrom; ++i) {
            Vec<T> x = whole ? load(at[i]) : load_between(at[i], lo, hi);
            pin(x);
            d[i] = x;
            at[i] += plane[i];
          }
          Tf::run(d, r);
          FC_UNROLL for (int i = 0; i < kTo; ++i) store(down[i][n][c], r[i]);
        }
      };
      if (hi - lo == L) {
        along_y(Whole<true>{});
      } else {
        along_y(Whole<false>{});
      }
    }
    for (int i = 0; i < kTo; ++i) {
      Vec<T> v[kKept + kGroup];
      FC_UNROLL for (int p = 0; p < kKept; ++p) v[p] = load(kept[i][p]);
      FC_UNROLL for (int n = 0; n < kGroup / L; ++n) {
        FC_UNROLL for (int c = 0; c < L; ++c) v[kKept + n * L + c] = load(down[i][n][c]);
        transpose_square<T>(v + kKept + n * L);
      }
      FC_UNROLL for (int p = 0; p < kKept; ++p) store(kept[i][p], v[kGroup + p]);
      T* to = g.dst + i * kTo * point + first * tile;
      FC_UNROLL for (int t = 0; t < kGroup / kStep; ++t, to += tile) {
        Vec<T> r[kTo];
        Tf::run(v + t * kStep, r);
        if (first + t < 0 || first + t >= tiles) continue;
        FC_UNROLL for (int q = 0; q < kTo; ++q) {
          store(to + q * point,
                kWeights ? i == 0 ? weighted<P>(r[q], 0, q) : weighted<P>(r[q], 1, q) : r[q]);
        }
      }
    }
  }
}

// A sum is finite only if all its terms are. (One of huge terms may not be: then a result is
// computed once more than needed.)
template <class T>
FC_INLINE bool all_finite(Vec<T> sum, int lanes) {
  bool fine = true;
  for (int l = 0; l < lanes; ++l) fine &= sum[l] * 0 == T(0);
  return fine;
}

// Tf::kFrom x Tf::kFrom points to tiles of Tf::kTo x Tf::kTo pixels.
template <class T, class Tf>
bool tiles_out(const WinogradOut<T>& g) {
  constexpr int L = kLanes<T>, kFrom = Tf::kFrom, kTo = Tf::kTo;
  alignas(64) T rows[kTo][kRun][L];  // [row][pixel][channel]
  const Vec<T> bias = g.bias ? load_part(g.bias, g.channels) : Vec<T>{};
  Vec<T> sum{};
  const T* from = g.src;
  for (int t = 0; t < g.tiles; ++t, from += g.tile) {
    Vec<T> half[kTo][kFrom];
    FC_UNROLL for (int q = 0; q < kFrom; ++q) {
      Vec<T> m[kFrom], y[kTo];
      FC_UNROLL for (int i = 0; i < kFrom; ++i) m[i] = load(from + (i * kFrom + q) * g.point);
      Tf::run(m, y);
      FC_UNROLL for (int i = 0; i < kTo; ++i) half[i][q] = y[i];
    }
    FC_UNROLL for (int i = 0; i < kTo; ++i) {
      Vec<T> y[kTo];
      Tf::run(half[i], y);
      FC_UNROLL for (int q = 0; q < kTo; ++q) {
        y[q] += bias;
        sum += y[q];
        store(rows[i][t * kTo + q], y[q]);
      }
    }
  }
  const Vec<T> lo = splat(g.lo), hi = splat(g.hi);
  const ptrdiff_t height = bounded(g.height - g.y, 0, kTo);
  const int width = static_cast<int>(bounded(g.width - g.x, 0, g.tiles * kTo));
  for (ptrdiff_t i = 0; i < height; ++i) {
    for (int j = 0; j < width; j += L) {
      const int part = width - j < L ? width - j : L;
      Vec<T> v[L];
      FC_UNROLL for (int p = 0; p < L; ++p) v[p] = load(rows[i][j + p]);
      transpose_square<T>(v);
      const ptrdiff_t at = (g.y + i) * g.width + g.x + j;
      FC_UNROLL for (int c = 0; c < L; ++c) {
        if (c >= g.channels) break;
        T* to = g.dst + c * g.plane + at;
        if (g.residual) {
          const T* r = g.residual + c * g.plane + at;
          v[c] += part == L ? load(r) : load_part(r, part);
        }
        v[c] = clamp(v[c], lo, hi);
        if (part == L) {
          store(to, v[c]);
        } else {
          store_part(to, v[c], part);
        }
      }
    }
  }
  return all_finite<T>(sum, g.channels);
}

template <int kToWrite = 0, class T>
FC_INLINE void fetch(const T* p, int count) {
  const char* at = reinterpret_cast<const char*>(p);
  for (int i = 0; i < count * static_cast<int>(sizeof(T)); i += 64)
    __builtin_prefetch(at + i, kToWrite);
}

// Filters come from memory: those wanted some hundred cycles from now are fetched meanwhile.
template <class T, class P>
void filters_in(const WinogradFilter<T>& g) {
  using Tf = typename P::Filter;
  constexpr int L = kLanes<T>, kTo = Tf::kTo;
  const bool along = g.depth == 9;  // filters along the depth follow each other
  for (ptrdiff_t k = 0; k < g.count; ++k) {
    if (along) {
      const ptrdiff_t l = k % L;
      if (l < g.lanes) fetch(g.w + l * g.lane + (k - l + L) * 9, 9 * L);
    } else {
      fetch(g.w + (k + 8) * g.depth, 9 * L);
    }
    Vec<T> taps[9], half[kTo][3];
    load_nine(g.w + k * g.depth, g.lane, g.lanes, taps);
    if (g.rotate) {
      FC_UNROLL for (int i = 0; i < 4; ++i) {
        const Vec<T> other = taps[8 - i];
        taps[8 - i] = taps[i];
        taps[i] = other;
      }
    }
    FC_UNROLL for (int s = 0; s < 3; ++s) {
      Vec<T> d[3], r[kTo];
      FC_UNROLL for (int i = 0; i < 3; ++i) d[i] = taps[3 * i + s];
      Tf::run(d, r);
      FC_UNROLL for (int i = 0; i < kTo; ++i) half[i][s] = r[i];
    }
    T* to = g.u + k * g.row;
    FC_UNROLL for (int i = 0; i < kTo; ++i) {
      Vec<T> r[kTo];
      Tf::run(half[i], r);
      FC_UNROLL for (int q = 0; q < kTo; ++q, to += g.point) store(to, weighted<P>(r[q], i, q));
    }
  }
}

template <class T, class Tf>
bool filters_out(const WinogradFilterGrad<T>& g) {
  constexpr int L = kLanes<T>, kFrom = Tf::kFrom;
  alignas(64) T taps[9 * L][L];  // [filter and tap][lane]
  Vec<T> sum{};
  for (ptrdiff_t k = 0; k < g.count; k += L) {
    const int filters = static_cast<int>(g.count - k < L ? g.count - k : L);
    for (int f = 0; f < filters; ++f) {
      const T* from = g.u + (k + f) * g.row;
      if (f < g.lanes) fetch<1>(g.w + f * g.lane + 9 * (k + L), 9 * L);
      Vec<T> half[3][kFrom];
      FC_UNROLL for (int q = 0; q < kFrom; ++q) {
        Vec<T> m[kFrom], y[3];
        FC_UNROLL for (int i = 0; i < kFrom; ++i) m[i] = load(from + (i * kFrom + q) * g.point);
        Tf::run(m, y);
        FC_UNROLL for (int i = 0; i < 3; ++i) half[i][q] = y[i];
      }
      FC_UNROLL for (int i = 0; i < 3; ++i) {
        Vec<T> y[3];
        Tf::run(half[i], y);
        FC_UNROLL for (int q = 0; q < 3; ++q) {
          sum += y[q];
          store(taps[9 * f + 3 * i + q], y[q]);
        }
      }
    }
    const int cols = 9 * filters;
    for (int j = 0; j < cols; j += L) {
      const int part = cols - j < L ? cols - j : L;
      Vec<T> v[L];
      FC_UNROLL for (int p = 0; p < L; ++p) v[p] = load(taps[j + p]);
      transpose_square<T>(v);
      FC_UNROLL for (int l = 0; l < L; ++l) {
        if (l < g.lanes) store_part(g.w + l * g.lane + 9 * k + j, v[l], part);
      }
    }
  }
  return all_finite<T>(sum, g.lanes);
}

template <class T, class P>
constexpr WinogradTile<T> winograd_tile() {
  return {P::kOut,
          tiles_in<T, P, typename P::Input, false>,
          tiles_out<T, typename P::Output>,
          filters_in<T, P>,
          tiles_in<T, P, typename P::Grad, true>,
          filters_out<T, typename P::FilterGrad>};
}

// F(4) is for floats alone, see ops/winograd.h.
template <class T>
constexpr WinogradKernels<T> winograd_table() {
  WinogradTile<T> f4{};
  WinogradLines<T> lines{};
  if constexpr (sizeof(T) == 4) {
    f4 = winograd_tile<T, Points4>();
    lines = winograd_lines<T, Points4>();
  }
  return {kLanes<T>,
          kProductRows<T>,
          kProductLanes<T>,
          kRun,
          winograd_product<T>,
          winograd_tile<T, Points2>(),
          f4,
          lines};
}

}  // namespace
}  // namespace fastconv
