// Winograd's transforms in two dimensions, between images and points (see kernels.h). Along rows
// pixels are lanes; a transpose then makes channels lanes for the other axis and for the product.
#pragma once

#include "../kernels.h"
#include "pack.h"
#include "vec.h"
#include "winograd_points.h"
#include "winograd_product.h"

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

// Windows of Tf::kFrom x Tf::kFrom pixels, kStep apart, to Tf::kTo x Tf::kTo points. Vector by
// vector of pixels: transform along y, transpose, and at once transform along x the tiles now
// complete.
template <class T, class Tf, int kStep>
void tiles_in(const WinogradIn<T>& g) {
  constexpr int L = kLanes<T>, kFrom = Tf::kFrom, kTo = Tf::kTo;
  alignas(64) T down[kTo][L][L];            // [point along y][channel][pixel]
  alignas(64) T turned[kTo][kFrom + L][L];  // [point along y][pixel][channel]
  alignas(64) const T zeros[L] = {};
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
  for (int c = channels; c < L; ++c) {
    FC_UNROLL for (int i = 0; i < kTo; ++i) store(down[i][c], Vec<T>{});
  }
  int kept = 0, done = 0;  // pixels left from the vector before, tiles finished
  for (ptrdiff_t j = 0; done < tiles; j += L) {
    const int lo = static_cast<int>(bounded(-g.x - j, 0, L));
    const int hi = static_cast<int>(bounded(g.width - g.x - j, lo, L));
    const auto along_y = [&](auto whole) {
      const T* at[kFrom];
      FC_UNROLL for (int i = 0; i < kFrom; ++i) at[i] = row[i] + j * along[i];
      for (int c = 0; c < channels; ++c) {
        Vec<T> d[kFrom], r[kTo];
        FC_UNROLL for (int i = 0; i < kFrom; ++i) {
          d[i] = whole ? load(at[i]) : load_between(at[i], lo, hi);
          at[i] += plane[i];
        }
        Tf::run(d, r);
        FC_UNROLL for (int i = 0; i < kTo; ++i) store(down[i][c], r[i]);
      }
    };
    if (hi - lo == L) {
      along_y(Whole<true>{});
    } else {
      along_y(Whole<false>{});
    }
    const int have = kept + L;
    const int complete = have < kFrom ? 0 : (have - kFrom) / kStep + 1;
    const int ready = complete < tiles - done ? complete : tiles - done;
    for (int i = 0; i < kTo; ++i) {
      Vec<T> v[L];
      FC_UNROLL for (int c = 0; c < L; ++c) v[c] = load(down[i][c]);
      transpose_square<T>(v);
      FC_UNROLL for (int c = 0; c < L; ++c) store(turned[i][kept + c], v[c]);
      T* to = g.dst + i * kTo * point + done * tile;
      for (int t = 0; t < ready; ++t, to += tile) {
        Vec<T> d[kFrom], r[kTo];
        FC_UNROLL for (int q = 0; q < kFrom; ++q) d[q] = load(turned[i][t * kStep + q]);
        Tf::run(d, r);
        FC_UNROLL for (int q = 0; q < kTo; ++q) store(to + q * point, r[q]);
      }
      for (int p = ready * kStep; p < have; ++p) {
        if (p - ready * kStep < kFrom) store(turned[i][p - ready * kStep], load(turned[i][p]));
      }
    }
    kept = have - ready * kStep;
    done += ready;
  }
}

// Zero times x is zero for every finite x and NaN for the others: one multiply-add notes what is
// not finite.
template <class V>
FC_INLINE V note(V noted, V v) {
  return noted + v * Element<V>(0);
}

template <class T>
FC_INLINE bool all_finite(Vec<T> noted, int lanes) {
  bool fine = true;
  for (int l = 0; l < lanes; ++l) fine &= noted[l] == T(0);
  return fine;
}

// Tf::kFrom x Tf::kFrom points to tiles of Tf::kTo x Tf::kTo pixels.
template <class T, class Tf>
bool tiles_out(const WinogradOut<T>& g) {
  constexpr int L = kLanes<T>, kFrom = Tf::kFrom, kTo = Tf::kTo;
  alignas(64) T rows[kTo][kRun][L];  // [row][pixel][channel]
  const Vec<T> bias = g.bias ? load_part(g.bias, g.channels) : Vec<T>{};
  Vec<T> noted{};
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
        noted = note(noted, y[q]);
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
  return all_finite<T>(noted, g.channels);
}

// Filters are transformed in S, which may be wider than T, and rounded once. H vectors of S hold
// the lanes of one of T.
template <class T, class S>
struct Widened {
  static constexpr int kParts = kLanes<T> / kLanes<S>;
  typedef T Part
      __attribute__((vector_size(kVectorBytes / kParts), aligned(alignof(T)), may_alias));
  static FC_INLINE Vec<S> load(const T* p) {
    return __builtin_convertvector(*reinterpret_cast<const Part*>(p), Vec<S>);
  }
  static FC_INLINE void store(T* p, Vec<S> v) {
    *reinterpret_cast<Part*>(p) = __builtin_convertvector(v, Part);
  }
};

// taps[9][lanes] to u[points][lanes].
template <class T, class S, class Tf>
FC_INLINE void filter_points(const T* taps, ptrdiff_t tap, T* u, ptrdiff_t point) {
  using Wide = Widened<T, S>;
  constexpr int kTo = Tf::kTo;
  for (int part = 0; part < Wide::kParts; ++part, taps += kLanes<S>, u += kLanes<S>) {
    Vec<S> half[kTo][3];
    FC_UNROLL for (int s = 0; s < 3; ++s) {
      Vec<S> g[3], r[kTo];
      FC_UNROLL for (int i = 0; i < 3; ++i) g[i] = Wide::load(taps + (3 * i + s) * tap);
      Tf::run(g, r);
      FC_UNROLL for (int i = 0; i < kTo; ++i) half[i][s] = r[i];
    }
    FC_UNROLL for (int i = 0; i < kTo; ++i) {
      Vec<S> r[kTo];
      Tf::run(half[i], r);
      FC_UNROLL for (int q = 0; q < kTo; ++q) Wide::store(u + (i * kTo + q) * point, r[q]);
    }
  }
}

// L rows of `cols` <= L elements, `pitch` apart, to cols vectors. Missing rows are zero.
template <class T>
FC_INLINE void turn(const T* from, ptrdiff_t pitch, int rows, int cols, T* to) {
  constexpr int L = kLanes<T>;
  Vec<T> v[L];
  if (rows == L && cols == L) {
    FC_UNROLL for (int l = 0; l < L; ++l) v[l] = load(from + l * pitch);
  } else {
    FC_UNROLL for (int l = 0; l < L; ++l) {
      v[l] = l < rows ? load_part(from + l * pitch, cols) : Vec<T>{};
    }
  }
  transpose_square<T>(v);
  FC_UNROLL for (int l = 0; l < L; ++l) store(to + l * L, v[l]);
}

template <class T>
FC_INLINE void fetch(const T* p, int count) {
  const char* at = reinterpret_cast<const char*>(p);
  for (int i = 0; i < count * static_cast<int>(sizeof(T)); i += 64) __builtin_prefetch(at + i);
}

template <class T, class S, class Tf>
void filters_in(const WinogradFilter<T>& g) {
  constexpr int L = kLanes<T>;
  alignas(64) T taps[(9 * L + L) * L];  // [filter][tap][lane], room for the last vectors
  const bool along = g.depth == 9;      // filters along the depth follow each other
  for (ptrdiff_t k = 0; k < g.count; k += L) {
    const int filters = static_cast<int>(g.count - k < L ? g.count - k : L);
    const int cols = along ? 9 * filters : 9;
    for (int f = 0; f < (along ? 1 : filters); ++f) {
      const T* from = g.w + (k + f) * g.depth;
      // Filters come from memory: fetch those wanted some hundred cycles from now.
      if (along) {
        for (int l = 0; l < g.lanes; ++l) fetch(from + l * g.lane + 9 * L, 9 * L);
      } else {
        fetch(from + 8 * g.depth, 9 * L);
      }
      for (int j = 0; j < cols; j += L) {
        turn(from + j, g.lane, g.lanes, cols - j < L ? cols - j : L, taps + (f * 9 + j) * L);
      }
    }
    for (int f = 0; f < filters; ++f) {
      const T* first = taps + (f * 9 + (g.rotate ? 8 : 0)) * L;
      filter_points<T, S, Tf>(first, g.rotate ? -L : L, g.u + (k + f) * g.row, g.point);
    }
  }
}

template <class T, class Tf>
bool filters_out(const WinogradFilterGrad<T>& g) {
  constexpr int L = kLanes<T>, kFrom = Tf::kFrom;
  alignas(64) T taps[9 * L][L];  // [filter and tap][lane]
  Vec<T> noted{};
  for (ptrdiff_t k = 0; k < g.count; k += L) {
    const int filters = static_cast<int>(g.count - k < L ? g.count - k : L);
    for (int f = 0; f < filters; ++f) {
      const T* from = g.u + (k + f) * g.row;
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
          noted = note(noted, y[q]);
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
  return all_finite<T>(noted, g.lanes);
}

template <class T, class S, class P>
constexpr WinogradTile<T> winograd_tile() {
  return {P::kOut,
          tiles_in<T, typename P::Input, P::kOut>,
          tiles_out<T, typename P::Output>,
          filters_in<T, S, typename P::Filter>,
          tiles_in<T, typename P::Grad, P::kOut>,
          filters_out<T, typename P::FilterGrad>};
}

// The filters of F(2) are exact enough in T.
template <class T>
constexpr WinogradKernels<T> winograd_table() {
  return {kLanes<T>,
          kProductRows,
          kProductLanes<T>,
          kRun,
          winograd_product<T>,
          winograd_tile<T, T, Points2>(),
          winograd_tile<T, double, Points4>()};
}

}  // namespace
}  // namespace fastconv
