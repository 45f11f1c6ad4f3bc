// How tap_conv cuts its work: chunks of the sum, blocks of pixels, parts of the rows.
#pragma once

#include "memory.h"
#include "strip.h"
#include "tap_conv.h"

namespace fastconv {

// Where the lanes of a tile come from.
enum class Lanes {
  packed,  // panels packed from the source or the strip
  rows,    // the strip, one row of pixels at a time
  flat     // the strip, many rows at once, computing what lies between them too
};

constexpr int64_t kTapDepth = 512;  // most that is summed before it is stored

// Depends on the problem and on the number of threads; the order in which any one output is summed
// depends on the problem alone.
struct Cut {
  int64_t kc;  // depth of a chunk: whole channels where they fit
  int64_t chunks;
  int64_t channels;   // most channels that a chunk touches
  Dims block;         // extents of a block of output pixels
  int64_t images;     // of a block
  int64_t blocks[4];  // number of blocks along images and each axis
  int64_t row_parts;  // rows are split so often
  int64_t most_rows;  // of a part
  int64_t lanes;      // of a block's result, the largest
  Lanes mode;
  bool strip;      // the source is read through a padded copy
  bool halves;     // or, pixels being two elements apart, panels are packed straight from it
  bool temp;       // the result is computed aside, then woven into place
  int64_t slots;   // phases that are not zero
  bool merged;     // phases are as good as rows: the same terms, their weights neighbours
  int lone_lanes;  // pixels of the image left over from whole vectors, if few (7 x 7 = 3 x 16 + 1)
  // The weights are turned first, so that they are contiguous along the depth. As stored, the next
  // index lies a channel further: often a multiple of 4 KB, so that the lines of a tile would throw
  // each other out of the first-level cache.
  bool turned;
  // Blocks are runs of the source and the weights of a chunk stay in the second-level cache: some
  // panels at a time are packed on their way through the first rows.
  bool passing;
  int64_t panels;  // so many
  // The same where a panel's lanes are runs of the source or of the strip.
  bool gathering;
  StripShape shape;
  int64_t pieces(int64_t groups) const {
    return groups * blocks[0] * blocks[1] * blocks[2] * blocks[3] * row_parts;
  }
};

template <class T>
Cut tap_cut(const TapConv<T>& t, int threads);

}  // namespace fastconv
