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
  size_t strip, temp;
  int64_t temp_pitch;  // of a phase of a row
  size_t per_thread() const { return strip + temp; }
};

template <class T>
Sizes sizes(const RowPlan& t) {
  const int64_t lanes = of_type<T>(*kernels().depthwise).lanes;
  Sizes s{};
  s.strip = strip_bytes(t, sizeof(T));
  s.temp_pitch = (t.block[2] + lanes - 1) / lanes * lanes;
  if (t.pixel[2] > 1) s.temp = Carver::bytes<T>(t.block[1] * t.pixel[2] * s.temp_pitch);
  return s;
}

// One plane of the result of one block: all phases.
template <class T>
struct PlaneTask {
  const RowPlan& t;
  const RowData<T>& data;
  const int64_t (&lo)[3];
  const int64_t (&hi)[3];
  const T* strip;
  T* temp;
  int64_t temp_pitch;
  bool skip;  // whether padding can be left out: not if a weight is infinite, as 0 * inf is NaN
};

// Rows [lo, hi) of depth z of one phase.
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
  const size_t per_slab = f.slab.empty() ? 0 : f.bands.size() / f.slab.size();
  g.bands = f.bands.data() + d0 * per_slab;
  g.bands_count = static_cast<ptrdiff_t>((d1 - d0) * per_slab);
  g.w_row = f.w_row;
  g.col = f.col.data();
  g.w_col = f.wcol.data();
  g.cols = static_cast<ptrdiff_t>(f.col.size());
  if (g.cols == 0) g.bands_count = 0;
  g.src_row = f.spread * t.step[1] * t.row;
  g.row_step = f.spread * t.step[1];
  g.width = width;
  const int64_t y0 = job.lo[1] * t.step[1] + t.first[1];
  const T* residual = g.residual;
  const ptrdiff_t out_row = g.out_row, residual_row = g.residual_row;
  T* out = g.out;
  g.out_row *= f.spread;
  g.residual_row *= f.spread;
  constexpr ptrdiff_t unlimited = PTRDIFF_MAX / 4;
  for (int64_t i = 0; i < std::min(f.spread, rows); ++i) {
    g.src = job.strip + zi * t.slab + i * t.step[1] * t.row;
    g.row_lo = job.skip ? -y0 - i * t.step[1] : -unlimited;
    g.row_hi = job.skip ? t.dims[1] - y0 - i * t.step[1] : unlimited;
    g.out = out + i * out_row;
    g.residual = residual ? residual + i * residual_row : nullptr;
    g.rows = (rows - i + f.spread - 1) / f.spread;
    band.sum(g);
  }
}

template <class T>
void result_plane(const PlaneTask<T>& job, const T* w, T bias, ptrdiff_t plane) {
  const RowPlan& t = job.t;
  const auto& band = of_type<T>(*kernels().depthwise);
  const int64_t columns = t.pixel[2];
  BandSum<T> g{};
  g.w = w;
  g.bias = bias;
  g.lo = job.data.lo;
  g.hi = job.data.hi;
  for (size_t at = 0; at < t.phases.size(); at += static_cast<size_t>(columns)) {
    const RowPhase& row_phase = t.phases[at];
    int64_t hi[3];
    for (int i = 0; i < 3; ++i) hi[i] = std::min(job.hi[i], row_phase.extent[i]);
    const int64_t rows = hi[1] - job.lo[1];
    if (rows <= 0) continue;
    const ptrdiff_t y = job.lo[1] * t.pixel[1] + row_phase.first[1];
    const ptrdiff_t x = job.lo[2] * columns;
    for (int64_t z = job.lo[0]; z < hi[0]; ++z) {
      const ptrdiff_t first =
          plane + ((z * t.pixel[0] + row_phase.first[0]) * t.out[1] + y) * t.out[2] + x;
      const ptrdiff_t out_row = t.pixel[1] * t.out[2];
      if (columns == 1) {
        g.out = job.data.dst + first;
        g.out_row = out_row;
        g.residual = job.data.residual ? job.data.residual + first : nullptr;
        g.residual_row = out_row;
        phase_rows(job, row_phase, g, z, rows, hi[2] - job.lo[2]);
        continue;
      }
      for (int64_t c = 0; c < columns; ++c) {
        const RowPhase& f = t.phases[at + static_cast<size_t>(c)];
        const int64_t width = std::min(job.hi[2], f.extent[2]) - job.lo[2];
        g.out = job.temp + c * job.temp_pitch;
        g.out_row = columns * job.temp_pitch;
        if (width > 0) phase_rows(job, f, g, z, rows, width);
      }
      const int64_t count = std::min(job.hi[2] * columns, t.out[2]) - x;
      for (int64_t i = 0; i < rows; ++i) {
        band.interleave(job.temp + i * columns * job.temp_pitch, job.temp_pitch, columns, count,
                        job.data.dst + first + i * out_row);
      }
    }
  }
}

// x - x is NaN where x is not finite.
template <class T>
bool all_finite(const T* w, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    if (w[i] - w[i] != T(0)) return false;
  }
  return true;
}

}  // namespace

template <class T>
void fill_strip(const RowPlan& t, const int64_t (&lo)[3], const T* src, T* strip) {
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
  for (int64_t s = 0; s < t.sources; ++s) {
    for (int64_t z = from[0]; z < to[0]; ++z) {
      const T* rows = src + ((s * t.dims[0] + z) * t.dims[1] + from[1]) * t.dims[2] + from[2];
      T* slab = strip + s * t.plane + (z - at[0]) * t.slab + (from[1] - at[1]) * t.row;
      band.fill(rows, t.dims[2], to[1] - from[1], to[2] - from[2], t.step[2], from[2] - at[2],
                t.pitch, slab, t.row);
    }
  }
}

size_t strip_bytes(const RowPlan& t, size_t item) {
  const int64_t lanes = kernels().vector_bytes / static_cast<int64_t>(item);
  return Carver::bytes<char>(static_cast<size_t>(t.lead + t.sources * t.plane + 2 * lanes) * item);
}

size_t row_bytes(const RowPlan& t, size_t item, int threads) {
  const int64_t team = std::max<int64_t>(1, std::min<int64_t>(threads, t.tasks()));
  const Sizes s = item == 4 ? sizes<float>(t) : sizes<double>(t);
  return static_cast<size_t>(team) * s.per_thread();
}

template <class T>
void run_rows(const RowPlan& t, const RowData<T>& data, char* scratch, int threads) {
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
    for (int64_t unit = rest * t.units; unit < last; ++unit) {
      const int64_t group = unit % t.groups;
      const T* src = data.src + unit * t.sources * src_plane;
      PlaneTask<T> job{
          t, data, lo, hi, strip, reinterpret_cast<T*>(base + size.strip), size.temp_pitch, skip};
      fill_strip(t, lo, src, strip);
      for (int64_t r = 0; r < t.results; ++r) {
        result_plane<T>(job, data.w + group * t.w_group + r * t.w_result,
                        data.bias ? data.bias[group * t.results + r] : T(0),
                        (unit * t.results + r) * dst_plane);
      }
    }
  });
}

template void fill_strip<float>(const RowPlan&, const int64_t (&)[3], const float*, float*);
template void fill_strip<double>(const RowPlan&, const int64_t (&)[3], const double*, double*);
template void run_rows<float>(const RowPlan&, const RowData<float>&, char*, int);
template void run_rows<double>(const RowPlan&, const RowData<double>&, char*, int);

}  // namespace fastconv
