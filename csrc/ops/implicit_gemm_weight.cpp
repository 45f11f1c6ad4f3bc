// The im2col row of the weight gradient: a matrix product whose depth is pixels.
//
//   dw[k, c, tap] = sum over images and pixels of grad[k, pixel] * x[c, pixel * stride + tap]
//
// The gradient is transposed, a block of pixels at a time, so that output channels are lanes; the
// padded strip of x is broadcast, its pixels addressed through a table, once for every tap. Blocks
// of pixels follow each other in a fixed order and threads split the outputs, so the result does
// not depend on their number.
#include <algorithm>
#include <cstring>

#include "memory.h"
#include "parallel.h"
#include "rows.h"
#include "strip.h"

namespace fastconv {
namespace {

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

struct Cut {
  std::vector<Tap> taps;
  Dims step;
  Dims block;
  int64_t blocks[3];
  int64_t k_part, k_parts;  // output channels of a task
  int64_t c_part, c_parts;  // input channels of a task
  bool strip;
  StripShape shape;
  int64_t tasks(const ConvProblem& p) const { return p.groups * k_parts * c_parts; }
  int64_t pixels() const { return block[0] * block[1] * block[2]; }
};

template <class T>
Cut cut(const ConvProblem& p, int threads) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  Cut c;
  for (int64_t z = 0; z < p.ker[0]; ++z) {
    for (int64_t r = 0; r < p.ker[1]; ++r) {
      for (int64_t s = 0; s < p.ker[2]; ++s) {
        c.taps.push_back(
            {{z * p.dil[0] - p.pad_lo[0], r * p.dil[1] - p.pad_lo[1], s * p.dil[2] - p.pad_lo[2]}});
      }
    }
  }
  for (int i = 0; i < 3; ++i) c.step[i] = p.out[i] > 1 ? p.stride[i] : 1;
  const int64_t most = 384;  // pixels summed at a time
  const int64_t z = p.out[0], h = p.out[1], q = p.out[2];
  c.block[0] = c.block[1] = 1;
  c.block[2] = q;
  if (q > most) {
    c.block[2] = ceil_div(q, ceil_div(q, most));
  } else if (h * q > most) {
    c.block[1] = ceil_div(h, ceil_div(h, most / q));
  } else {
    c.block[1] = h;
    c.block[0] = std::min(z, std::max<int64_t>(1, most / (h * q)));
  }
  for (int i = 0; i < 3; ++i) c.blocks[i] = ceil_div(p.out[i], c.block[i]);
  c.shape = strip_shape(c.taps, c.step, c.block);
  c.strip = p.padded() || c.step[2] != 1;

  const int64_t nr = gemm.nr;
  c.k_part = std::min(ceil_div(p.kg(), nr) * nr, std::max<int64_t>(nr, 64));
  c.c_part = p.cg();
  if (threads > 1) {
    // First fewer output channels a task, down to one panel; then fewer input channels.
    const int64_t want = 3 * threads;
    if (p.groups * ceil_div(p.kg(), c.k_part) < want) c.k_part = nr;
    const int64_t tasks = p.groups * ceil_div(p.kg(), c.k_part);
    if (tasks < want) {
      const int64_t parts = std::min(ceil_div(want, tasks), ceil_div(p.cg(), gemm.mr));
      c.c_part = ceil_div(p.cg(), std::max<int64_t>(parts, 1));
    }
  }
  c.c_part = std::max<int64_t>(c.c_part, 1);
  c.k_parts = ceil_div(p.kg(), c.k_part);
  c.c_parts = ceil_div(p.cg(), c.c_part);
  return c;
}

template <class T>
struct Sizes {
  size_t offsets, strip, grad, sums;
  size_t per_thread() const { return 2 * offsets + strip + grad + sums; }
};

template <class T>
Sizes<T> sizes(const ConvProblem& p, const Cut& c) {
  Sizes<T> s{};
  s.offsets = Carver::bytes<ptrdiff_t>(c.pixels());
  if (c.strip) s.strip = Carver::bytes<T>(c.c_part * c.shape.plane());
  s.grad = Carver::bytes<T>(c.pixels() * c.k_part);
  s.sums = Carver::bytes<T>(c.c_part * p.taps() * c.k_part);
  return s;
}

template <class T>
size_t bytes(const ConvProblem& p, int threads) {
  const Cut c = cut<T>(p, threads);
  const int64_t team = std::max<int64_t>(1, std::min<int64_t>(threads, c.tasks(p)));
  return static_cast<size_t>(team) * sizes<T>(p, c).per_thread();
}

template <class T>
void run(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  const auto& gemm = of_type<T>(*kernels().gemm);
  const Cut c = cut<T>(p, call.threads);
  const Sizes<T> size = sizes<T>(p, c);
  // Of the view of x: from one row or slab of pixels to the next.
  const ptrdiff_t row = c.strip ? c.shape.pitch : c.step[1] * p.in[2];
  const ptrdiff_t slab = c.step[0] * (c.strip ? c.shape.slab() : p.in[1] * p.in[2]);
  const ptrdiff_t plane = c.strip ? c.shape.plane() : p.in_plane();
  const int64_t taps = p.taps(), nr = gemm.nr, out_plane = p.out_plane();

  parallel_for(c.tasks(p), call.threads, [&](int64_t task, int thread) {
    Carver own(call.scratch + thread * size.per_thread());
    ptrdiff_t* a_off = own.take<ptrdiff_t>(c.pixels());
    ptrdiff_t* b_off = own.take<ptrdiff_t>(c.pixels());
    T* strip = c.strip ? own.take<T>(c.c_part * c.shape.plane()) : nullptr;
    T* grad = own.take<T>(c.pixels() * c.k_part);
    T* sums = own.take<T>(c.c_part * taps * c.k_part);

    const int64_t c0 = task % c.c_parts * c.c_part;
    const int64_t k0 = task / c.c_parts % c.k_parts * c.k_part;
    const int64_t group = task / c.c_parts / c.k_parts;
    const int64_t cn = std::min(c.c_part, p.cg() - c0), kn = std::min(c.k_part, p.kg() - k0);

    GemmBlock<T> g{};
    g.a_row = plane;
    g.a_off = a_off;
    g.b = grad;
    g.b_off = b_off;
    g.c_row = taps * c.k_part;
    g.rows = cn;
    g.lanes = kn;
    // Lanes beyond the last output channel are computed and dropped. Whatever the scratch held
    // before would be read as numbers there, and subnormal ones cost a hundred times as much.
    if (kn % nr != 0) std::fill_n(grad, c.pixels() * c.k_part, T(0));
    int64_t known[3] = {0, 0, 0};  // the block shape that the offsets are for
    for (int64_t image = 0; image < p.n; ++image) {
      const T* x = call.input + ((image * p.c) + group * p.cg() + c0) * p.in_plane();
      const T* dy = call.grad + ((image * p.k) + group * p.kg() + k0) * out_plane;
      Block b;
      b.images = 1;
      for (int64_t bz = 0; bz < c.blocks[0]; ++bz) {
        b.lo[0] = bz * c.block[0];
        b.hi[0] = std::min(b.lo[0] + c.block[0], p.out[0]);
        for (int64_t bp = 0; bp < c.blocks[1]; ++bp) {
          b.lo[1] = bp * c.block[1];
          b.hi[1] = std::min(b.lo[1] + c.block[1], p.out[1]);
          for (int64_t bq = 0; bq < c.blocks[2]; ++bq) {
            b.lo[2] = bq * c.block[2];
            b.hi[2] = std::min(b.lo[2] + c.block[2], p.out[2]);
            const int64_t pixels = b.pixels();
            if (known[0] != b.extent(0) || known[1] != b.extent(1) || known[2] != b.extent(2)) {
              int64_t i = 0;
              for (int64_t z = 0; z < b.extent(0); ++z) {
                for (int64_t h = 0; h < b.extent(1); ++h) {
                  for (int64_t q = 0; q < b.extent(2); ++q, ++i) {
                    a_off[i] = z * slab + h * row + q;
                    b_off[i] = i * nr;
                  }
                }
              }
              for (int axis = 0; axis < 3; ++axis) known[axis] = b.extent(axis);
            }
            const int64_t first = (b.lo[0] * p.out[1] + b.lo[1]) * p.out[2] + b.lo[2];
            for (int64_t k = 0; k < kn; k += nr) {
              gemm.transpose(dy + k * out_plane + first, out_plane, std::min(nr, kn - k), pixels,
                             grad + k * pixels, nr);
            }
            const T* view = x + b.lo[0] * slab + b.lo[1] * row + b.lo[2];
            if (c.strip) {
              fill_strip(x, p.in, cn, c.shape, b, strip);
              view = strip;
            }
            g.depth = pixels;
            g.b_panel = pixels * nr;
            g.accumulate = image + bz + bp + bq > 0;
            for (int64_t tap = 0; tap < taps; ++tap) {
              const auto& at = c.taps[tap].at;
              g.a = view + (c.strip ? strip_offset(c.shape, at)
                                    : (at[0] * p.in[1] + at[1]) * p.in[2] + at[2]);
              g.c = sums + tap * c.k_part;
              gemm.block(g);
            }
          }
        }
      }
    }
    T* dw = call.result + ((group * p.kg() + k0) * p.cg() + c0) * taps;
    if (p.n == 0) {
      for (int64_t k = 0; k < kn; ++k) std::fill_n(dw + k * p.reduction(), cn * taps, T(0));
      return;
    }
    gemm.transpose(sums, c.k_part, cn * taps, kn, dw, p.reduction());
  });
}

bool any_problem(const ConvProblem&) {
  return true;
}

double cost(const ConvProblem& p, size_t item, bool) {
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  const double vectors =
      std::max(1.0, static_cast<double>(ceil_div(p.kg(), static_cast<int64_t>(lanes))));
  const double pixels = static_cast<double>(p.n * p.out_plane());
  return static_cast<double>(p.groups) * pixels *
         (static_cast<double>(p.reduction()) * vectors * 0.5 + vectors * lanes * 0.5 +
          static_cast<double>(p.cg()) / lanes * 2);
}

size_t workspace(const ConvProblem& p, size_t item, int threads, bool) {
  return item == 4 ? bytes<float>(p, threads) : bytes<double>(p, threads);
}

size_t nothing(const ConvProblem&, size_t) {
  return 0;
}

}  // namespace

const Algorithm kIm2colWeight = {"im2col",
                                 Direction::weight,
                                 "implicit GEMM over pixels, output channels in lanes",
                                 any_problem,
                                 cost,
                                 workspace,
                                 nothing,
                                 {run<float>, nullptr},
                                 {run<double>, nullptr}};

}  // namespace fastconv
