// Results that were kept aside, woven into place: phases of a strided gradient, rows of a flat
// block.
#pragma once

#include <algorithm>

#include "../isa.h"
#include "tap_cut.h"

namespace fastconv {

// One row of the result, woven from the column phases that start with number `phase`.
template <class T>
void weave_row(const TapConv<T>& t, int64_t phase, const T* from, ptrdiff_t lanes, const Block& b,
               ptrdiff_t at) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  const int64_t ways = t.ways[2], x0 = b.lo[2] * ways;
  const int64_t count = std::min(b.hi[2] * ways, t.out[2]) - x0;
  T* dst = t.dst + at + x0;
  const T* residual = t.residual ? t.residual + at + x0 : nullptr;
  const auto next = [&](int64_t f) {
    if (t.phases() > 1 && t.empty(phase + f)) return static_cast<const T*>(nullptr);
    const T* it = from;
    from += lanes;
    return it;
  };
  if (ways > 1 && ways <= kMostWoven) {
    const T* columns[kMostWoven];
    for (int64_t f = 0; f < ways; ++f) columns[f] = next(f);
    return gemm.weave(columns, static_cast<int>(ways), residual, count, t.lo, t.hi, dst);
  }
  for (int64_t f = 0; f < ways && f < count; ++f) {
    gemm.spread(next(f), ways, residual ? residual + f : nullptr, (count - f + ways - 1) / ways,
                t.lo, t.hi, dst + f);
  }
}

// From temp, [row][phase that is not zero][lane], into the result; flat, `flat_row` lanes are a
// row.
template <class T>
void weave_phases(const TapConv<T>& t, const Cut& c, ptrdiff_t flat_row, const T* temp,
                  ptrdiff_t lanes, int64_t rows, const Block& b, ptrdiff_t to) {
  const bool flat = c.mode == Lanes::flat;
  const ptrdiff_t row = flat ? flat_row : b.extent(2);
  const ptrdiff_t slab = flat ? lanes / b.extent(0) : b.extent(1) * row;
  const ptrdiff_t image = b.extent(0) * slab;
  const Dims& ways = t.ways;
  int64_t phase = 0, slot = 0;
  for (int64_t f0 = 0; f0 < ways[0]; ++f0) {
    for (int64_t f1 = 0; f1 < ways[1]; ++f1, phase += ways[2]) {
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t n = 0; n < b.images; ++n) {
          const T* from = temp + (r * c.slots + slot) * lanes + n * image;
          const ptrdiff_t base = to + n * t.dst_image + r * t.dst_row;
          for (int64_t z = b.lo[0]; z < b.hi[0]; ++z, from += slab) {
            if (z * ways[0] + f0 >= t.out[0]) break;
            for (int64_t p = b.lo[1]; p < b.hi[1] && p * ways[1] + f1 < t.out[1]; ++p) {
              weave_row(t, phase, from + (p - b.lo[1]) * row, lanes, b,
                        base + ((z * ways[0] + f0) * t.out[1] + p * ways[1] + f1) * t.out[2]);
            }
          }
        }
      }
      for (int64_t f2 = 0; f2 < ways[2]; ++f2) slot += !t.empty(phase + f2);
    }
  }
}

}  // namespace fastconv
