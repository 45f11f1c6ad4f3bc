// The engine under the depthwise and grouped rows: output rows as sums of shifted source rows, read
// from a zero-padded strip that stays in the nearest caches. One plan serves the forward direction
// and, a phase of the stride at a time, the input gradient.
//
//   dst[o, z, p, q] = clamp(bias[o] + residual[...] + sum over source planes i and taps of
//       w[o, i, tap] * src[i, (z, p, q) * step + tap])
//
// for the few source planes i and destination planes o of a group.
#pragma once

#include <vector>

#include "../kernels.h"
#include "../problem.h"
#include "registry.h"

namespace fastconv {

// Where a tap of one axis reads for output position 0, and the index of its weight.
struct AxisTap {
  int64_t at, w;
};

// The taps of one axis of one phase: positions rise.
using AxisTaps = std::vector<AxisTap>;

// Bands of equally many taps: [depth tap][source plane][band].
struct BandGroup {
  int taps;
  int64_t per_slab;
  std::vector<TapBand> bands;
};

// Rows of the result that use the same taps. The forward direction has one phase; the input
// gradient has one for every residue of the position modulo the stride.
struct RowPhase {
  int64_t first[3];                  // of the result
  int64_t extent[3];                 // positions first + i * pixel
  std::vector<int64_t> slab;         // source slab of each depth tap, for z = 0
  std::vector<BandGroup> groups;     // bands of as many taps each
  std::vector<ptrdiff_t> col, wcol;  // of each tap column
  int64_t spread = 1;                // rows i, i + spread, ... share source rows
  ptrdiff_t w_row = 0;               // between the weights of a band
};

struct RowPlan {
  int64_t images = 1, groups = 1;
  int64_t sources = 1, results = 1;  // planes of a group
  Dims dims{1, 1, 1}, out{1, 1, 1};  // of a source and of a result plane
  Dims step{1, 1, 1};                // source step of a position
  Dims pixel{1, 1, 1};               // result step of a position
  Dims grid{1, 1, 1};                // most positions of a phase
  std::vector<RowPhase> phases;      // innermost: the phases of a row
  ptrdiff_t w_group = 0, w_result = 0;

  // Blocks of positions, each with its strip: [source plane][slab][row][column phase][pitch]
  Dims block{1, 1, 1};
  int64_t blocks[3] = {1, 1, 1};
  int64_t first[3], reach[3];  // smallest tap position, and how far the largest lies from it
  int64_t depth, height, pitch;
  int64_t lead;  // elements before the strip that align its rows
  ptrdiff_t row, slab, plane;
  int64_t units;  // (image, group) pairs of a task
  int64_t batch;  // of them, those whose strips are filled together

  int64_t runs() const { return (images * groups + units - 1) / units; }
  int64_t tasks() const { return runs() * blocks[0] * blocks[1] * blocks[2]; }
};

RowPlan plan_rows(const ConvProblem& p, bool input_gradient, size_t item, int threads);

// Bytes of scratch for run_rows on this many threads.
size_t row_bytes(const RowPlan& plan, size_t item, int threads);

template <class T>
struct RowData {
  const T* src;
  const T* w;
  T* dst;
  const T* bias = nullptr;       // one per result plane, or null
  const T* residual = nullptr;   // like dst, or null
  T lo = 0, hi = 0;              // the result is clamped to [lo, hi]
  int64_t first = 0, last = -1;  // of one image, the groups to do; all where last < 0
};

template <class T>
void run_rows(const RowPlan& plan, const RowData<T>& data, char* scratch, int threads);

// The part of a plane that a block's strip covers, and its copy into the (cleared) strip.
template <class T>
void fill_strip(const RowPlan& plan, const int64_t (&lo)[3], const T* src, int64_t units, T* strip);

// Bytes of the strips of a batch, from their lead to the last vector that may be read.
size_t strip_bytes(const RowPlan& plan, int64_t units, size_t item);

// Planes that are read where they lie instead of from a strip: small ones with common kernels.
bool reads_planes(const ConvProblem& p, bool input_gradient, size_t item);
size_t plane_bytes(const ConvProblem& p, bool input_gradient, size_t item, int threads);
template <class T>
bool finite_weights(const ConvProblem& p, const T* w);  // run_planes needs them
template <class T>
void run_planes(const ConvProblem& p, bool input_gradient, const RowData<T>& data, char* scratch,
                int threads);

// Depthwise planes that are read with channels in the lanes, where that is quicker.
bool reads_plane_lanes(const ConvProblem& p, bool input_gradient, size_t item);
double lane_plane_cycles(const ConvProblem& p, bool input_gradient);
size_t lane_plane_bytes(const ConvProblem& p, bool input_gradient, int threads);
template <class T>
void run_lane_planes(const ConvProblem& p, bool input_gradient, const RowData<T>& data,
                     char* scratch, int threads);

bool reads_planes_for_weight(const ConvProblem& p, size_t item);
size_t plane_weight_bytes(const ConvProblem& p, size_t item, int threads);
// Whether the result is finite; if not, it may lack what padding makes of infinite gradients.
template <class T>
bool run_plane_weight(const ConvCall<T>& call);

// The weight gradient, by the same strips.
template <class T>
void band_weight(const ConvCall<T>& call);
size_t band_weight_bytes(const ConvProblem& p, size_t item, int threads);

}  // namespace fastconv
