// The windows of a pool as its input sees them. Along an axis, elements whose padded index is the
// same modulo the stride form a phase: they meet the same taps of windows that move along with
// them.
#pragma once

#include <vector>

#include "pool_plain.h"

namespace fastconv {

// Element i of a phase meets windows i + first + t * dil, t < taps, in ascending order.
struct Phase {
  int64_t taps, first, dil;
};

// The phase of padded indices i * stride + residue.
Phase phase_of(const PoolWindows& w, int axis, int64_t residue);

// Elements at, at + stride, ... (count of them) of an axis; the first meets windows window + t *
// dil, t < taps, and each next one the windows after those.
struct PhaseRun {
  int64_t at, count;
  int64_t window, taps, dil;
};

// All elements of an axis as runs.
std::vector<PhaseRun> phase_runs(const PoolWindows& w, int axis);

// Small images whose rows go together, since what a row meets is the same in all: so many fit the
// first cache. `size`: elements of one.
constexpr int64_t images_together(int64_t size) {
  constexpr int64_t kElements = 8192;
  return size >= kElements || size == 0 ? 1 : kElements / size;
}

// The windows [first, last) that meet elements [begin, end) of an axis.
struct WindowRange {
  int64_t first, last;
};
WindowRange windows_of(const PoolWindows& w, int axis, int64_t begin, int64_t end);

}  // namespace fastconv
