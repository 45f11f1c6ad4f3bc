// The rows of the algorithm registry, each defined in its own file.
#pragma once

#include "registry.h"

namespace fastconv {

// One way in all three directions.
struct Directions {
  Algorithm forward, input, weight;
};

// implicit_gemm.cpp: im2col and direct share an engine
extern const Algorithm kIm2colForward, kIm2colInput, kDirectForward, kDirectInput;
// broadcast.cpp
extern const Algorithm kBroadcastForward, kBroadcastInput;
// dense.cpp
extern const Algorithm kDenseForward, kDenseInput, kDenseWeight;
// implicit_gemm_weight.cpp
extern const Algorithm kIm2colWeight;
// direct_weight.cpp
extern const Algorithm kDirectWeight;
// images.cpp
extern const Algorithm kImagesForward, kImagesInput, kImagesWeight;
// transposed.cpp
extern const Algorithm kTransposedInput;
// winograd_rows.cpp
extern const Algorithm kWinogradForward, kWinogradInput, kWinograd2Forward, kWinograd2Input;
// depthwise.cpp
extern const Algorithm kDepthwiseForward, kDepthwiseInput, kDepthwiseWeight;
extern const Algorithm kGroupedForward, kGroupedInput, kGroupedWeight;
// Whether these rows do some groups of an image by themselves.
bool takes_groups(const Algorithm& row, const ConvProblem& p, size_t item);
// winograd_weight.cpp
extern const Algorithm kWinogradWeight, kWinograd2Weight;
// winograd_pieces_rows.cpp
extern const Directions kPieces, kPieces2;
// winograd_slabs.cpp
extern const Directions kSlabs, kSlabs2;
// winograd_lines.cpp
extern const Directions kLines;

}  // namespace fastconv
