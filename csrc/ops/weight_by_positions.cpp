// The weight gradient with kernel positions (channel, tap) in lanes; see weight_gradient.h.
#include <cstring>

#include "../isa.h"
#include "parallel.h"
#include "weight_gradient.h"

namespace fastconv {
namespace {

struct Cut {
  PixelCut pixels;
  int64_t lane_part, lane_parts;  // kernel positions of a task
  int64_t row_parts;              // output channels are split so often
  int64_t sums;                   // parts of the sum that are kept apart
  int64_t channels;               // most channels of a task
  int64_t tasks(const ConvProblem& p) const { return p.groups * sums * lane_parts * row_parts; }
};

template <class T>
Cut cut(const ConvProblem& p, int threads) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  const int64_t nr = gemm.nr, item = static_cast<int64_t>(sizeof(T));
  const int64_t lanes = p.reduction(), taps = p.taps();
  Cut c;
  c.pixels = cut_pixels(p, 384);
  // A task's part of dw stays in the second-level cache, and so do its panels.
  const int64_t budget = static_cast<int64_t>(l2_bytes() / 4) / item;
  c.lane_part = std::min(budget / std::max<int64_t>(1, p.kg()), budget / c.pixels.pixels());
  c.lane_part = std::min(std::max(c.lane_part / nr, int64_t{4}) * nr, ceil_div(lanes, nr) * nr);
  const int64_t blocks = c.pixels.count();
  c.sums = p.kg() * lanes * item <= 64 << 10 && blocks >= 16 ? 8 : 1;
  c.row_parts = 1;
  if (threads > 1 && c.sums == 1) {
    const int64_t want = ceil_div(3 * threads, p.groups);
    if (ceil_div(lanes, c.lane_part) < want) {
      c.lane_part =
          std::min(c.lane_part, std::max(ceil_div(ceil_div(lanes, want), nr), int64_t{2}) * nr);
    }
    // Each part of the rows packs all panels: no more of them than there are threads to feed.
    const int64_t tasks = p.groups * ceil_div(lanes, c.lane_part);
    c.row_parts = std::min(ceil_div(threads, tasks), ceil_div(p.kg(), 2 * gemm.mr));
    c.row_parts = std::max<int64_t>(1, c.row_parts);
  }
  c.lane_parts = ceil_div(lanes, c.lane_part);
  c.channels = std::min(p.cg(), ceil_div(c.lane_part, taps) + (c.lane_part % taps ? 1 : 0));
  return c;
}

struct Sizes {
  size_t lane_off, pixel_off, strip, panels, sums;
  size_t per_thread() const { return lane_off + 2 * pixel_off + strip + panels; }
};

template <class T>
Sizes sizes(const ConvProblem& p, const Cut& c) {
  Sizes s{};
  s.lane_off = Carver::bytes<ptrdiff_t>(c.lane_part);
  s.pixel_off = Carver::bytes<ptrdiff_t>(c.pixels.pixels());
  if (c.pixels.strip) {
    s.strip = Carver::bytes<T>(c.pixels.images * c.channels * c.pixels.shape.plane());
  }
  s.panels = Carver::bytes<T>(c.lane_part * c.pixels.pixels());
  if (c.sums > 1) s.sums = Carver::bytes<T>(c.sums * p.k * (p.reduction() + 1));
  return s;
}

int64_t team(const ConvProblem& p, const Cut& c, int threads) {
  return std::max<int64_t>(1, std::min<int64_t>(threads, c.tasks(p)));
}

template <class T>
class Run {
 public:
  Run(const ConvCall<T>& call, const Cut& c)
      : p_(*call.p),
        c_(c),
        size_(sizes<T>(p_, c)),
        view_(p_, c.pixels, c.channels),
        input_(call.input),
        grad_(call.grad),
        result_(c.sums > 1 ? reinterpret_cast<T*>(call.scratch) : call.result),
        bias_(!call.bias_grad ? nullptr
              : c.sums > 1    ? result_ + c.sums * p_.k * p_.reduction()
                              : call.bias_grad),
        scratch_(call.scratch + size_.sums) {}

  void task(int64_t index, int thread) const {
    const auto& gemm = of_type<T>(*kernels().gemm);
    const int64_t nr = gemm.nr, taps = p_.taps(), plane = p_.out_plane();
    const int64_t rows_at = index % c_.row_parts;
    index /= c_.row_parts;
    const int64_t j0 = index % c_.lane_parts * c_.lane_part;
    index /= c_.lane_parts;
    const int64_t sum = index % c_.sums, group = index / c_.sums;
    const int64_t j1 = std::min(j0 + c_.lane_part, p_.reduction());
    const int64_t r0 = p_.kg() * rows_at / c_.row_parts;
    const int64_t r1 = p_.kg() * (rows_at + 1) / c_.row_parts;
    const int64_t c0 = j0 / taps, c1 = ceil_div(j1, taps);

    Carver own(scratch_ + thread * size_.per_thread());
    ptrdiff_t* lane_off = own.take<ptrdiff_t>(c_.lane_part);
    ptrdiff_t* a_off = own.take<ptrdiff_t>(c_.pixels.pixels());
    ptrdiff_t* b_off = own.take<ptrdiff_t>(c_.pixels.pixels());
    T* strip = c_.pixels.strip
                   ? own.take<T>(c_.pixels.images * c_.channels * c_.pixels.shape.plane())
                   : nullptr;
    T* panels = own.take<T>(c_.lane_part * c_.pixels.pixels());
    for (int64_t j = j0; j < j1; ++j) {
      lane_off[j - j0] = (j / taps - c0) * view_.plane + tap_offset(p_, c_.pixels, j % taps);
    }

    GemmBlock<T> g{};
    g.a_row = plane;
    g.a_off = a_off;
    g.b = panels;
    g.b_off = b_off;
    g.c = result_ + ((sum * p_.k + group * p_.kg() + r0) * p_.reduction()) + j0;
    g.c_row = p_.reduction();
    g.rows = r1 - r0;
    g.lanes = j1 - j0;
    // Idle lanes of the last panel are computed and dropped: stale numbers there might be
    // subnormal, which cost a hundred times as much.
    if (g.lanes % nr != 0) std::memset(panels, 0, c_.lane_part * c_.pixels.pixels() * sizeof(T));
    const int64_t blocks = c_.pixels.count();
    const int64_t first = blocks * sum / c_.sums, last = blocks * (sum + 1) / c_.sums;
    int64_t known = -1;  // pixels of the block that the offsets are for
    for (int64_t i = first; i < last; ++i) {
      const Block b = pixel_block(p_, c_.pixels, i);
      if (b.pixels() != known) {
        known = b.pixels();
        const int64_t per_image = known / b.images;
        for (int64_t k = 0; k < known; ++k) {
          a_off[k] = k / per_image * p_.k * plane + k % per_image;
          b_off[k] = k * nr;
        }
      }
      const T* x = view_block(p_, c_.pixels, view_, input_ + group * p_.cg() * p_.in_plane(), c0,
                              c1 - c0, b, strip);
      pack(x, b, lane_off, g.lanes, panels);
      g.a = grad_ + (b.image * p_.k + group * p_.kg() + r0) * plane +
            (b.lo[0] * p_.out[1] + b.lo[1]) * p_.out[2] + b.lo[2];
      g.depth = known;
      g.a_contiguous = b.images == 1;
      g.run = known / b.images;
      g.b_panel = known * nr;
      g.accumulate = i > first;
      gemm.block(g);
      if (bias_ && j0 == 0) {
        sum_rows(p_, g.a, b, g.rows, g.accumulate, bias_ + sum * p_.k + group * p_.kg() + r0);
      }
    }
  }

 private:
  // Rows of pixels of every lane become columns of the panels.
  void pack(const T* x, const Block& b, const ptrdiff_t* lane_off, int64_t lanes, T* panels) const {
    const auto& gemm = of_type<T>(*kernels().gemm);
    const int64_t nr = gemm.nr, pixels = b.pixels();
    // Rows of pixels that follow each other in memory are one.
    int64_t width = b.extent(2), height = b.extent(1), depth = b.extent(0);
    if (view_.row == width) width *= height, height = 1;
    for (int64_t j = 0; j < lanes; j += nr) {
      T* to = panels + j * pixels;
      for (int64_t n = 0; n < b.images; ++n) {
        for (int64_t z = 0; z < depth; ++z) {
          for (int64_t h = 0; h < height; ++h, to += width * nr) {
            gemm.transpose_rows(x + n * view_.image + z * view_.slab + h * view_.row, lane_off + j,
                                std::min(nr, lanes - j), width, to, nr);
          }
        }
      }
    }
  }

  const ConvProblem& p_;
  const Cut& c_;
  const Sizes size_;
  const PixelView view_;
  const T *input_, *grad_;
  T *result_, *bias_;  // parts of their sums, where there are several
  char* scratch_;
};

}  // namespace

template <class T>
size_t weight_by_positions_bytes(const ConvProblem& p, int threads) {
  const Cut c = cut<T>(p, threads);
  const Sizes s = sizes<T>(p, c);
  return s.sums + static_cast<size_t>(team(p, c, threads)) * s.per_thread();
}

template <class T>
void weight_by_positions(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  const Cut c = cut<T>(p, call.threads);
  const Run<T> run(call, c);
  parallel_for(c.tasks(p), call.threads,
               [&](int64_t index, int thread) { run.task(index, thread); });
  if (c.sums == 1) return;
  const int64_t outputs = p.k * p.reduction();
  const T* const parts = reinterpret_cast<const T*>(call.scratch);
  add_parts(parts, c.sums, outputs, outputs, call.result);
  if (call.bias_grad) add_parts(parts + c.sums * outputs, c.sums, p.k, p.k, call.bias_grad);
}

template size_t weight_by_positions_bytes<float>(const ConvProblem&, int);
template size_t weight_by_positions_bytes<double>(const ConvProblem&, int);
template void weight_by_positions<float>(const ConvCall<float>&);
template void weight_by_positions<double>(const ConvCall<double>&);

}  // namespace fastconv
