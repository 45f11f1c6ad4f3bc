// Weights for an input gradient, turned: contiguous along the depth, channel after channel.
#pragma once

#include <type_traits>

#include "../kernels.h"
#include "lanes.h"

namespace fastconv {
namespace {

// Up to a vector of terms that lie within a vector of the source, in any order.
template <class T>
class Picked {
 public:
  Picked(const ptrdiff_t* weight, ptrdiff_t terms) : weight_(weight) {
    ptrdiff_t lo = weight[0], hi = lo;
    while (++count_ < terms && count_ < kLanes<T>) {
      const ptrdiff_t next = weight[count_];
      if ((next > hi ? next : hi) - (next < lo ? next : lo) >= kLanes<T>) break;
      lo = next < lo ? next : lo;
      hi = next > hi ? next : hi;
    }
    lo_ = lo;
#if defined(__AVX2__)
    inside_ = lanes_between<T>(0, static_cast<int>(hi - lo + 1));
    constexpr int kParts = kVectorBytes == 32 ? sizeof(T) / 4 : 1;
    for (int i = 0; i < count_ * kParts; ++i) {
      at_[i] = static_cast<Index>((weight[i / kParts] - lo) * kParts + i % kParts);
    }
#endif
  }
  int count() const { return count_; }
  FC_INLINE void copy(const T* from, T* to) const {
#if defined(__AVX2__)
    if (count_ <= 2) {
      to[0] = from[weight_[0]];
      if (count_ == 2) to[1] = from[weight_[1]];
      return;
    }
    const Vec<T> v = load_lanes(from + lo_, inside_, Vec<T>{});
    Vec<T> picked;
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
      picked = reinterpret_cast<Vec<T>>(
          _mm512_permutexvar_epi32(reinterpret_cast<__m512i>(at_), reinterpret_cast<__m512i>(v)));
    } else {
      picked = reinterpret_cast<Vec<T>>(
          _mm512_permutexvar_epi64(reinterpret_cast<__m512i>(at_), reinterpret_cast<__m512i>(v)));
    }
#else
    picked = reinterpret_cast<Vec<T>>(
        _mm256_permutevar8x32_epi32(reinterpret_cast<__m256i>(v), reinterpret_cast<__m256i>(at_)));
#endif
    count_ == kLanes<T> ? store(to, picked) : store_part(to, picked, count_);
#else
    for (int i = 0; i < count_; ++i) to[i] = from[weight_[i]];
#endif
  }

 private:
  const ptrdiff_t* weight_;
  int count_ = 0;
  ptrdiff_t lo_;
#if defined(__AVX2__)
  // Of 32 bits with AVX2, which picks no others.
  using Indices = Mask<std::conditional_t<kVectorBytes == 32, float, T>>;
  using Index = decltype(Indices{}[0] + 0);
  Indices at_{};
  LaneMask<T> inside_;
#endif
};

// `outer` times `inner` copies, both operands so far apart.
template <class T>
FC_INLINE void copies(const Picked<T> picked, ptrdiff_t outer, ptrdiff_t inner, const T* from,
                      ptrdiff_t from_outer, ptrdiff_t from_inner, T* to, ptrdiff_t to_outer,
                      ptrdiff_t to_inner) {
  for (; outer > 0; --outer, from += from_outer, to += to_outer) {
    const T* f = from;
    T* o = to;
    for (ptrdiff_t n = inner; n > 0; --n, f += from_inner, o += to_inner) picked.copy(f, o);
  }
}

// In squares, that each line of the weights is read while it is in the first-level cache; along
// those lines, or along those of the result where a few terms do not fill them.
template <class T>
void turn(const Turn<T>& t) {
  constexpr ptrdiff_t kSquare = 16;
  for (ptrdiff_t r = 0; r < t.rows; r += kSquare) {
    const ptrdiff_t rows = r + kSquare < t.rows ? kSquare : t.rows - r;
    for (ptrdiff_t c = 0; c < t.channels; c += kSquare) {
      const ptrdiff_t channels = c + kSquare < t.channels ? kSquare : t.channels - c;
      for (ptrdiff_t i = 0, count; i < t.terms; i += count) {
        const Picked<T> picked(t.weight + i, t.terms - i);
        count = picked.count();
        const T* const from = t.w + r * t.w_row + c * t.w_channel;
        T* const to = t.out + r * t.out_row + c * t.terms + i;
        if (t.terms > 3) {
          copies(picked, channels, rows, from, t.w_channel, t.w_row, to, t.terms, t.out_row);
        } else {
          copies(picked, rows, channels, from, t.w_row, t.w_channel, to, t.out_row, t.terms);
        }
      }
    }
  }
}

}  // namespace
}  // namespace fastconv
