// Maxima with their positions: the passes of pool.h with a lane of positions beside each value.
#pragma once

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

template <class T, int S, bool Edge>
FC_INLINE void row_chunk_at(const PoolRows<T>& g, ptrdiff_t r, ptrdiff_t c) {
  constexpr int L = kLanes<T>;
  const ptrdiff_t from = g.first + c * S, row = r * g.src_pitch;
  const Vec<T> lowest = splat(kLowest<T>);
  Vec<T> value[S];
  Mask<T> at[S];
  FC_UNROLL for (int j = 0; j < S; ++j) {
    Best<T> m{lowest, Mask<T>{}};
    for (ptrdiff_t k = 0; k < g.taps; ++k) {
      const ptrdiff_t i = from + j * L + k * g.dil;
      const T* x = g.src + row + i;
      const Vec<T> v = Edge ? load_lanes(x, inside<T>(i, g.len), lowest) : load(x);
      take<T>(m, v, iota<T>() + static_cast<Position<T>>(g.origin + row + i));
    }
    value[j] = m.value;
    at[j] = m.at;
  }
  store(g.dst + r * g.dst_pitch + c, every<S>(value));
  store(g.at + r * g.dst_pitch + c, reinterpret_cast<Vec<Position<T>>>(every<S>(at)));
}

template <class T, int S>
void strided_rows_at(const PoolRows<T> g) {
  constexpr ptrdiff_t L = kLanes<T>;
  ptrdiff_t lo, hi;
  inner_chunks(g, &lo, &hi);
  for (ptrdiff_t r = 0; r < g.rows; ++r) {
    ptrdiff_t c = 0;
    for (; c < lo * L; c += L) row_chunk_at<T, S, true>(g, r, c);
    for (; c < hi * L; c += L) row_chunk_at<T, S, false>(g, r, c);
    for (; c < g.out; c += L) row_chunk_at<T, S, true>(g, r, c);
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
          at = from + k * g.dil;
        }
      }
      g.dst[r * g.dst_pitch + q] = m;
      g.at[r * g.dst_pitch + q] = static_cast<Position<T>>(g.origin + r * g.src_pitch + at);
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

// Positions as 64-bit integers, the first n of them.
template <class T>
FC_INLINE void store_index(int64_t* p, Mask<T> at, int n) {
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
void max_stack_at(const PoolStack<T>& args) {
  const PoolStack<T> g = args;
  constexpr int L = kLanes<T>;
  const Vec<T> lowest = splat(kLowest<T>);
  const Mask<T> base = Mask<T>{} + g.base;
  for (ptrdiff_t r = 0; r < g.rows; ++r) {
    const T* x = g.src + r * g.step;
    const Position<T>* x_at = g.src_at + r * g.step;
    const Mask<T> row = Mask<T>{} + static_cast<Position<T>>(g.first_row + r * g.first_row_step);
    const ptrdiff_t room = g.spill ? g.room - r * g.dst_pitch : g.out;
    for (ptrdiff_t c = 0; c < g.out; c += L) {
      Best<T> m{lowest, Mask<T>{}};
      for (ptrdiff_t k = 0; k < g.taps; ++k) {
        take<T>(m, load(x + g.offsets[k] + c), load_at<T>(x_at + g.offsets[k] + c));
      }
      const Mask<T> col = load_at<T>(g.first + c);
      const Mask<T> none = col < 0 ? Mask<T>{} - 1 : col + row;
      const Mask<T> at = m.value == lowest ? none : m.at + base;
      const int part = static_cast<int>(c + L <= room ? L : g.out - c);
      T* y = g.dst + r * g.dst_pitch + c;
      if (part == L) {
        store(y, m.value);
      } else {
        store_part(y, m.value, part);
      }
      store_index<T>(g.index + r * g.dst_pitch + c, at, part);
    }
  }
}

// Rows of channels: all lanes of a tap have one position.
template <class T>
void max_stack_taps(const PoolStack<T>& args) {
  constexpr int L = kLanes<T>;
  const PoolStack<T> g = args;
  const Vec<T> lowest = splat(kLowest<T>);
  for (ptrdiff_t r = 0; r < g.rows; ++r) {
    const Position<T> moved = static_cast<Position<T>>(r * g.first_row_step);
    for (ptrdiff_t c = 0; c < g.out; c += L) {
      const int part = static_cast<int>(g.out - c < L ? g.out - c : L);
      const T* x = g.src + r * g.step + c;
      Best<T> m{lowest, Mask<T>{} + (g.tap_at[0] + moved)};
      for (ptrdiff_t k = 0; k < g.taps; ++k) {
        const T* v = x + g.offsets[k];
        take<T>(m, part == L ? load(v) : load_part(v, part), Mask<T>{} + (g.tap_at[k] + moved));
      }
      T* y = g.dst + r * g.dst_pitch + c;
      if (part == L) {
        store(y, m.value);
      } else {
        store_part(y, m.value, part);
      }
      store_index<T>(g.index + r * g.dst_pitch + c, m.at, part);
    }
  }
}

}  // namespace
}  // namespace fastconv
