// Depthwise and grouped convolution of small planes, read where they lie: no copy, no padding in
// memory. Tiles walk over the lines of a plane, then over results and units.
#pragma once

#include "plane_tile.h"

namespace fastconv {
namespace {

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

}  // namespace
}  // namespace fastconv
