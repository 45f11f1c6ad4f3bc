// Maxima and which taps they are: the passes of pool.h with a lane of numbers beside each value.
#pragma once

#include "byte_lanes.h"
#include "pool.h"

namespace fastconv {
namespace {

template <class T>
struct Best {
  Vec<T> value;
  Mask<T> at;
};

// The first of equals stays, a NaN wins over everything before it.
template <class T>
FC_INLINE void take(Best<T>& m, Vec<T> v, Mask<T> at) {
  const Mask<T> wins = (v > m.value) | (v != v);
  m.value = wins ? v : m.value;
  m.at = wins ? at : m.at;
}

template <class T>
FC_INLINE Mask<T> load_at(const Position<T>* p) {
  return reinterpret_cast<Mask<T>>(load(p));
}

// Chunks [c0, c1) of a row; with Edge, some taps lie outside. K taps, or g.taps where K is 0.
template <class T, int S, bool Edge, int K>
__attribute__((noinline)) void row_chunks_at(const PoolRows<T>& g, ptrdiff_t r, ptrdiff_t c0,
                                             ptrdiff_t c1) {
  constexpr int L = kLanes<T>;
  const ptrdiff_t taps = K ? K : g.taps, dil = g.dil;
  const Vec<T> lowest = splat(kLowest<T>);
  for (ptrdiff_t c = c0; c < c1; c += L) {
    Vec<T> value[S];
    Mask<T> at[S];
    FC_UNROLL for (int j = 0; j < S; ++j) {
      Best<T> m{lowest, Mask<T>{}};
      for (ptrdiff_t k = 0; k < taps; ++k) {
        const ptrdiff_t i = g.first + c * S + j * L + k * dil;
        const T* x = g.src + r * g.src_pitch + i;
        const Vec<T> v = Edge ? load_lanes(x, inside<T>(i, g.len), lowest) : load(x);
        take<T>(m, v, Mask<T>{} + static_cast<Position<T>>(k));
      }
      value[j] = m.value;
      at[j] = m.at;
    }
    store(g.dst + r * g.dst_pitch + c, every<S>(value));
    store(g.at + r * g.dst_pitch + c, reinterpret_cast<Vec<Position<T>>>(every<S>(at)));
  }
}

template <class T, int S>
void strided_rows_at(const PoolRows<T>& g) {
  constexpr ptrdiff_t L = kLanes<T>;
  ptrdiff_t lo, hi;
  inner_chunks(g, &lo, &hi);
  const auto inner = S == 2 && g.taps == 2 ? row_chunks_at < T, S, false,
             S == 2 ? 2 : 0 >              : row_chunks_at<T, S, false, 0>;
  for (ptrdiff_t r = 0; r < g.rows; ++r) {
    if (lo > 0) row_chunks_at<T, S, true, 0>(g, r, 0, lo * L);
    if (lo < hi) inner(g, r, lo * L, hi * L);
    if (hi * L < g.out) row_chunks_at<T, S, true, 0>(g, r, hi * L, g.out);
  }
}

template <class T>
void plain_rows_at(const PoolRows<T> g) {
  for (ptrdiff_t q = 0; q < g.out; ++q) {
    const ptrdiff_t from = g.first + q * g.stride;
    ptrdiff_t k0, k1;
    clip_taps(g, from, &k0, &k1);
    for (ptrdiff_t r = 0; r < g.rows; ++r) {
      const T* x = g.src + r * g.src_pitch + from;
      T m = kLowest<T>;
      ptrdiff_t at = 0;
      for (ptrdiff_t k = k0; k < k1; ++k) {
        const T v = x[k * g.dil];
        if (v > m || v != v) {
          m = v;
          at = k;
        }
      }
      g.dst[r * g.dst_pitch + q] = m;
      g.at[r * g.dst_pitch + q] = static_cast<Position<T>>(at);
    }
  }
}

template <class T>
void max_rows_at(const PoolRows<T>& g) {
  if (g.stride == 1) return strided_rows_at<T, 1>(g);
  if (g.stride == 2) return strided_rows_at<T, 2>(g);
  if (g.stride == 3) return strided_rows_at<T, 3>(g);
  if (g.stride == 4) return strided_rows_at<T, 4>(g);
  plain_rows_at(g);
}

// The first n lanes as 64-bit integers.
template <class T>
FC_INLINE void store_wide(int64_t* p, Mask<T> at, int n) {
  constexpr int L = kLanes<T>;
  using Wide = Vec<int64_t>;
  Wide half[2];
  if constexpr (sizeof(T) == 8) {
    half[0] = reinterpret_cast<Wide>(at);
  } else {
    const Mask<T> part[2] = {at, at >> 31};  // low halves and the sign above them
    half[0] = reinterpret_cast<Wide>(woven<2, 0>(part));
    half[1] = reinterpret_cast<Wide>(woven<2, 1>(part));
  }
  constexpr int W = kLanes<int64_t>;
  FC_UNROLL for (int i = 0; i < L / W; ++i) {
    const int left = n - i * W;
    if (left >= W) {
      store(p + i * W, half[i]);
    } else if (left > 0) {
      store_part(p + i * W, half[i], left);
    }
  }
}

template <class T>
FC_INLINE void store_where(const PoolStack<T>& g, ptrdiff_t i, Mask<T> at, int n) {
  if (g.where_size == 1) {
    store_bytes<T>(static_cast<uint8_t*>(g.where) + i, at, n);
  } else if (g.where_size == 8) {
    store_wide<T>(static_cast<int64_t*>(g.where) + i, at, n);
  } else {
    for (int k = 0; k < n; ++k) static_cast<int32_t*>(g.where)[i + k] = static_cast<int32_t>(at[k]);
  }
}

template <class T>
void max_stack_at(const PoolStack<T>& args) {
  const PoolStack<T> g = args;
  constexpr int L = kLanes<T>;
  const Vec<T> lowest = splat(kLowest<T>);
  for (ptrdiff_t r = 0; r < g.rows; ++r) {
    const T* x = g.src + r * g.step;
    const Position<T>* x_at = g.src_at + r * g.step;
    const ptrdiff_t room = g.spill ? g.room - r * g.dst_pitch : g.out;
    for (ptrdiff_t c = 0; c < g.out; c += L) {
      Best<T> m{lowest, Mask<T>{}};
      for (ptrdiff_t k = 0; k < g.taps; ++k) {
        take<T>(m, load(x + g.offsets[k] + c), load_at<T>(x_at + g.offsets[k] + c) + g.tap_at[k]);
      }
      const Mask<T> first = load_at<T>(g.first + c);
      const Mask<T> none = first < 0 ? first : first + g.tap_at[0];
      const Mask<T> at = m.value == lowest ? none : m.at;
      const int part = static_cast<int>(c + L <= room ? L : g.out - c);
      T* y = g.dst + r * g.dst_pitch + c;
      if (part == L) {
        store(y, m.value);
      } else {
        store_part(y, m.value, part);
      }
      store_where<T>(g, r * g.dst_pitch + c, at, part);
    }
  }
}

// Rows of channels: all lanes of a tap have one number.
template <class T>
void max_stack_taps(const PoolStack<T>& args) {
  constexpr int L = kLanes<T>;
  const PoolStack<T> g = args;
  const Vec<T> lowest = splat(kLowest<T>);
  for (ptrdiff_t r = 0; r < g.rows; ++r) {
    for (ptrdiff_t c = 0; c < g.out; c += L) {
      const int part = static_cast<int>(g.out - c < L ? g.out - c : L);
      const T* x = g.src + r * g.step + c;
      Best<T> m{lowest, Mask<T>{} + g.tap_at[0]};
      for (ptrdiff_t k = 0; k < g.taps; ++k) {
        const T* v = x + g.offsets[k];
        take<T>(m, part == L ? load(v) : load_part(v, part), Mask<T>{} + g.tap_at[k]);
      }
      T* y = g.dst + r * g.dst_pitch + c;
      if (part == L) {
        store(y, m.value);
      } else {
        store_part(y, m.value, part);
      }
      store_where<T>(g, r * g.dst_pitch + c, m.at, part);
    }
  }
}

}  // namespace
}  // namespace fastconv
