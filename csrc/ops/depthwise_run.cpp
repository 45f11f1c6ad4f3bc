// Runs a plan of rows: fills the strip, sums the rows, interleaves the phases.
#include <algorithm>
#include <cstring>
#include <limits>

#include "../isa.h"
#include "depthwise.h"
#include "memory.h"
#include "parallel.h"

namespace fastconv {
namespace {

struct Sizes {
  size_t strip, temp;  // bytes
  int64_t temp_pitch;  // of a phase of a row
  size_t per_thread() const { return strip + temp; }
};

template <class T>
Sizes sizes(const RowPlan& t) {
  const int64_t lanes = of_type<T>(*kernels().depthwise).lanes;
  Sizes s{};
  s.strip = strip_bytes(t, t.batch, sizeof(T));
  s.temp_pitch = (t.block[2] + lanes - 1) / lanes * lanes;
  if (t.pixel[2] > 1) {
    s.temp = Carver::bytes<T>(t.batch * t.block[1] * t.pixel[2] * s.temp_pitch);
  }
  return s;
}

// One result plane of each unit of a batch, one block of it: all phases.
template <class T>
struct PlaneTask {
  const RowPlan& t;
  const int64_t (&lo)[3];
  const int64_t (&hi)[3];
  const T* strip;
  T* temp;
  int64_t temp_pitch;
  bool skip;     // whether padding can be left out: not if a weight is infinite, as 0 * inf is NaN
  BandSum<T> g;  // what all rows have in common
  T* dst;
  const T* residual;
};

// `rows` rows of depth z of one phase.
template <class T>
void phase_rows(const PlaneTask<T>& job, const RowPhase& f, BandSum<T> g, int64_t z, int64_t rows,
                int64_t width) {
  const RowPlan& t = job.t;
  const auto& band = of_type<T>(*kernels().depthwise);
  // Depth taps in the padding may be skipped: positions rise, so the others are a range.
  const int64_t z0 = job.lo[0] * t.step[0] + t.first[0], zi = (z - job.lo[0]) * t.step[0];
  size_t d0 = 0, d1 = f.slab.size();
  while (job.skip && d0 < d1 && z0 + zi + f.slab[d0] < 0) ++d0;
  while (job.skip && d1 > d0 && z0 + zi + f.slab[d1 - 1] >= t.dims[0]) --d1;
  const bool empty = d0 == d1 || f.groups.empty() || f.col.empty();
  g.w_row = f.w_row;
  g.col = f.col.data();
  g.w_col = f.wcol.data();
  g.cols = static_cast<ptrdiff_t>(f.col.size());
  g.src_row = f.spread * t.step[1] * t.row;
  g.row_step = f.spread * t.step[1];
  g.width = width;
  const int64_t y0 = job.lo[1] * t.step[1] + t.first[1];
  const T* const residual = g.residual;
  const ptrdiff_t out_row = g.out_row, residual_row = g.residual_row;
  T* const out = g.out;
  const bool clamped = g.clamped;
  g.out_row *= f.spread;
  g.residual_row *= f.spread;
  constexpr ptrdiff_t unlimited = PTRDIFF_MAX / 4;
  for (int64_t i = 0; i < std::min(f.spread, rows); ++i) {
    g.src = job.strip + zi * t.slab + i * t.step[1] * t.row;
    g.row_lo = job.skip ? -y0 - i * t.step[1] : -unlimited;
    g.row_hi = job.skip ? t.dims[1] - y0 - i * t.step[1] : unlimited;
    g.out = out + i * out_row;
    g.rows = (rows - i + f.spread - 1) / f.spread;
    // Bands of equally many taps at a time; the sums rest in the result between them.
    const size_t passes = empty ? 1 : f.groups.size();
    for (size_t pass = 0; pass < passes; ++pass) {
      const bool last = pass + 1 == passes;
      g.taps = 1;
      g.bands_count = 0;
      if (!empty) {
        const BandGroup& group = f.groups[pass];
        g.taps = group.taps;
        g.bands = group.bands.data() + d0 * static_cast<size_t>(group.per_slab);
        g.bands_count = static_cast<ptrdiff_t>(d1 - d0) * group.per_slab;
      }
      g.accumulate = pass > 0;
      g.residual = last && residual ? residual + i * residual_row : nullptr;
      g.clamped = last && clamped;
      band.sum(g);
    }
  }
}

template <class T>
void result_planes(const PlaneTask<T>& job) {
  const RowPlan& t = job.t;
  const auto& band = of_type<T>(*kernels().depthwise);
  const int64_t columns = t.pixel[2];
  BandSum<T> g = job.g;
  for (size_t at = 0; at < t.phases.size(); at += static_cast<size_t>(columns)) {
    const RowPhase& row_phase = t.phases[at];
    int64_t hi[3];
    for (int i = 0; i < 3; ++i) hi[i] = std::min(job.hi[i], row_phase.extent[i]);
    const int64_t rows = hi[1] - job.lo[1];
    if (rows <= 0) continue;
    const ptrdiff_t y = job.lo[1] * t.pixel[1] + row_phase.first[1];
    const ptrdiff_t x = job.lo[2] * columns;
    for (int64_t z = job.lo[0]; z < hi[0]; ++z) {
      const ptrdiff_t first = ((z * t.pixel[0] + row_phase.first[0]) * t.out[1] + y) * t.out[2] + x;
      const ptrdiff_t out_row = t.pixel[1] * t.out[2];
      if (columns == 1) {
        g.out = job.dst + first;
        g.out_row = out_row;
        g.residual = job.residual ? job.residual + first : nullptr;
        g.residual_row = out_row;
        phase_rows(job, row_phase, g, z, rows, hi[2] - job.lo[2]);
        continue;
      }
      g.out_row = columns * job.temp_pitch;
      g.next_out = rows * g.out_row;
      for (int64_t c = 0; c < columns; ++c) {
        const RowPhase& f = t.phases[at + static_cast<size_t>(c)];
        const int64_t width = std::min(job.hi[2], f.extent[2]) - job.lo[2];
        g.out = job.temp + c * job.temp_pitch;
        if (width > 0) phase_rows(job, f, g, z, rows, width);
      }
      RowMove<T> m{};
      m.src = job.temp;
      m.src_row = g.out_row;
      m.src_plane = g.next_out;
      m.dst = job.dst + first;
      m.dst_row = out_row;
      m.dst_plane = job.g.next_out;
      m.planes = g.planes;
      m.rows = rows;
      m.cols = std::min(job.hi[2] * columns, t.out[2]) - x;
      m.step = columns;
      m.pitch = job.temp_pitch;
      band.interleave(m);
    }
  }
}

// x - x is NaN where x is not finite.
template <class T>
bool all_finite(const T* w, int64_t n) {
  bool finite = true;
  for (int64_t i = 0; i < n; ++i) finite &= w[i] - w[i] == T(0);
  return finite;
}

}  // namespace

template <class T>
void fill_strip(const RowPlan& t, const int64_t (&lo)[3], const T* src, int64_t units, T* strip) {
  const auto& band = of_type<T>(*kernels().depthwise);
  // Positions of the strip's first element in the source, and the part that lies inside.
  int64_t at[3], from[3], to[3];
  const int64_t need[3] = {t.depth, t.height, (t.block[2] - 1) * t.step[2] + t.reach[2] + 1};
  for (int i = 0; i < 3; ++i) {
    at[i] = lo[i] * t.step[i] + t.first[i];
    from[i] = std::max<int64_t>(at[i], 0);
    to[i] = std::min(at[i] + need[i], t.dims[i]);
    if (from[i] >= to[i]) return;
  }
  RowMove<T> m{};
  m.src_row = t.dims[2];
  m.src_plane = t.dims[0] * t.dims[1] * t.dims[2];
  m.dst_row = t.row;
  m.dst_plane = t.plane;
  m.planes = units * t.sources;
  m.rows = to[1] - from[1];
  m.cols = to[2] - from[2];
  m.step = t.step[2];
  m.first = from[2] - at[2];
  m.pitch = t.pitch;
  for (int64_t z = from[0]; z < to[0]; ++z) {
    m.src = src + (z * t.dims[1] + from[1]) * t.dims[2] + from[2];
    m.dst = strip + (z - at[0]) * t.slab + (from[1] - at[1]) * t.row;
    band.fill(m);
  }
}

size_t strip_bytes(const RowPlan& t, int64_t units, size_t item) {
  const int64_t lanes = kernels().vector_bytes / static_cast<int64_t>(item);
  const int64_t count = t.lead + units * t.sources * t.plane + 2 * lanes;
  return Carver::bytes<char>(static_cast<size_t>(count) * item);
}

size_t row_bytes(const RowPlan& t, size_t item, int threads) {
  const int64_t team = std::max<int64_t>(1, std::min<int64_t>(threads, t.tasks()));
  const Sizes s = item == 4 ? sizes<float>(t) : sizes<double>(t);
  return static_cast<size_t>(team) * s.per_thread();
}

template <class T>
void run_rows(const RowPlan& t, const RowData<T>& data, char* scratch, int threads) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const Sizes size = sizes<T>(t);
  const ptrdiff_t src_plane = t.dims[0] * t.dims[1] * t.dims[2];
  const ptrdiff_t dst_plane = t.out[0] * t.out[1] * t.out[2];
  const int64_t units = t.images * t.groups;
  const bool skip = all_finite(data.w, t.groups * t.w_group);
  parallel_for(t.tasks(), threads, [&](int64_t task, int thread) {
    char* base = scratch + static_cast<size_t>(thread) * size.per_thread();
    T* const strip = reinterpret_cast<T*>(base) + t.lead;
    int64_t lo[3], hi[3];
    int64_t rest = task;
    for (int i = 2; i >= 0; --i) {
      lo[i] = rest % t.blocks[i] * t.block[i];
      hi[i] = std::min(lo[i] + t.block[i], t.grid[i]);
      rest /= t.blocks[i];
    }
    // The zeros of the padding stay where they are from plane to plane.
    std::memset(base, 0, size.strip);
    const int64_t last = std::min(units, (rest + 1) * t.units);
    for (int64_t unit = rest * t.units; unit < last;) {
      const int64_t group = unit % t.groups;
      const int64_t count = std::min({t.batch, last - unit, t.groups - group});
      fill_strip(t, lo, data.src + unit * t.sources * src_plane, count, strip);
      PlaneTask<T> job{
          t,    lo, hi,      strip,  reinterpret_cast<T*>(base + size.strip), size.temp_pitch,
          skip, {}, nullptr, nullptr};
      job.g.planes = count;
      job.g.next_src = t.sources * t.plane;
      job.g.next_w = t.w_group;
      job.g.next_out = t.results * dst_plane;
      job.g.next_bias = t.results;
      job.g.lo = data.lo;
      job.g.hi = data.hi;
      job.g.clamped = data.lo > -infinity || data.hi < infinity;
      for (int64_t r = 0; r < t.results; ++r) {
        const ptrdiff_t plane = (unit * t.results + r) * dst_plane;
        job.dst = data.dst + plane;
        job.residual = data.residual ? data.residual + plane : nullptr;
        job.g.w = data.w + group * t.w_group + r * t.w_result;
        job.g.bias = data.bias ? data.bias + group * t.results + r : nullptr;
        result_planes(job);
      }
      unit += count;
    }
  });
}

template void fill_strip<float>(const RowPlan&, const int64_t (&)[3], const float*, int64_t,
                                float*);
template void fill_strip<double>(const RowPlan&, const int64_t (&)[3], const double*, int64_t,
                                 double*);
template void run_rows<float>(const RowPlan&, const RowData<float>&, char*, int);
template void run_rows<double>(const RowPlan&, const RowData<double>&, char*, int);

}  // namespace fastconv
