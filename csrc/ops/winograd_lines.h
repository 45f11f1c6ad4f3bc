// How Winograd computes windows of a single row, column or depth: along that axis, F(4, 3), in
// parts of three taps. What lies across the axis is a row of elements, all treated alike:
//
//   six positions of the input along the axis, each such a row, become six rows of points;
//   at each point a 1x1 convolution over these pixels sums over the channels of all parts;
//   six rows of points become four positions of the output.
//
// Pictures are turned, if their columns are the axis; a long row is cut into segments, which then
// are what lies across.
#pragma once

#include "../problem.h"

namespace fastconv::winograd {

// A block of the result: images, positions along the axis, and what lies before it.
struct Block {
  int64_t image, images, before, befores, y, ys;
};

struct Line {
  static constexpr int64_t kPoints = 6, kStep = 4;
  int64_t images, groups, channels, rows;  // channels of the source, rows of the result: of a group
  int64_t taps, parts;
  bool rotate;            // windows are read backwards
  int64_t in, out;        // extents along the axis
  int64_t origin;         // output y reads inputs y + origin + [0, taps)
  int64_t before, after;  // the extents of the axes on either side of it
  bool turned;
  Block most;               // of a block
  int64_t segments, tiles;  // of a row; and of the axis or a segment, if turned of any block
  int64_t outer, inner;     // rows of elements are `inner` long, `outer` of them at each position

  int64_t pixels() const { return outer * tiles * inner; }
  int64_t segment() const { return kStep * tiles; }
  int64_t blocks() const;
  Block block(int64_t index) const;
  Line at(const Block& b) const;  // with the pixels of that block
};

// One axis has at least three taps, all others one, nothing is strided, dilated, or padded across.
bool takes_line(const ConvProblem& p);

// For the input's gradient, which is a convolution of the output's, and for the other directions;
// with the pixels of the largest block, or of the whole as one block.
Line line_of(const ConvProblem& p, bool input_gradient, bool whole);

// The 1x1 convolution at the points of so many images.
ConvProblem points_problem(const Line& g, int64_t images);

}  // namespace fastconv::winograd
