#include "pool_phases.h"

#include <numeric>

namespace fastconv {

Phase phase_of(const PoolWindows& w, int axis, int64_t residue) {
  const int64_t s = w.stride[axis], d = w.dil[axis], k = w.ker[axis];
  // Taps of a window are wanted whose distance from its start leaves the same residue.
  const int64_t common = std::gcd(s, d), step = s / common;
  int64_t first = 0;
  while (first < k && first < step && (first * d - residue) % s != 0) ++first;
  if (first >= k || first >= step) return {0, 0, 1};
  const int64_t taps = (k - 1 - first) / step + 1;
  const int64_t last = first + (taps - 1) * step;  // the tap of the earliest window
  return {taps, (residue - last * d) / s, d / common};
}

std::vector<PhaseRun> phase_runs(const PoolWindows& w, int axis) {
  std::vector<PhaseRun> runs;
  const int64_t s = w.stride[axis];
  for (int64_t at = 0; at < std::min(s, w.in[axis]); ++at) {
    const int64_t padded = at + w.pad_lo[axis];
    const Phase phase = phase_of(w, axis, padded % s);
    const size_t begin = runs.size();
    int64_t lo = -1, hi = -1;  // taps of the run that is growing
    for (int64_t j = 0; at + j * s < w.in[axis]; ++j) {
      const int64_t first = padded / s + j + phase.first;
      const int64_t t0 = first < 0 ? std::min(phase.taps, (-first + phase.dil - 1) / phase.dil) : 0;
      const int64_t room = w.out[axis] - first;
      const int64_t t1 =
          room > 0 ? std::max(t0, std::min(phase.taps, (room + phase.dil - 1) / phase.dil)) : t0;
      if (runs.size() > begin && t0 == lo && t1 == hi) {
        ++runs.back().count;
      } else {
        runs.push_back({at + j * s, 1, first + t0 * phase.dil, t1 - t0, phase.dil});
        lo = t0;
        hi = t1;
      }
    }
  }
  return runs;
}

WindowRange windows_of(const PoolWindows& w, int axis, int64_t begin, int64_t end) {
  const int64_t s = w.stride[axis], span = (w.ker[axis] - 1) * w.dil[axis];
  const int64_t from = begin + w.pad_lo[axis] - span, to = end - 1 + w.pad_lo[axis];
  const int64_t first = from > 0 ? (from + s - 1) / s : 0;
  const int64_t last = std::min(w.out[axis], to / s + 1);
  return {first, std::max(first, last)};
}

}  // namespace fastconv
