// Ranges of lanes and strided selections of lanes.
#pragma once

#include "vec.h"

namespace fastconv {
namespace {

// ---- a range of lanes, for loads that touch nothing outside it ----

#if defined(__AVX512F__)
template <int Bytes>
struct MaskOf {
  using Type = __mmask16;
};
template <>
struct MaskOf<8> {
  using Type = __mmask8;
};
template <class T>
using LaneMask = typename MaskOf<sizeof(T)>::Type;
#else
template <class T>
using LaneMask = Mask<T>;
#endif

// 0, 1, 2, ... in each lane.
template <class T>
FC_INLINE Mask<T> iota() {
  Mask<T> v;
  FC_UNROLL for (int i = 0; i < kLanes<T>; ++i) v[i] = i;
  return v;
}

// Lanes [lo, hi), 0 <= lo, hi <= kLanes.
template <class T>
FC_INLINE LaneMask<T> lanes_between(int lo, int hi) {
#if defined(__AVX512F__)
  return static_cast<LaneMask<T>>(((1u << hi) - 1u) & ~((1u << lo) - 1u));
#else
  using I = decltype(Mask<T>{}[0] + 0);
  const Mask<T> at = iota<T>();
  return (at >= static_cast<I>(lo)) & (at < static_cast<I>(hi));
#endif
}

// The chosen lanes of memory, `fill` elsewhere.
template <class T>
FC_INLINE Vec<T> load_lanes(const T* p, LaneMask<T> mask, Vec<T> fill) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return reinterpret_cast<Vec<T>>(
        _mm512_mask_loadu_epi32(reinterpret_cast<__m512i>(fill), mask, p));
  } else {
    return reinterpret_cast<Vec<T>>(
        _mm512_mask_loadu_epi64(reinterpret_cast<__m512i>(fill), mask, p));
  }
#elif defined(__AVX2__)
  Vec<T> v;
  if constexpr (sizeof(T) == 4) {
    v = reinterpret_cast<Vec<T>>(
        _mm256_maskload_epi32(reinterpret_cast<const int*>(p), reinterpret_cast<__m256i>(mask)));
  } else {
    v = reinterpret_cast<Vec<T>>(_mm256_maskload_epi64(reinterpret_cast<const long long*>(p),
                                                       reinterpret_cast<__m256i>(mask)));
  }
  return mask ? v : fill;
#else
  Vec<T> v = fill;
  for (int i = 0; i < kLanes<T>; ++i) {
    if (mask[i]) v[i] = p[i];
  }
  return v;
#endif
}

// ---- lanes where positions are equal ----

template <class T>
FC_INLINE LaneMask<T> equal(Mask<T> a, Mask<T> b) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return _mm512_cmpeq_epi32_mask(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b));
  } else {
    return _mm512_cmpeq_epi64_mask(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b));
  }
#else
  return a == b;
#endif
}

// sum + v in the lanes of the mask.
template <class T>
FC_INLINE Vec<T> add_where(Vec<T> sum, LaneMask<T> mask, Vec<T> v) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return _mm512_mask_add_ps(sum, mask, sum, v);
  } else {
    return _mm512_mask_add_pd(sum, mask, sum, v);
  }
#else
  return sum + reinterpret_cast<Vec<T>>(reinterpret_cast<Mask<T>>(v) & mask);
#endif
}

// count + 1 in the lanes of the mask.
template <class T>
FC_INLINE Mask<T> count_where(Mask<T> count, LaneMask<T> mask) {
#if defined(__AVX512F__)
  const __m512i c = reinterpret_cast<__m512i>(count);
  if constexpr (sizeof(T) == 4) {
    return reinterpret_cast<Mask<T>>(_mm512_mask_sub_epi32(c, mask, c, _mm512_set1_epi32(-1)));
  } else {
    return reinterpret_cast<Mask<T>>(_mm512_mask_sub_epi64(c, mask, c, _mm512_set1_epi64(-1)));
  }
#else
  return count - mask;
#endif
}

// ---- every S-th lane of S vectors ----

template <int... I>
struct Ints {};
template <int N, int... I>
struct Count : Count<N - 1, N - 1, I...> {};
template <int... I>
struct Count<0, I...> {
  using Type = Ints<I...>;
};

// Lane i of the result is lane i * S of the parts one after the other; parts 0 .. P are in place
// after step P.
template <int S, int P, int L>
constexpr int source_lane(int i) {
  const int part = i * S / L;
  if (P == 1 && part == 0) return i * S;
  return part == P ? L + i * S % L : i;
}

template <int S, int P, class V, int... I>
FC_INLINE V merge_part(V so_far, V part, Ints<I...>) {
  return __builtin_shufflevector(so_far, part, source_lane<S, P, sizeof...(I)>(I)...);
}

template <int S, class V>
FC_INLINE V every(const V* v) {
  using Lanes = typename Count<sizeof(V) / sizeof((*v)[0])>::Type;
  if constexpr (S == 1) {
    return v[0];
  } else {
    V r = merge_part<S, 1>(v[0], v[1], Lanes{});
    if constexpr (S > 2) r = merge_part<S, 2>(r, v[2], Lanes{});
    if constexpr (S > 3) r = merge_part<S, 3>(r, v[3], Lanes{});
    return r;
  }
}

// ---- S vectors woven together, lane by lane ----

// Vector `I` of S woven ones: lane l is element (I * L + l) / S of phase (I * L + l) % S.
template <int S, int I, int P, int L>
constexpr int woven_lane(int l) {
  const int phase = (I * L + l) % S, element = (I * L + l) / S;
  if (P == 1 && phase == 0) return element;
  return phase == P ? L + element : l;
}

template <int S, int I, int P, class V, int... J>
FC_INLINE V weave_part(V so_far, V part, Ints<J...>) {
  return __builtin_shufflevector(so_far, part, woven_lane<S, I, P, sizeof...(J)>(J)...);
}

template <int S, int I, class V>
FC_INLINE V woven(const V* v) {
  using Lanes = typename Count<sizeof(V) / sizeof((*v)[0])>::Type;
  if constexpr (S == 1) {
    return v[0];
  } else {
    V r = weave_part<S, I, 1>(v[0], v[1], Lanes{});
    if constexpr (S > 2) r = weave_part<S, I, 2>(r, v[2], Lanes{});
    if constexpr (S > 3) r = weave_part<S, I, 3>(r, v[3], Lanes{});
    return r;
  }
}

// ---- squares of vectors ----

// Element i of the low (F = 0) or high (F = 1) halves of a's and b's 16 bytes, Unit elements at a
// time; L of a's elements come before b's.
template <int F, int Unit, int Group, int L>
constexpr int paired_lane(int i) {
  const int group = i / Group, unit = i % Group / Unit;
  return group * Group + F * Group / 2 + unit / 2 * Unit + i % Unit + (unit % 2 ? L : 0);
}
template <int F, int Unit, class V, int... I>
FC_INLINE V paired(V a, V b, Ints<I...>) {
  constexpr int L = sizeof...(I), group = 16 / static_cast<int>(sizeof(a[0]));
  return __builtin_shufflevector(a, b, paired_lane<F, Unit, group, L>(I)...);
}

// The even (F = 0) or odd 16 bytes of a, then those of b.
template <int F, int Group, int L>
constexpr int chosen_lane(int i) {
  const int at = i / Group * 2 + F;  // of the 16 bytes of a and b
  return at * Group + i % Group;
}
template <int F, class V, int... I>
FC_INLINE V chosen(V a, V b, Ints<I...>) {
  constexpr int L = sizeof...(I), group = 16 / static_cast<int>(sizeof(a[0]));
  return __builtin_shufflevector(a, b, chosen_lane<F, group, L>(I)...);
}

// A square of kLanes vectors transposed: within each 16 bytes first, then those as a whole, which
// every step does in one instruction.
template <class T>
FC_INLINE void transpose_square(Vec<T>* v) {
  constexpr int L = kLanes<T>, G = 16 / static_cast<int>(sizeof(T));
  constexpr auto all = typename Count<L>::Type{};
  FC_UNROLL for (int i = 0; i < L; i += 2) {
    const Vec<T> a = v[i], b = v[i + 1];
    v[i] = paired<0, 1>(a, b, all);
    v[i + 1] = paired<1, 1>(a, b, all);
  }
  if constexpr (G == 4) {
    FC_UNROLL for (int i = 0; i < L; i += 4) {
      const Vec<T> a = v[i], b = v[i + 1], c = v[i + 2], d = v[i + 3];
      v[i] = paired<0, 2>(a, c, all);
      v[i + 1] = paired<1, 2>(a, c, all);
      v[i + 2] = paired<0, 2>(b, d, all);
      v[i + 3] = paired<1, 2>(b, d, all);
    }
  }
  // Vector g * G + k now holds, in its 16 bytes number l, element l * G + k of rows g * G ...
  if constexpr (L == 2 * G) {
    FC_UNROLL for (int k = 0; k < G; ++k) {
      const Vec<T> a = v[k], b = v[G + k];
      v[k] = chosen<0>(a, b, all);
      v[G + k] = chosen<1>(a, b, all);
    }
  } else if constexpr (L == 4 * G) {
    FC_UNROLL for (int k = 0; k < G; ++k) {
      const Vec<T> a = v[k], b = v[G + k], c = v[2 * G + k], d = v[3 * G + k];
      const Vec<T> even = chosen<0>(a, b, all), odd = chosen<1>(a, b, all);
      const Vec<T> even2 = chosen<0>(c, d, all), odd2 = chosen<1>(c, d, all);
      v[k] = chosen<0>(even, even2, all);
      v[G + k] = chosen<0>(odd, odd2, all);
      v[2 * G + k] = chosen<1>(even, even2, all);
      v[3 * G + k] = chosen<1>(odd, odd2, all);
    }
  }
}

}  // namespace
}  // namespace fastconv
