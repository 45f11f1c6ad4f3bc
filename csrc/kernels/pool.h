// Pools, forward: windows along the width (rows), then across rows (stacks). See kernels.h.
#pragma once

#include "../kernels.h"
#include "lanes.h"
#include "vec.h"

namespace fastconv {
namespace {

template <class T>
constexpr T kLowest = -static_cast<T>(__builtin_inff());

// The two reductions. `take` is ordered: m came before v. The maximum keeps the first of equals,
// and a NaN once met (v > m is false for a NaN on either side).
struct Max {
  static constexpr bool five = true;  // whether windows of five have kernels of their own
  template <class T>
  static constexpr T identity = kLowest<T>;
  template <class V>
  static FC_INLINE V take(V m, V v) {
    V greater = v > m ? v : m;
    if constexpr (sizeof(V) == kVectorBytes) pin(greater);  // a maximum, not two comparisons
    return v != v ? v : greater;
  }
};

struct Sum {
  static constexpr bool five = false;
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
void edge_chunks(const PoolRows<T> g, ptrdiff_t c) {
  constexpr int L = kLanes<T>, kMost = 64;
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
    const ptrdiff_t taps = g.taps;
    const bool keep = S * taps <= kMost;  // else the lanes are found again for every row
    LaneMask<T> mask[kMost];
    for (ptrdiff_t i = 0; keep && i < S * taps; ++i) {
      mask[i] = inside<T>(at + i / taps * L + i % taps * g.dil, g.len);
    }
    for (ptrdiff_t r = 0; r < g.rows; ++r) {
      const T* x = g.src + r * g.src_pitch;
      Vec<T> v[S];
      FC_UNROLL for (int j = 0; j < S; ++j) {
        v[j] = fill;
        for (ptrdiff_t k = 0; k < taps; ++k) {
          const ptrdiff_t from = at + j * L + k * g.dil;
          const LaneMask<T> lanes = keep ? mask[j * taps + k] : inside<T>(from, g.len);
          v[j] = Op::take(v[j], load_lanes(x + from, lanes, fill));
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
void strided_rows(const PoolRows<T> g) {
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
void plain_rows(const PoolRows<T> g) {
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
    if constexpr (Op::five) {
      if (g.taps == 5) return strided_rows<Op, 1, 5>(g);
    }
    return g.taps == 3   ? strided_rows<Op, 1, 3>(g)
           : g.taps == 1 ? strided_rows<Op, 1, 1>(g)
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

template <class Op, bool Divide, int K, class T>
void stack(const PoolStack<T> g) {
  constexpr int L = kLanes<T>;
  const ptrdiff_t taps = K ? K : g.taps;
  ptrdiff_t near[K + 1];
  for (int k = 0; k < K; ++k) near[k] = g.offsets[k];
  const auto chunk = [&](const T* x, ptrdiff_t c, int part) FC_LAMBDA {
    const auto row = [&](ptrdiff_t k) FC_LAMBDA {
      const T* p = x + (K ? near[k] : g.offsets[k]);
      return part < L ? load_part(p, part) : load(p);
    };
    Vec<T> m = row(0);
    for (ptrdiff_t k = 1; k < taps; ++k) m = Op::take(m, row(k));
    if constexpr (Divide) m = divide(m, g, c, part);
    return m;
  };
  for (ptrdiff_t r = 0; r < g.rows; ++r) {
    const T* x = g.src + r * g.step;
    T* y = g.dst + r * g.dst_pitch;
    // Whole vectors may run over the end of the row: the next row comes later and overwrites that.
    const ptrdiff_t room = g.spill ? g.room - r * g.dst_pitch : g.out;
    ptrdiff_t c = 0;
    if constexpr (K == 0) {  // many taps: four sums at a time do not wait for each other
      for (; c + 4 * L <= g.out; c += 4 * L) {
        Vec<T> m[4];
        FC_UNROLL for (int v = 0; v < 4; ++v) m[v] = load(x + g.offsets[0] + c + v * L);
        for (ptrdiff_t k = 1; k < taps; ++k) {
          const T* p = x + g.offsets[k] + c;
          FC_UNROLL for (int v = 0; v < 4; ++v) m[v] = Op::take(m[v], load(p + v * L));
        }
        FC_UNROLL for (int v = 0; v < 4; ++v) store(y + c + v * L, m[v]);
      }
    }
    for (; c < g.out && c + L <= room; c += L) store(y + c, chunk(x + c, c, L));
    if (c < g.out) {
      const int part = static_cast<int>(g.out - c);
      store_part(y + c, chunk(x + c, c, part), part);
    }
  }
}

// Sums in dst divided where they are.
template <class T>
void divide_rows(const PoolStack<T>& g) {
  constexpr int L = kLanes<T>;
  for (ptrdiff_t r = 0; r < g.rows; ++r) {
    T* y = g.dst + r * g.dst_pitch;
    for (ptrdiff_t c = 0; c < g.out; c += L) {
      const int part = static_cast<int>(g.out - c < L ? g.out - c : L);
      const Vec<T> sum = part < L ? load_part(y + c, part) : load(y + c);
      const Vec<T> q = divide(sum, g, c, part);
      if (part < L) {
        store_part(y + c, q, part);
      } else {
        store(y + c, q);
      }
    }
  }
}

template <class Op, bool Divide, class T>
void pool_stack(const PoolStack<T>& g) {
  if (g.taps == 1) return stack<Op, Divide, 1>(g);
  if (g.taps == 2) return stack<Op, Divide, 2>(g);
  if (g.taps == 3) return stack<Op, Divide, 3>(g);
  if constexpr (Op::five) {
    if (g.taps == 5) return stack<Op, Divide, 5>(g);
  }
  if constexpr (Divide) {
    if (g.taps == 4) return stack<Op, Divide, 4>(g);
  }
  stack<Op, false, 0>(g);
  if constexpr (Divide) divide_rows(g);
}

// ---- whole runs: a window that is the plane ----

// Lane i = the reduction of the lanes of v[i]; v is used up.
template <class Op, class T>
FC_INLINE Vec<T> across(Vec<T>* v) {
  FC_UNROLL for (int n = kLanes<T> / 2; n > 0; n /= 2) {
    FC_UNROLL for (int i = 0; i < n; ++i) {
      const Vec<T> pair[2] = {v[i], v[i + n]};
      v[i] = Op::take(woven<2, 0>(pair), woven<2, 1>(pair));
    }
  }
  return v[0];
}

template <class Op, class T>
FC_INLINE Vec<T> run_lanes(const T* x, ptrdiff_t len) {
  constexpr int L = kLanes<T>;
  const Vec<T> none = splat(Op::template identity<T>);
  Vec<T> acc[4] = {none, none, none, none};
  ptrdiff_t i = 0;
  for (; i + 4 * L <= len; i += 4 * L) {
    FC_UNROLL for (int v = 0; v < 4; ++v) acc[v] = Op::take(acc[v], load(x + i + v * L));
  }
  FC_UNROLL for (int v = 0; v < 3; ++v) {  // they do not wait for each other
    if (i + L > len) break;
    acc[v] = Op::take(acc[v], load(x + i));
    i += L;
  }
  if (i < len) {
    acc[3] = Op::take(acc[3], load_lanes(x + i, inside<T>(0, len - i), none));
  }
  return Op::take(Op::take(acc[0], acc[1]), Op::take(acc[2], acc[3]));
}

// Sums of 7x7 elements, the plane that most networks end with: unrolled, for it is large code,
// where there are registers.
template <class Op, class T>
constexpr bool kUnrolledRuns = kRegisters == 32 && sizeof(T) == 4 && __is_same(Op, Sum);
constexpr ptrdiff_t kUnrolled = 49;

template <class T>
FC_INLINE Vec<T> unrolled_run(const T* x) {
  constexpr int L = kLanes<T>, whole = kUnrolled / L;
  const LaneMask<T> rest = lanes_between<T>(0, kUnrolled % L);
  Vec<T> sum[2] = {load_lanes(x + whole * L, rest, Vec<T>{}), load(x)};
  FC_UNROLL for (int i = 1; i < whole; ++i) sum[i % 2] += load(x + i * L);
  return sum[0] + sum[1];
}

template <class Op, class T>
void reduce_runs(const T* x, ptrdiff_t len, ptrdiff_t runs, T* y) {
  constexpr int L = kLanes<T>;
  for (ptrdiff_t r = 0; r < runs; r += L) {
    const int n = static_cast<int>(runs - r < L ? runs - r : L);
    Vec<T> v[L] = {};
    bool done = false;
    if constexpr (kUnrolledRuns<Op, T>) {
      done = len == kUnrolled && n == L;
      if (done) FC_UNROLL for (int i = 0; i < L; ++i) v[i] = unrolled_run(x + (r + i) * len);
    }
    for (int i = 0; !done && i < n; ++i) v[i] = run_lanes<Op>(x + (r + i) * len, len);
    const Vec<T> all = across<Op, T>(v);
    if (n == L) {
      store(y + r, all);
    } else {
      store_part(y + r, all, n);
    }
    if constexpr (__is_same(Op, Max)) {  // lanes lost the order of zeros: the first one counts
      for (int i = 0; i < n; ++i) {
        const T* at = x + (r + i) * len;
        while (y[r + i] == 0 && *at != 0) ++at;
        if (y[r + i] == 0) y[r + i] = *at;
      }
    }
  }
}

}  // namespace
}  // namespace fastconv
