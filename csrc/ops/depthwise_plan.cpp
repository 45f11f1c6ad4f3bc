// From a convolution to a plan of rows: phases, bands of taps, blocks.
#include <algorithm>
#include <numeric>

#include "../isa.h"
#include "depthwise.h"
#include "memory.h"

namespace fastconv {
namespace {

int64_t round_up(int64_t a, int64_t b) {
  return ceil_div(a, b) * b;
}

AxisTaps forward_taps(const ConvProblem& p, int axis) {
  AxisTaps taps;
  for (int64_t r = 0; r < p.ker[axis]; ++r) {
    taps.push_back({r * p.dil[axis] - p.pad_lo[axis], r});
  }
  return taps;
}

// x[h] collects w[r] * grad[(h + pad - r * dil) / stride] where that leaves no rest: for the phase
// that starts at h = first, the taps with r * dil = first + pad (mod stride).
AxisTaps input_taps(const ConvProblem& p, int axis, int64_t first) {
  AxisTaps taps;
  const int64_t at = first + p.pad_lo[axis], stride = p.stride[axis];
  for (int64_t r = p.ker[axis] - 1; r >= 0; --r) {
    const int64_t tap = r * p.dil[axis];
    if (tap % stride != at % stride) continue;
    taps.push_back({at / stride - (tap - at % stride) / stride, r});
  }
  return taps;
}

// Rows whose taps lie a multiple of the step apart share source rows: one band for each residue of
// the tap modulo the step, cut to what the kernels hold in registers.
struct RowTaps {
  struct Band {
    int taps;
    TapBand band;  // row and w filled, relative to the smallest tap
  };
  std::vector<Band> bands;
  int64_t spread = 1;
  int64_t w_row = 1;
};

RowTaps split_rows(const AxisTaps& taps, int64_t first, int64_t step, int max_taps) {
  RowTaps rows;
  for (int64_t residue = 0; residue < step; ++residue) {
    AxisTaps same;
    for (const AxisTap& t : taps) {
      if ((t.at - first) % step == residue) same.push_back(t);
    }
    const int64_t n = static_cast<int64_t>(same.size());
    if (n > 1) {
      rows.spread = (same[1].at - same[0].at) / step;
      rows.w_row = same[1].w - same[0].w;
    }
    const int64_t parts = n == max_taps ? 1 : ceil_div(n, 5);
    for (int64_t i = 0; i < parts; ++i) {
      const int64_t t0 = n * i / parts, t1 = n * (i + 1) / parts;
      rows.bands.push_back({static_cast<int>(t1 - t0), {0, same[t0].at - first, same[t0].w}});
    }
  }
  return rows;
}

void cut_blocks(RowPlan* plan, size_t item, int threads) {
  RowPlan& t = *plan;
  const int64_t lanes = kernels().vector_bytes / static_cast<int64_t>(item);
  // A strip stays in the first-level cache, unless its rows of overlap with the next would then
  // outnumber its own.
  const int64_t near = 28 << 10, far = static_cast<int64_t>(l2_bytes() / 3);
  const int64_t most_cols = 1024;
  const auto parts = [](int64_t extent, int64_t most) {
    return ceil_div(extent, ceil_div(extent, std::max<int64_t>(most, 1)));
  };
  t.block[2] = t.grid[2];
  if (t.grid[2] > most_cols) t.block[2] = round_up(parts(t.grid[2], most_cols), lanes);
  const auto shape = [&] {
    t.depth = (t.block[0] - 1) * t.step[0] + t.reach[0] + 1;
    t.height = (t.block[1] - 1) * t.step[1] + t.reach[1] + 1;
    const int64_t cols = t.block[2] + t.reach[2] / t.step[2];
    // Stores past the end of a phase must not reach the next.
    t.pitch = round_up(cols + (t.step[2] > 1 ? lanes : 0), lanes);
    if (t.pitch * static_cast<int64_t>(item) % 4096 == 0) t.pitch += lanes;
    t.row = t.step[2] * t.pitch;
    t.slab = t.height * t.row;
    t.plane = t.depth * t.slab;
    return t.sources * t.plane * static_cast<int64_t>(item);
  };
  const auto fit = [&](int axis, int64_t least) {
    // The most positions that fit nearby, but at least so many while they fit far away.
    t.block[axis] = 1;
    const int64_t one = shape();
    t.block[axis] = 2;
    const int64_t more = std::max<int64_t>(shape() - one, 1);
    int64_t most = one < near ? 1 + (near - one) / more : 1;
    const int64_t room = one < far ? 1 + (far - one) / more : 1;
    most = std::max(most, std::min(least, room));
    t.block[axis] = parts(t.grid[axis], most);
    // Whole tiles of rows.
    if (t.block[axis] < t.grid[axis] && t.block[axis] > 8) {
      t.block[axis] = std::min(round_up(t.block[axis], 8), std::max<int64_t>(most / 8 * 8, 8));
    }
  };
  t.block[0] = 1;
  // Slabs that overlap are filled again for every block along the depth: planes stay whole there.
  fit(1, t.reach[0] > 0 ? t.grid[1] : std::max<int64_t>(8, 4 * t.reach[1] / t.step[1]));
  if (t.block[1] == t.grid[1]) fit(0, 4 * t.reach[0] / t.step[0]);
  const int64_t all_units = t.images * t.groups;
  if (threads > 1) {
    // Enough tasks for the threads: shorter blocks where there are few planes.
    const int64_t want = ceil_div(3 * threads, std::max<int64_t>(1, all_units));
    const int64_t have = ceil_div(t.grid[0], t.block[0]) * ceil_div(t.grid[1], t.block[1]) *
                         ceil_div(t.grid[2], t.block[2]);
    if (want > have) {
      t.block[1] =
          std::max(std::min<int64_t>(t.block[1], 8), parts(t.grid[1], t.block[1] * have / want));
    }
  }
  shape();
  for (int i = 0; i < 3; ++i) t.blocks[i] = ceil_div(t.grid[i], t.block[i]);

  t.lead = t.step[2] == 1 ? (lanes - std::max<int64_t>(-t.first[2], 0) % lanes) % lanes : 0;
  // Tasks of some 20 microseconds, and enough of them.
  int64_t taps = 0;
  for (const RowPhase& f : t.phases) {
    for (const BandGroup& g : f.groups) {
      taps += g.taps * static_cast<int64_t>(g.bands.size() * f.col.size());
    }
  }
  const int64_t positions = t.block[0] * t.block[1] * round_up(t.block[2], lanes) / lanes;
  const int64_t work = t.results * positions * std::max<int64_t>(taps, 1) + 100;
  t.units = std::max<int64_t>(1, std::min(all_units, 150000 / work));
  if (threads > 1) {
    const int64_t blocks = t.blocks[0] * t.blocks[1] * t.blocks[2];
    t.units = std::max<int64_t>(1, std::min(t.units, all_units * blocks / (4 * threads)));
  }
  // Planes that are small are filled several at a time: calls are dear, and a load of what was
  // stored just before at another alignment waits.
  const int64_t bytes = t.sources * t.plane * static_cast<int64_t>(item);
  t.batch = std::max<int64_t>(1, std::min(std::min(t.units, t.groups), near / 2 / bytes));
}

}  // namespace

RowPlan plan_rows(const ConvProblem& p, bool input_gradient, size_t item, int threads) {
  RowPlan t;
  const int max_taps = kernels().depthwise->f32.max_taps;
  t.images = p.n;
  t.groups = p.groups;
  t.sources = input_gradient ? p.kg() : p.cg();
  t.results = input_gradient ? p.cg() : p.kg();
  const int64_t w_channel = p.taps(), w_filter = p.cg() * p.taps();
  t.w_group = p.kg() * w_filter;
  t.w_result = input_gradient ? w_channel : w_filter;
  const int64_t w_source = input_gradient ? w_filter : w_channel;

  std::vector<AxisTaps> taps[3];  // [axis][phase]
  for (int i = 0; i < 3; ++i) {
    t.dims[i] = input_gradient ? p.out[i] : p.in[i];
    t.out[i] = input_gradient ? p.in[i] : p.out[i];
    if (input_gradient) {
      t.pixel[i] = std::min(p.stride[i], p.in[i]);
      for (int64_t f = 0; f < t.pixel[i]; ++f) taps[i].push_back(input_taps(p, i, f));
      // A stride beyond the extent leaves one position to every phase.
      t.grid[i] = ceil_div(p.in[i], t.pixel[i]);
    } else {
      t.step[i] = p.out[i] > 1 ? p.stride[i] : 1;
      t.grid[i] = p.out[i];
      taps[i].push_back(forward_taps(p, i));
    }
    int64_t lo = INT64_MAX, hi = INT64_MIN;
    for (const AxisTaps& phase : taps[i]) {
      if (phase.empty()) continue;
      lo = std::min(lo, phase.front().at);
      hi = std::max(hi, phase.back().at);
    }
    t.first[i] = lo <= hi ? lo : 0;  // no tap may reach the result at all
    t.reach[i] = lo <= hi ? hi - lo : 0;
  }
  t.phases.resize(taps[0].size() * taps[1].size() * taps[2].size());

  // The strip's layout is needed for the offsets below and depends on taps and extents only.
  for (size_t at = 0; at < t.phases.size(); ++at) {
    RowPhase& f = t.phases[at];
    size_t rest = at;
    const AxisTaps* axis[3];
    for (int i = 2; i >= 0; --i) {
      f.first[i] = static_cast<int64_t>(rest % taps[i].size());
      axis[i] = &taps[i][rest % taps[i].size()];
      rest /= taps[i].size();
      f.extent[i] = (t.out[i] - f.first[i] - 1) / t.pixel[i] + 1;
    }
    const RowTaps rows = split_rows(*axis[1], t.first[1], t.step[1], max_taps);
    f.spread = rows.spread;
    f.w_row = rows.w_row * p.ker[2];
    for (const AxisTap& z : *axis[0]) f.slab.push_back(z.at - t.first[0]);
    for (int taps = max_taps; taps > 0; --taps) {
      BandGroup group{taps, 0, {}};
      for (const AxisTap& z : *axis[0]) {
        for (int64_t s = 0; s < t.sources; ++s) {
          for (const RowTaps::Band& b : rows.bands) {
            if (b.taps != taps) continue;
            TapBand band = b.band;
            band.src = s;  // completed below
            band.w = (z.w * p.ker[1] + band.w) * p.ker[2] + s * w_source;
            group.bands.push_back(band);
          }
        }
      }
      if (group.bands.empty()) continue;
      group.per_slab = static_cast<int64_t>(group.bands.size() / f.slab.size());
      f.groups.push_back(std::move(group));
    }
    for (const AxisTap& c : *axis[2]) {
      f.col.push_back(c.at - t.first[2]);
      f.wcol.push_back(c.w);
    }
  }
  cut_blocks(&t, item, threads);
  for (RowPhase& f : t.phases) {
    for (BandGroup& group : f.groups) {
      for (size_t i = 0; i < group.bands.size(); ++i) {
        TapBand& b = group.bands[i];
        const int64_t slab = f.slab[i / static_cast<size_t>(group.per_slab)];
        b.src = b.src * t.plane + slab * t.slab + b.row * t.row;
      }
    }
    for (ptrdiff_t& c : f.col) c = c % t.step[2] * t.pitch + c / t.step[2];
  }
  return t;
}

}  // namespace fastconv
