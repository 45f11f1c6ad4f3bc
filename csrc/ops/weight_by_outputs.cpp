// The weight gradient with output channels in lanes; see weight_gradient.h.
#include <cstring>

#include "../isa.h"
#include "parallel.h"
#include "weight_gradient.h"

namespace fastconv {
namespace {

constexpr int64_t kSide = 64;  // output channels whose transposed gradient is kept at a time

struct Cut {
  PixelCut pixels;
  int64_t k_part, k_parts;  // output channels of a task
  int64_t c_part, c_parts;  // input channels of a task
  int64_t tasks(const ConvProblem& p) const { return p.groups * k_parts * c_parts; }
};

// Every task fills the strip of its channels and transposes its gradient: the parts between which
// both cost least. Its sums and its strip stay in the second-level cache.
template <class T>
Cut cut(const ConvProblem& p, int threads) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  const int64_t nr = gemm.nr, mr = gemm.mr, cg = std::max<int64_t>(p.cg(), 1);
  Cut c;
  c.pixels = cut_pixels(p, 384);
  const int64_t budget = static_cast<int64_t>(l2_bytes() / 4 / sizeof(T));
  const int64_t strip = c.pixels.images * c.pixels.shape.plane();
  const int64_t filled = c.pixels.strip ? p.stride[0] * p.stride[1] * p.stride[2] : 0;
  const int64_t side = std::max(kSide, nr);
  int64_t least = -1;
  for (int64_t parts = ceil_div(p.kg(), side); parts > 0; --parts) {
    const int64_t k_part = ceil_div(ceil_div(p.kg(), parts), side) * side;
    const int64_t most =
        std::min(budget / (p.taps() * k_part), budget / std::max<int64_t>(strip, 1));
    const int64_t c_parts = ceil_div(cg, std::max(most, mr));
    const int64_t cost = 3 * filled * cg * parts + 2 * p.kg() * c_parts;
    if (least >= 0 && cost >= least) continue;
    least = cost;
    c.k_part = k_part;
    c.c_part = ceil_div(cg, c_parts);
  }
  c.k_part = std::min(c.k_part, ceil_div(p.kg(), nr) * nr);
  c.k_parts = ceil_div(p.kg(), c.k_part);
  // A task for each thread: first fewer input channels, then fewer output channels.
  const int64_t want = ceil_div(threads, p.groups * c.k_parts);
  if (ceil_div(cg, c.c_part) < want) c.c_part = std::max(ceil_div(cg, want), std::min(cg, mr));
  c.c_parts = ceil_div(cg, c.c_part);
  if (p.groups * c.k_parts * c.c_parts < threads) {
    c.k_part = ceil_div(ceil_div(p.kg(), ceil_div(threads, p.groups * c.c_parts)), nr) * nr;
    c.k_parts = ceil_div(p.kg(), c.k_part);
  }
  return c;
}

template <class T>
size_t per_thread(const ConvProblem& p, const Cut& c) {
  return 2 * Carver::bytes<ptrdiff_t>(c.pixels.pixels()) +
         (c.pixels.strip ? Carver::bytes<T>(c.pixels.images * c.c_part * c.pixels.shape.plane())
                         : 0) +
         Carver::bytes<T>(c.pixels.pixels() *
                          std::max<int64_t>(kSide, of_type<T>(*kernels().gemm).nr)) +
         Carver::bytes<T>(c.c_part * p.taps() * c.k_part);
}

// Where the pixels of a block lie in the view of x and in the transposed gradient.
void fill_offsets(const Block& b, const PixelView& v, int64_t nr, ptrdiff_t* a_off,
                  ptrdiff_t* b_off) {
  int64_t i = 0;
  for (int64_t n = 0; n < b.images; ++n) {
    for (int64_t z = 0; z < b.extent(0); ++z) {
      for (int64_t h = 0; h < b.extent(1); ++h) {
        for (int64_t q = 0; q < b.extent(2); ++q, ++i) {
          a_off[i] = n * v.image + z * v.slab + h * v.row + q;
          b_off[i] = i * nr;
        }
      }
    }
  }
}

template <class T>
void run_task(const ConvCall<T>& call, const Cut& c, int64_t task, char* scratch) {
  const ConvProblem& p = *call.p;
  const auto& gemm = of_type<T>(*kernels().gemm);
  const PixelView view(p, c.pixels, c.c_part);
  const int64_t taps = p.taps(), nr = gemm.nr, plane = p.out_plane();
  const int64_t c0 = task % c.c_parts * c.c_part;
  const int64_t k0 = task / c.c_parts % c.k_parts * c.k_part;
  const int64_t group = task / c.c_parts / c.k_parts;
  const int64_t cn = std::min(c.c_part, p.cg() - c0), kn = std::min(c.k_part, p.kg() - k0);
  const int64_t blocks = c.pixels.count();

  Carver own(scratch);
  ptrdiff_t* a_off = own.take<ptrdiff_t>(c.pixels.pixels());
  ptrdiff_t* b_off = own.take<ptrdiff_t>(c.pixels.pixels());
  T* strip =
      c.pixels.strip ? own.take<T>(c.pixels.images * c.c_part * c.pixels.shape.plane()) : nullptr;
  const int64_t side = std::max(kSide, nr);
  T* turned = own.take<T>(c.pixels.pixels() * side);
  T* sums = own.take<T>(c.c_part * taps * c.k_part);

  GemmBlock<T> g{};
  g.a_row = view.plane;
  g.a_off = a_off;
  g.b = turned;
  g.b_off = b_off;
  g.c_row = taps * c.k_part;
  g.rows = cn;
  // Lanes beyond the last output channel are computed and dropped. Whatever the scratch held before
  // would be read as numbers there, and subnormal ones cost a hundred times as much.
  if (kn % nr != 0) std::memset(turned, 0, c.pixels.pixels() * side * sizeof(T));
  Block known{};  // whose offsets are in the tables
  for (int64_t i = 0; i < blocks; ++i) {
    const Block b = pixel_block(p, c.pixels, i);
    const int64_t pixels = b.pixels(), per_image = pixels / b.images;
    if (i == 0 || known.images != b.images || known.extent(0) != b.extent(0) ||
        known.extent(1) != b.extent(1) || known.extent(2) != b.extent(2)) {
      fill_offsets(b, view, nr, a_off, b_off);
      known = b;
    }
    const T* x =
        view_block(p, c.pixels, view, call.input + group * p.cg() * p.in_plane(), c0, cn, b, strip);
    g.depth = pixels;
    g.a_contiguous = counts_up(a_off, pixels);
    g.run = g.a_contiguous ? pixels : b.extent(2);
    g.b_panel = pixels * nr;
    g.accumulate = i > 0;
    const T* dy = call.grad + (b.image * p.k + group * p.kg() + k0) * plane +
                  (b.lo[0] * p.out[1] + b.lo[1]) * p.out[2] + b.lo[2];
    for (int64_t first = 0; first < kn; first += side) {
      g.lanes = std::min(side, kn - first);
      for (int64_t k = 0; k < g.lanes; k += nr) {
        for (int64_t n = 0; n < b.images; ++n) {
          gemm.transpose(dy + (n * p.k + first + k) * plane, plane, std::min(nr, g.lanes - k),
                         per_image, turned + k * pixels + n * per_image * nr, nr);
        }
      }
      if (call.bias_grad && c0 == 0) {
        sum_rows(p, dy + first * plane, b, g.lanes, i > 0,
                 call.bias_grad + group * p.kg() + k0 + first);
      }
      for (int64_t tap = 0; tap < taps; ++tap) {
        g.a = x + tap_offset(p, c.pixels, tap);
        g.c = sums + tap * c.k_part + first;
        gemm.block(g);
      }
    }
  }
  T* dw = call.result + ((group * p.kg() + k0) * p.cg() + c0) * taps;
  gemm.transpose(sums, c.k_part, cn * taps, kn, dw, p.reduction());
}

}  // namespace

template <class T>
size_t weight_by_outputs_bytes(const ConvProblem& p, int threads) {
  const Cut c = cut<T>(p, threads);
  const int64_t team = std::max<int64_t>(1, std::min<int64_t>(threads, c.tasks(p)));
  return static_cast<size_t>(team) * per_thread<T>(p, c);
}

template <class T>
void weight_by_outputs(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  const Cut c = cut<T>(p, call.threads);
  const size_t own = per_thread<T>(p, c);
  parallel_for(c.tasks(p), call.threads, [&](int64_t task, int thread) {
    run_task(call, c, task, call.scratch + thread * own);
  });
}

template size_t weight_by_outputs_bytes<float>(const ConvProblem&, int);
template size_t weight_by_outputs_bytes<double>(const ConvProblem&, int);
template void weight_by_outputs<float>(const ConvCall<float>&);
template void weight_by_outputs<double>(const ConvCall<double>&);

}  // namespace fastconv
