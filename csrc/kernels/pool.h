// Pools, forward: windows along the width (rows), then across rows (stacks). See kernels.h.
#pragma once

#include "../kernels.h"
#include "../pool_kernels.h"
#include "lanes.h"
#include "vec.h"

namespace fastconv {
namespace {

template <class T>
constexpr T kLowest = -static_cast<T>(__builtin_inff());

// The two reductions. `take` is ordered: m came before v. The maximum keeps the first of equals,
// and a NaN once met (v > m is false for a NaN on either side).
struct Max {
  template <class T>
  static constexpr T identity = kLowest<T>;
  template <class V>
  static FC_INLINE V take(V m, V v) {
    const V greater = v > m ? v : m;
    return v != v ? v : greater;
  }
};

struct Sum {
  template <class T>
  static constexpr T identity = T(0);
  template <class V>
  static FC_INLINE V take(V m, V v) {
    return m + v;
  }
};

// ---- along the width
// -----------------------------------------------------------------------------

// Windows of stride S are computed at every position, S vectors of them, and every S-th is kept.
// K taps, or g.taps where K is 0.
template <class Op, int S, int K, class T>
FC_INLINE Vec<T> row_chunk(const PoolRows<T>& g, const T* x) {
  constexpr int L = kLanes<T>;
  const ptrdiff_t taps = K ? K : g.taps;
  Vec<T> v[S];
  FC_UNROLL for (int j = 0; j < S; ++j) {
    v[j] = load(x + j * L);
    for (ptrdiff_t k = 1; k < taps; ++k) v[j] = Op::take(v[j], load(x + j * L + k * g.dil));
  }
  return every<S>(v);
}

// The lanes of a vector at index `at` of a row that lie inside it.
template <class T>
FC_INLINE LaneMask<T> inside(ptrdiff_t at, ptrdiff_t len) {
  constexpr ptrdiff_t L = kLanes<T>;
  const ptrdiff_t lo = at < 0 ? (at < -L ? L : -at) : 0;
  const ptrdiff_t hi = at >= len ? 0 : (len - at > L ? L : len - at);
  return lanes_between<T>(static_cast<int>(lo), static_cast<int>(hi));
}

// One chunk of outputs, down all rows, where some taps lie outside the rows.
template <class Op, int S, int K, class T>
void edge_chunks(const PoolRows<T>& g, ptrdiff_t c) {
  constexpr int L = kLanes<T>;
  const Vec<T> fill = splat(Op::template identity<T>);
  const ptrdiff_t at = g.first + c * S;
  if constexpr (K > 0) {
    LaneMask<T> mask[S * K];
    FC_UNROLL for (int j = 0; j < S; ++j) {
      FC_UNROLL for (int k = 0; k < K; ++k) {
        mask[j * K + k] = inside<T>(at + j * L + k * g.dil, g.len);
      }
    }
    for (ptrdiff_t r = 0; r < g.rows; ++r) {
      const T* x = g.src + r * g.src_pitch + at;
      Vec<T> v[S];
      FC_UNROLL for (int j = 0; j < S; ++j) {
        v[j] = load_lanes(x + j * L, mask[j * K], fill);
        FC_UNROLL for (int k = 1; k < K; ++k) {
          v[j] = Op::take(v[j], load_lanes(x + j * L + k * g.dil, mask[j * K + k], fill));
        }
      }
      store(g.dst + r * g.dst_pitch + c, every<S>(v));
    }
  } else {
    for (ptrdiff_t r = 0; r < g.rows; ++r) {
      const T* x = g.src + r * g.src_pitch;
      Vec<T> v[S];
      FC_UNROLL for (int j = 0; j < S; ++j) {
        v[j] = fill;
        for (ptrdiff_t k = 0; k < g.taps; ++k) {
          const ptrdiff_t from = at + j * L + k * g.dil;
          v[j] = Op::take(v[j], load_lanes(x + from, inside<T>(from, g.len), fill));
        }
      }
      store(g.dst + r * g.dst_pitch + c, every<S>(v));
    }
  }
}

// Chunks [lo, hi) of outputs read inside the rows only.
template <class T>
FC_INLINE void inner_chunks(const PoolRows<T>& g, ptrdiff_t* lo, ptrdiff_t* hi) {
  constexpr ptrdiff_t L = kLanes<T>;
  const ptrdiff_t chunk = L * g.stride, end = (g.out + L - 1) / L;
  *lo = g.first < 0 ? (-g.first + chunk - 1) / chunk : 0;
  const ptrdiff_t last = g.len - g.first - (g.taps - 1) * g.dil;  // first index that is too far
  *hi = last < 0 ? 0 : last / chunk;
  if (*lo > end) *lo = end;
  if (*hi > end) *hi = end;
  if (*hi < *lo) *hi = *lo;
}

template <class Op, int S, int K, class T>
void strided_rows(const PoolRows<T>& g) {
  constexpr ptrdiff_t L = kLanes<T>;
  ptrdiff_t lo, hi;
  inner_chunks(g, &lo, &hi);
  for (ptrdiff_t r = 0; r < g.rows && lo < hi; ++r) {
    const T* x = g.src + r * g.src_pitch + g.first;
    T* y = g.dst + r * g.dst_pitch;
    for (ptrdiff_t c = lo * L; c < hi * L; c += L) {
      store(y + c, row_chunk<Op, S, K>(g, x + c * S));
    }
  }
  for (ptrdiff_t c = 0; c < lo * L; c += L) edge_chunks<Op, S, K>(g, c);
  for (ptrdiff_t c = hi * L; c < g.out; c += L) edge_chunks<Op, S, K>(g, c);
}

// The taps [*k0, *k1) of a window at index `at` that lie inside the row.
template <class T>
FC_INLINE void clip_taps(const PoolRows<T>& g, ptrdiff_t at, ptrdiff_t* k0, ptrdiff_t* k1) {
  *k0 = at < 0 ? (-at + g.dil - 1) / g.dil : 0;
  *k1 = at >= g.len ? 0 : (g.len - at + g.dil - 1) / g.dil;
  if (*k1 > g.taps) *k1 = g.taps;
}

// Any stride, one window at a time.
template <class Op, class T>
void plain_rows(const PoolRows<T>& g) {
  for (ptrdiff_t q = 0; q < g.out; ++q) {
    const ptrdiff_t at = g.first + q * g.stride;
    ptrdiff_t k0, k1;
    clip_taps(g, at, &k0, &k1);
    for (ptrdiff_t r = 0; r < g.rows; ++r) {
      const T* x = g.src + r * g.src_pitch + at;
      T m = Op::template identity<T>;
      for (ptrdiff_t k = k0; k < k1; ++k) m = Op::take(m, x[k * g.dil]);
      g.dst[r * g.dst_pitch + q] = m;
    }
  }
}

template <class Op, class T>
void pool_rows(const PoolRows<T>& g) {
  if (g.stride == 1) {
    return g.taps == 3   ? strided_rows<Op, 1, 3>(g)
           : g.taps == 2 ? strided_rows<Op, 1, 2>(g)
                         : strided_rows<Op, 1, 0>(g);
  }
  if (g.stride == 2) {
    return g.taps == 3   ? strided_rows<Op, 2, 3>(g)
           : g.taps == 2 ? strided_rows<Op, 2, 2>(g)
                         : strided_rows<Op, 2, 0>(g);
  }
  if (g.stride == 3) return strided_rows<Op, 3, 0>(g);
  if (g.stride == 4) return strided_rows<Op, 4, 0>(g);
  plain_rows<Op>(g);
}

// ---- across rows
// ---------------------------------------------------------------------------------

// sum / div, given inv = 1 / div. With FMA the quotient is corrected by its remainder, which rounds
// it as a division would at a fraction of the cost; an infinite sum has no remainder.
template <class T>
FC_INLINE Vec<T> divide(Vec<T> sum, const PoolStack<T>& g, ptrdiff_t c, int part) {
  constexpr int L = kLanes<T>;
  const Vec<T> div = part < L ? load_part(g.div + c, part) : load(g.div + c);
#if defined(__FMA__) || defined(__aarch64__)
  const Vec<T> inv = part < L ? load_part(g.inv + c, part) : load(g.inv + c);
  const Vec<T> q = sum * inv, rest = sum - q * div;
  return rest == rest ? q + rest * inv : q;
#else
  return sum / div;
#endif
}

template <class Op, int K, class T>
FC_INLINE Vec<T> stack_chunk(const PoolStack<T>& g, const T* x, int part) {
  constexpr int L = kLanes<T>;
  const ptrdiff_t taps = K ? K : g.taps;
  const auto at = [&](ptrdiff_t k) {
    const T* p = x + g.offsets[k];
    return part < L ? load_part(p, part) : load(p);
  };
  Vec<T> m = at(0);
  for (ptrdiff_t k = 1; k < taps; ++k) m = Op::take(m, at(k));
  return m;
}

template <class Op, int K, class T>
void stack(const PoolStack<T>& g) {
  constexpr bool kAverage = __is_same(Op, Sum);
  constexpr int L = kLanes<T>;
  for (ptrdiff_t r = 0; r < g.rows; ++r) {
    const T* x = g.src + r * g.step;
    T* y = g.dst + r * g.dst_pitch;
    // Whole vectors may run over the end of the row: the next row comes later and overwrites that.
    const ptrdiff_t room = g.spill ? g.room - r * g.dst_pitch : g.out;
    ptrdiff_t c = 0;
    for (; c < g.out && c + L <= room; c += L) {
      Vec<T> m = stack_chunk<Op, K>(g, x + c, L);
      if constexpr (kAverage) m = divide(m, g, c, L);
      store(y + c, m);
    }
    if (c < g.out) {
      const int part = static_cast<int>(g.out - c);
      Vec<T> m = stack_chunk<Op, K>(g, x + c, part);
      if constexpr (kAverage) m = divide(m, g, c, part);
      store_part(y + c, m, part);
    }
  }
}

template <class Op, class T>
void pool_stack(const PoolStack<T>& g) {
  if (g.taps == 1) return stack<Op, 1>(g);
  if (g.taps == 2) return stack<Op, 2>(g);
  if (g.taps == 3) return stack<Op, 3>(g);
  stack<Op, 0>(g);
}

}  // namespace
}  // namespace fastconv
