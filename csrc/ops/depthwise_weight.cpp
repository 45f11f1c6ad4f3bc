// Weight gradients of depthwise and grouped convolutions: for every pair of planes of a group and
// every tap, the dot product of the output gradient with the shifted source. Images and blocks
// follow each other in a fixed order and threads split the taps, so the result does not depend on
// their number.
#include <algorithm>
#include <cstring>

#include "../isa.h"
#include "depthwise.h"
#include "memory.h"
#include "parallel.h"

namespace fastconv {
namespace {

struct Item {
  int taps;
  TapBand band;
};

// The work of a group is a list of items, (output channel, band of taps). A task takes a run of
// them, or all items of a run of groups.
struct WeightPlan {
  RowPlan rows;
  std::vector<Item> band;  // of one output channel
  int64_t items, run, runs;
  int64_t band_sums;  // vectors of partial sums that an item may need
  int64_t groups;     // of a task
  int64_t batch;      // groups whose strips are filled together
  size_t strip, sums;
  const RowPhase& phase() const { return rows.phases[0]; }
  int64_t bands() const { return static_cast<int64_t>(band.size()); }
  int64_t tasks() const { return ceil_div(rows.groups, groups) * runs; }
  size_t per_thread() const { return strip + sums; }
};

WeightPlan plan_weight(const ConvProblem& p, size_t item, int threads) {
  WeightPlan w;
  w.rows = plan_rows(p, false, item, 1);  // blocks must not depend on the number of threads
  int taps = 1;
  for (const BandGroup& group : w.phase().groups) {
    taps = std::max(taps, group.taps);
    for (const TapBand& b : group.bands) w.band.push_back({group.taps, b});
  }
  w.items = w.rows.results * w.bands();
  w.band_sums = taps * static_cast<int64_t>(w.phase().col.size());
  const int64_t bytes = w.band_sums * kernels().vector_bytes;
  w.run = std::max<int64_t>(1, std::min<int64_t>(w.items, (128 << 10) / bytes));
  if (threads > 1) {
    w.run = std::max<int64_t>(1, std::min(w.run, w.rows.groups * w.items / (4 * threads)));
  }
  w.runs = ceil_div(w.items, w.run);
  // Small planes are filled several at a time (see plan_rows).
  w.groups = 1;
  w.batch = 1;
  if (w.runs == 1) {
    const int64_t near = 12 << 10;
    const int64_t plane = w.rows.sources * w.rows.plane * static_cast<int64_t>(item);
    w.batch = std::max<int64_t>(1, near / (plane + w.items * bytes));
    w.groups = threads > 1 ? std::max<int64_t>(1, w.rows.groups / (4 * threads)) : w.rows.groups;
    w.groups = std::min<int64_t>(w.groups, 64);
    w.batch = std::min(w.batch, w.groups);
  }
  w.strip = strip_bytes(w.rows, w.batch, item);
  w.sums = Carver::bytes<char>(static_cast<size_t>(w.batch * w.run * bytes));
  return w;
}

// Splits the tap columns evenly into tiles that the kernels hold in registers.
template <class Use>
void each_tile(int64_t cols, int most, const Use& use) {
  const int64_t tiles = ceil_div(cols, most);
  for (int64_t i = 0; i < tiles; ++i) use(cols * i / tiles, cols * (i + 1) / tiles);
}

// One block of a pair of planes of each of several groups: every tap of the band.
template <class T>
void dot_band(const RowPlan& t, const Item& item, const int64_t (&lo)[3], const int64_t (&hi)[3],
              const T* strip, const T* grad, T* sums, int64_t planes, int64_t next_sums) {
  const auto& kernel = of_type<T>(*kernels().depthwise);
  const RowPhase& f = t.phases[0];
  const int64_t rows = hi[1] - lo[1];
  BandDots<T> g{};
  g.src_row = f.spread * t.step[1] * t.row;
  g.grad_row = f.spread * t.out[2];
  g.width = hi[2] - lo[2];
  g.taps = item.taps;
  g.planes = planes;
  g.next_src = t.sources * t.plane;
  g.next_grad = t.results * t.out[0] * t.out[1] * t.out[2];
  g.next_sums = next_sums;
  for (int64_t z = lo[0]; z < hi[0]; ++z) {
    const int64_t zi = (z - lo[0]) * t.step[0];
    for (int64_t i = 0; i < std::min(f.spread, rows); ++i) {
      g.src = strip + item.band.src + zi * t.slab + i * t.step[1] * t.row;
      g.grad = grad + (z * t.out[1] + lo[1] + i) * t.out[2] + lo[2];
      g.rows = ceil_div(rows - i, f.spread);
      each_tile(static_cast<int64_t>(f.col.size()), kernel.dot_cols(item.taps),
                [&](int64_t c0, int64_t c1) {
                  g.col = f.col.data() + c0;
                  g.cols = static_cast<int>(c1 - c0);
                  g.sums = sums + c0 * item.taps * kernel.lanes;
                  kernel.dot(g);
                });
    }
  }
}

// From vectors of partial sums to weights.
template <class T>
void finish_band(const RowPlan& t, const Item& item, const T* sums, T* dw) {
  const auto& kernel = of_type<T>(*kernels().depthwise);
  const RowPhase& f = t.phases[0];
  each_tile(static_cast<int64_t>(f.wcol.size()), kernel.dot_cols(item.taps),
            [&](int64_t c0, int64_t c1) {
              const T* tile = sums + c0 * item.taps * kernel.lanes;
              kernel.lane_sums(tile, item.taps, c1 - c0, dw + item.band.w + c0, f.w_row);
            });
}

// The sum of a block of a plane of the gradient.
template <class T>
T sum_block(const RowPlan& t, const int64_t (&lo)[3], const int64_t (&hi)[3], const T* grad) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  int64_t width = hi[2] - lo[2], height = hi[1] - lo[1];
  if (width == t.out[2]) width *= height, height = 1;
  T sum = 0;
  for (int64_t z = lo[0]; z < hi[0]; ++z) {
    for (int64_t h = 0; h < height; ++h) {
      sum += gemm.sum(grad + (z * t.out[1] + lo[1] + h) * t.out[2] + lo[2], width);
    }
  }
  return sum;
}

}  // namespace

template <class T>
void band_weight(const ConvCall<T>& call) {
  const WeightPlan w = plan_weight(*call.p, sizeof(T), call.threads);
  const RowPlan& t = w.rows;
  const auto& kernel = of_type<T>(*kernels().depthwise);
  const ptrdiff_t src_plane = t.dims[0] * t.dims[1] * t.dims[2];
  const ptrdiff_t grad_plane = t.out[0] * t.out[1] * t.out[2];
  const int64_t blocks = t.blocks[0] * t.blocks[1] * t.blocks[2];
  parallel_for(w.tasks(), call.threads, [&](int64_t task, int thread) {
    char* base = call.scratch + static_cast<size_t>(thread) * w.per_thread();
    T* const strip = reinterpret_cast<T*>(base) + t.lead;
    T* const sums = reinterpret_cast<T*>(base + w.strip);
    const int64_t first = task % w.runs * w.run, last = std::min(first + w.run, w.items);
    const int64_t item_sums = w.band_sums * kernel.lanes, unit_sums = w.run * item_sums;
    const int64_t end = std::min(t.groups, (task / w.runs + 1) * w.groups);
    std::memset(base, 0, w.strip);
    for (int64_t group = task / w.runs * w.groups; group < end;) {
      const int64_t count = std::min(w.batch, end - group);
      std::memset(sums, 0, w.sums);
      // The bias's gradients of the output channels whose first band is here.
      const auto each_bias = [&](const auto& use) {
        for (int64_t r = ceil_div(first, w.bands()); call.bias_grad && r * w.bands() < last; ++r) {
          for (int64_t u = 0; u < count; ++u) {
            use(u * t.results + r, call.bias_grad + (group + u) * t.results + r);
          }
        }
      };
      each_bias([](int64_t, T* sum) { *sum = 0; });
      for (int64_t image = 0; image < t.images; ++image) {
        const int64_t unit = image * t.groups + group;
        for (int64_t block = 0; block < blocks; ++block) {
          int64_t lo[3], hi[3];
          int64_t rest = block;
          for (int i = 2; i >= 0; --i) {
            lo[i] = rest % t.blocks[i] * t.block[i];
            hi[i] = std::min(lo[i] + t.block[i], t.grid[i]);
            rest /= t.blocks[i];
          }
          if (blocks > 1) std::memset(base, 0, w.strip);
          fill_strip(t, lo, call.input + unit * t.sources * src_plane, count, strip);
          const T* grad = call.grad + unit * t.results * grad_plane;
          for (int64_t i = first; i < last; ++i) {
            dot_band(t, w.band[i % w.bands()], lo, hi, strip, grad + i / w.bands() * grad_plane,
                     sums + (i - first) * item_sums, count, unit_sums);
          }
          each_bias([&](int64_t plane, T* sum) {
            *sum += sum_block(t, lo, hi, grad + plane * grad_plane);
          });
        }
      }
      for (int64_t u = 0; u < count; ++u) {
        for (int64_t i = first; i < last; ++i) {
          finish_band(t, w.band[i % w.bands()], sums + u * unit_sums + (i - first) * item_sums,
                      call.result + (group + u) * t.w_group + i / w.bands() * t.w_result);
        }
      }
      group += count;
    }
  });
}

size_t band_weight_bytes(const ConvProblem& p, size_t item, int threads) {
  const WeightPlan w = plan_weight(p, item, threads);
  const int64_t team = std::max<int64_t>(1, std::min<int64_t>(threads, w.tasks()));
  return static_cast<size_t>(team) * w.per_thread();
}

template void band_weight<float>(const ConvCall<float>&);
template void band_weight<double>(const ConvCall<double>&);

}  // namespace fastconv
