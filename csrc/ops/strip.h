// A strip: the part of the source that one block of output pixels needs, for some channels, copied
// once with its zero padding written out and its columns split by phase (a stride of s makes s
// phases), so that every later read is contiguous and needs no test.
//
// Layout: [channel][depth][row][phase][pitch]
#pragma once

#include <algorithm>
#include <cstdint>

#include "../isa.h"
#include "tap_conv.h"

namespace fastconv {

// Output positions [lo, hi) along (z, p, q); all of an axis unless every outer one is a single one.
struct Block {
  int64_t lo[3], hi[3];
  int64_t extent(int axis) const { return hi[axis] - lo[axis]; }
  int64_t pixels() const { return extent(0) * extent(1) * extent(2); }
};

struct StripShape {
  int64_t first[3];       // smallest tap position along each axis
  int64_t reach[3];       // largest minus smallest
  int64_t depth, height;  // rows that the largest block needs
  int64_t pitch;          // elements of one phase of a row
  int64_t phases;         // step along the width
  ptrdiff_t row() const { return phases * pitch; }
  ptrdiff_t slab() const { return height * row(); }
  ptrdiff_t plane() const { return depth * slab(); }
};

// block: the largest extents along (z, p, q).
inline StripShape strip_shape(const std::vector<Tap>& taps, const Dims& step, const Dims& block) {
  StripShape s;
  for (int i = 0; i < 3; ++i) {
    int64_t lo = 0, hi = 0;
    for (size_t t = 0; t < taps.size(); ++t) {
      lo = t ? std::min(lo, taps[t].at[i]) : taps[t].at[i];
      hi = t ? std::max(hi, taps[t].at[i]) : taps[t].at[i];
    }
    s.first[i] = lo;
    s.reach[i] = hi - lo;
  }
  s.depth = (block[0] - 1) * step[0] + s.reach[0] + 1;
  s.height = (block[1] - 1) * step[1] + s.reach[1] + 1;
  // A single column needs no phases beyond the taps' own: keep the phases, they cost nothing.
  s.phases = step[2];
  s.pitch = block[2] + s.reach[2] / step[2];
  return s;
}

// Offset of a tap within a strip, relative to the block's first pixel.
inline ptrdiff_t strip_offset(const StripShape& s, const int64_t (&at)[3]) {
  const int64_t x = at[2] - s.first[2];
  return (at[0] - s.first[0]) * s.slab() + (at[1] - s.first[1]) * s.row() +
         (x % s.phases) * s.pitch + x / s.phases;
}

// Which residues modulo the step any tap uses along an axis: a 1x1 kernel with stride 2 needs a
// quarter of the strip. Steps above 64 count as using all.
inline uint64_t used_residues(const std::vector<Tap>& taps, const StripShape& s, int axis,
                              int64_t step) {
  if (step > 64) return ~uint64_t{0};
  uint64_t used = 0;
  for (const Tap& t : taps) used |= uint64_t{1} << ((t.at[axis] - s.first[axis]) % step);
  return used;
}

struct StripUse {
  uint64_t residues[3];
  bool uses(int axis, int64_t i, int64_t step) const {
    return step > 64 || (residues[axis] >> (i % step) & 1);
  }
};

// Fills the strip for `channels` channels of src, for one block.
template <class T>
void fill_strip(const T* src, const Dims& dims, int64_t channels, const Dims& step,
                const StripShape& s, const StripUse& use, const Block& b, T* strip) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  const int64_t depth = (b.extent(0) - 1) * step[0] + s.reach[0] + 1;
  const int64_t height = (b.extent(1) - 1) * step[1] + s.reach[1] + 1;
  const int64_t z0 = b.lo[0] * step[0] + s.first[0];
  const int64_t y0 = b.lo[1] * step[1] + s.first[1];
  const int64_t x0 = b.lo[2] * step[2] + s.first[2];
  const int64_t count = b.extent(2) + s.reach[2] / step[2];
  const ptrdiff_t plane = dims[0] * dims[1] * dims[2];
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t z = 0; z < depth; ++z) {
      if (!use.uses(0, z, step[0])) continue;
      for (int64_t y = 0; y < height; ++y) {
        if (!use.uses(1, y, step[1])) continue;
        const bool inside = z0 + z >= 0 && z0 + z < dims[0] && y0 + y >= 0 && y0 + y < dims[1];
        const T* row = src + c * plane + ((z0 + z) * dims[1] + y0 + y) * dims[2];
        T* to = strip + c * s.plane() + z * s.slab() + y * s.row();
        for (int64_t f = 0; f < s.phases; ++f, to += s.pitch) {
          if (!use.uses(2, f, s.phases)) continue;
          gemm.gather_row(inside ? row : nullptr, dims[2], x0 + f, step[2], count, to);
        }
      }
    }
  }
}

}  // namespace fastconv
