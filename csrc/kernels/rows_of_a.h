// What the register tiles share: the addresses of A's rows, and a product added up in place.
#pragma once

#include <cstddef>

#include "vec.h"

namespace fastconv {
namespace {

// Rows of A lie a_row apart. An address is a base and one register, alone or times four or eight
// (compilers turn twice into another addition), so three multiples of a_row and a base every five
// rows reach all of them. Every other scalar instruction of the sum over the depth competes with
// the FMAs for their two ports, and costs a few percent.
template <class T, int R>
class RowsOfA {
 public:
  FC_INLINE RowsOfA(const T* a, ptrdiff_t a_row)
      : one_(a_row * static_cast<ptrdiff_t>(sizeof(T))),
        two_(2 * one_),
        three_(3 * one_),
        five_(5 * one_) {
    keep();
    hide(five_);
    move_to(a);
  }
  FC_INLINE void move_to(const T* a) {
    base_[0] = reinterpret_cast<const char*>(a);
    hide(base_[0]);
    FC_UNROLL for (int i = 1; i < kBases; ++i) {
      base_[i] = base_[i - 1] + five_;
      hide(base_[i]);
    }
  }
  // Opaque inside a loop, so that the compiler does not keep more multiples than there are
  // registers.
  FC_INLINE void keep() {
    hide(one_);
    hide(two_);
    hide(three_);
  }
  FC_INLINE void advance(ptrdiff_t elements) {
    FC_UNROLL for (int i = 0; i < kBases; ++i) {
      base_[i] += elements * static_cast<ptrdiff_t>(sizeof(T));
      hide(base_[i]);
    }
  }
  // A(i, k), k from the bases.
  FC_INLINE const T* at(int i, ptrdiff_t k) const {
    const int base = kBases == 1 || reaches(i) ? 0 : kBases == 2 || reaches(i - 5) ? 1 : 2;
    const char* p = base_[base] + k * static_cast<ptrdiff_t>(sizeof(T));
    const int distance = i - 5 * base;
    return reinterpret_cast<const T*>(distance == 0   ? p
                                      : distance == 1 ? p + one_
                                      : distance == 2 ? p + two_
                                      : distance == 3 ? p + three_
                                      : distance == 4 ? p + 4 * one_
                                      : distance == 8 ? p + 8 * one_
                                                      : p + 4 * three_);
  }

 private:
  static constexpr int kBases = R > 10 ? 3 : R > 5 ? 2 : 1;
  static constexpr bool reaches(int distance) {
    return distance <= 4 || distance == 8 || distance == 12;
  }

  ptrdiff_t one_, two_, three_, five_;  // bytes
  const char* base_[kBases] = {};
};

// acc += x b, in acc's own register. GCC would turn the accumulators of two steps around through
// more registers than there are, where all but one of them are taken.
template <class T>
FC_INLINE void accumulate(Vec<T>& acc, const Vec<T>& x, const Vec<T>& b) {
#if defined(__AVX512F__) && !defined(__clang__)
  if constexpr (sizeof(T) == 4) {
    asm("vfmadd231ps %2, %1, %0" : "+v"(acc) : "v"(x), "v"(b));
  } else {
    asm("vfmadd231pd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(b));
  }
#else
  acc = fma(x, b, acc);
#endif
}

}  // namespace
}  // namespace fastconv
