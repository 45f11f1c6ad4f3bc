// A strip: the part of the source that one block of output pixels needs, for some channels, copied
// once with its zero padding written out and its rows and columns split by phase (a stride of s
// makes s phases), so that neighbouring pixels are neighbours in memory, along a row and from row
// to row, and no read needs a test.
//
// Layout: [image][channel][depth][row phase][column phase][row][pitch]
#pragma once

#include <algorithm>
#include <cstdint>

#include "../isa.h"
#include "tap_conv.h"

namespace fastconv {

// Output positions [lo, hi) along (z, p, q) of some consecutive images; all of an axis unless every
// outer one is a single one.
struct Block {
  int64_t image, images;
  int64_t lo[3], hi[3];
  int64_t extent(int axis) const { return hi[axis] - lo[axis]; }
  int64_t pixels() const { return images * extent(0) * extent(1) * extent(2); }
};

// Whether offsets follow each other: off[k] = off[0] + k.
inline bool counts_up(const ptrdiff_t* off, int64_t n) {
  bool all = n > 0;
  for (int64_t k = 1; k < n; ++k) all &= off[k] - off[0] == k;
  return all;
}

struct StripShape {
  int64_t first[3];     // smallest tap position along each axis
  int64_t reach[3];     // largest minus smallest
  int64_t step[3];      // phases along rows and columns
  int64_t depth;        // slabs that the largest block needs
  int64_t height;       // rows of one phase
  int64_t pitch;        // elements of one phase of a row
  uint64_t residue[3];  // which remainders modulo the step any tap has: a bit each
  ptrdiff_t phase() const { return height * pitch; }
  ptrdiff_t slab() const { return step[1] * step[2] * phase(); }
  ptrdiff_t plane() const { return depth * slab(); }
  // A 1x1 kernel with stride 2 needs a quarter of the strip. Steps above 64 count as using all.
  bool uses(int axis, int64_t i) const {
    return step[axis] > 64 || (residue[axis] >> (i % step[axis]) & 1);
  }
  // Whether some tap reads every phase.
  bool full() const {
    for (int i = 0; i < 3; ++i) {
      for (int64_t f = 0; f < step[i]; ++f) {
        if (!uses(i, f)) return false;
      }
    }
    return true;
  }
};

// block: the largest extents along (z, p, q).
inline StripShape strip_shape(const std::vector<Tap>& taps, const Dims& step, const Dims& block) {
  StripShape s{};
  for (int i = 0; i < 3; ++i) {
    int64_t lo = 0, hi = 0;
    for (size_t t = 0; t < taps.size(); ++t) {
      lo = t ? std::min(lo, taps[t].at[i]) : taps[t].at[i];
      hi = t ? std::max(hi, taps[t].at[i]) : taps[t].at[i];
    }
    s.first[i] = lo;
    s.reach[i] = hi - lo;
    s.step[i] = step[i];
    if (step[i] == 1) {
      s.residue[i] = 1;
    } else if (step[i] <= 64) {
      for (const Tap& t : taps) s.residue[i] |= uint64_t{1} << ((t.at[i] - lo) % step[i]);
    }
  }
  s.depth = (block[0] - 1) * step[0] + s.reach[0] + 1;
  s.height = block[1] + s.reach[1] / step[1];
  s.pitch = block[2] + s.reach[2] / step[2];
  return s;
}

// Rows of whole lines, where that is little more: a store across two lines takes twice as long.
template <class T>
void align_rows(StripShape* s) {
  constexpr int64_t kLine = 64 / sizeof(T);
  const int64_t pitch = ceil_div(s->pitch, kLine) * kLine;
  if (pitch * 7 <= s->pitch * 8) s->pitch = pitch;
}

// Offset of a tap within a strip, relative to the block's first pixel. From there the next pixel
// is 1 further, the next row of pixels pitch, the next slab step[0] * slab().
inline ptrdiff_t strip_offset(const StripShape& s, const int64_t (&at)[3]) {
  const int64_t y = at[1] - s.first[1], x = at[2] - s.first[2];
  return (at[0] - s.first[0]) * s.slab() + (y % s.step[1] * s.step[2] + x % s.step[2]) * s.phase() +
         y / s.step[1] * s.pitch + x / s.step[2];
}

// Fills one image's part of the strip for `channels` channels of src.
template <class T>
void fill_strip(const T* src, const Dims& dims, int64_t channels, const StripShape& s,
                const Block& b, T* strip) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  const int64_t depth = (b.extent(0) - 1) * s.step[0] + s.reach[0] + 1;
  const int64_t height = (b.extent(1) - 1) * s.step[1] + s.reach[1] + 1;
  const int64_t z0 = b.lo[0] * s.step[0] + s.first[0];
  const int64_t y0 = b.lo[1] * s.step[1] + s.first[1];
  const ptrdiff_t slab = dims[1] * dims[2];
  StripRows<T> rows{};
  rows.src_row = s.step[1] * dims[2];
  rows.src_plane = dims[0] * slab;
  rows.len = dims[2];
  rows.first = b.lo[2] * s.step[2] + s.first[2];
  rows.step = s.step[2];
  rows.phases = s.step[2] > 64 ? ~uint64_t{0} : s.residue[2];
  rows.dst_row = s.pitch;
  rows.dst_phase = s.phase();
  rows.dst_plane = s.plane();
  rows.planes = channels;
  rows.count = b.extent(2) + s.reach[2] / s.step[2];
  for (int64_t z = 0; z < depth; ++z) {
    if (!s.uses(0, z)) continue;
    const bool inside = z0 + z >= 0 && z0 + z < dims[0];
    for (int64_t f = 0; f < std::min(s.step[1], height); ++f) {
      if (!s.uses(1, f)) continue;
      // Row i of this phase is row y0 + f + i * step of the image; [lo, hi) of n are inside it.
      const int64_t y = y0 + f, n = ceil_div(height - f, s.step[1]);
      const int64_t lo = inside ? std::min(n, y < 0 ? ceil_div(-y, s.step[1]) : 0) : n;
      const int64_t hi = std::max(lo, std::min(n, ceil_div(dims[1] - y, s.step[1])));
      rows.src = src + (z0 + z) * slab + (y + lo * s.step[1]) * dims[2];
      rows.dst = strip + z * s.slab() + f * s.step[2] * s.phase();
      rows.above = lo;
      rows.rows = hi - lo;
      rows.below = n - hi;
      gemm.fill_rows(rows);
    }
  }
}

}  // namespace fastconv
