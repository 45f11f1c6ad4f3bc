// Which plain 3 x 3 convolution Winograd computes in place of one with larger, dilated or strided
// windows. Along each axis:
//
//   a kernel is pieces of three taps, each a channel of its own that reads further on;
//   outputs a dilation apart read inputs a dilation apart: every phase is an image of its own;
//   taps a stride apart read inputs a stride apart: every phase is a channel of its own, and in the
//   input's gradient a row of the result.
#pragma once

#include "../problem.h"
#include "registry.h"

namespace fastconv::winograd {

// One axis of that convolution. Piece i, i = b * phases + a where phases are channels, else b,
// reads for output y the source at origin + 3 b step + a + (y + t) step with taps t = 0, 1, 2. `a`
// counts images where they are apart.
struct PieceAxis {
  int64_t pieces;  // channels that one becomes
  int64_t step, origin;
  int64_t phases;    // of the source
  bool apart;        // they are images, else channels
  int64_t ways;      // phases of the result: images, else rows of the product
  int64_t in, out;   // extents: out + 2, and of a phase of the result
  int64_t from, to;  // extents of the source and of the result
  // Which tap of the kernel tap t of piece (b, a) of result phase e is; beyond the kernel it is
  // zero.
  int64_t w_first, w_block, w_phase, w_tap, w_way;

  int64_t images() const { return apart ? phases : 1; }
  int64_t channel_phases() const { return apart ? 1 : phases; }
  int64_t row_ways() const { return apart ? 1 : ways; }
  int64_t blocks() const { return ceil_div(pieces, channel_phases()); }
};

struct Pieces {
  PieceAxis y, x;
  int64_t channels, rows;  // of the source and of the result, of a group
  ConvProblem q;           // as a forward convolution, its weights (K, C / g, 3, 3)
  bool as_it_lies;         // its weights are the given ones, but for order
  int64_t pieces() const { return y.pieces * x.pieces; }
  int64_t ways() const { return y.row_ways() * x.row_ways(); }
  int64_t images() const { return y.images() * x.images(); }
  bool woven() const { return y.ways * x.ways > 1; }
};

// For the input's gradient, which is a convolution of the output's, and for the other two
// directions.
Pieces in_pieces(const ConvProblem& p, bool input_gradient);

// Where it multiplies less by a quarter than the definition.
bool takes_pieces(const ConvProblem& p);

// The source, or planes like it, as q's: rows and columns a step apart, zero outside.
template <class T>
void take_apart(const Pieces& m, const T* planes, T* to, int threads);

// Phases of the result woven into place: planes = clamp(phases + residual).
template <class T>
void put_together(const Pieces& m, const T* phases, const T* residual, T lo, T hi, T* planes,
                  int threads);

// The weights of p as q's, with zeros beyond the kernel; and gradients of q's weights as p's.
template <class T>
void take_weight(const ConvProblem& p, const Pieces& m, bool input_gradient, const T* w, T* to,
                 int threads);
template <class T>
void put_weight(const ConvProblem& p, const Pieces& m, const T* from, T* dw, int threads);

}  // namespace fastconv::winograd
