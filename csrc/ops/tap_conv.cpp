#include "tap_conv.h"

#include <limits>

#include "../isa.h"
#include "memory.h"
#include "parallel.h"
#include "strip.h"

namespace fastconv {
namespace {

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// How the work is cut. Depends on the problem and on the number of threads; the order in which any
// one output is summed depends on the problem alone.
struct Cut {
  int64_t kc;  // depth of a chunk: whole channels where they fit
  int64_t chunks;
  Dims block;         // extents of a block of output pixels
  int64_t blocks[3];  // number of blocks along each axis
  int64_t row_parts;  // rows are split so often
  bool strip;         // the source is read through a padded copy
  bool dense;         // a block of the result is one contiguous run per row
  StripShape shape;
  int64_t channels;  // most channels that a chunk touches
  int64_t tasks(int64_t images, int64_t groups) const {
    return images * groups * blocks[0] * blocks[1] * blocks[2] * row_parts;
  }
};

template <class T>
Cut cut(const TapConv<T>& t, int threads) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  Cut c;
  const int64_t ntaps = static_cast<int64_t>(t.taps.size());
  const int64_t depth = t.channels * ntaps;
  // Short sums, added up: the error of a float sum grows with the length of its runs.
  const int64_t most = 384;
  if (depth == 0) {
    c.kc = 0;
    c.chunks = 1;
  } else {
    c.chunks = ceil_div(depth, most);
    c.kc = ceil_div(depth, c.chunks);
    if (ntaps <= most) c.kc = ceil_div(c.kc, ntaps) * ntaps;
    c.chunks = ceil_div(depth, c.kc);
  }
  c.channels = ntaps == 0          ? 0
               : c.kc % ntaps == 0 ? c.kc / ntaps
                                   : std::min(t.channels, c.kc / ntaps + 2);

  c.dense =
      t.dst_pixel[2] == 1 && t.dst_pixel[1] == t.out[2] && t.dst_pixel[0] == t.out[1] * t.out[2];

  // A block of packed panels stays in half of the second-level cache.
  const int64_t nr = gemm.nr;
  const int64_t budget = std::max<int64_t>(128 << 10, static_cast<int64_t>(l2_bytes() * 2 / 5));
  int64_t most_pixels = budget / static_cast<int64_t>(sizeof(T)) / std::max<int64_t>(c.kc, 16);
  most_pixels = std::max(nr, std::min<int64_t>(most_pixels / nr * nr, 1024));
  // Enough blocks for the threads, as long as they are not too small to amortise the weights.
  const int64_t total = t.out[0] * t.out[1] * t.out[2];
  if (threads > 1) {
    const int64_t want = ceil_div(3 * threads, t.images * t.groups);
    most_pixels = std::max(std::min(most_pixels, 4 * nr),
                           std::min(most_pixels, ceil_div(ceil_div(total, want), nr) * nr));
  }
  const int64_t z = t.out[0], p = t.out[1], q = t.out[2];
  if (q > most_pixels) {  // part of a row
    const int64_t parts = ceil_div(q, most_pixels);
    c.block[0] = c.block[1] = 1;
    c.block[2] = std::min(q, ceil_div(ceil_div(q, parts), nr) * nr);
  } else if (p * q > most_pixels) {  // whole rows
    // The height, near the largest, that fills its panels best.
    const int64_t lanes = nr / 2;
    const int64_t highest = most_pixels / q;
    const int64_t lowest = std::max<int64_t>(1, highest * 2 / 3);
    double best = 1e300;
    for (int64_t h = highest; h >= lowest; --h) {
      const int64_t full = p / h, rest = p % h;
      const double vectors = static_cast<double>(full) * ceil_div(h * q, lanes) +
                             ceil_div(rest * q, lanes) + 2.0 * (full + (rest > 0));
      if (vectors < best) {
        best = vectors;
        c.block[1] = h;
      }
    }
    c.block[0] = 1;
    c.block[2] = q;
  } else {  // whole planes
    c.block[0] = std::min(z, std::max<int64_t>(1, most_pixels / (p * q)));
    c.block[1] = p;
    c.block[2] = q;
  }
  for (int i = 0; i < 3; ++i) c.blocks[i] = ceil_div(t.out[i], c.block[i]);

  // The strip is needed where a tap may read outside or where columns are strided. Unpacked tiles
  // read whole vectors, past the end of a row: only a strip has room for that.
  c.shape = strip_shape(t.taps, t.step, c.block);
  c.strip = !t.packed || t.step[2] != 1;
  for (int i = 0; i < 3; ++i) {
    const int64_t last = (t.out[i] - 1) * t.step[i] + c.shape.first[i] + c.shape.reach[i];
    if (c.shape.first[i] < 0 || last >= t.dims[i]) c.strip = true;
  }

  // Rows are split when there are too few blocks for the threads, or when the temporary block of
  // a result that is not dense would grow large.
  const int64_t mr = gemm.mr;
  c.row_parts = 1;
  const int64_t tasks = c.tasks(t.images, t.groups);
  if (threads > 1 && tasks < 3 * threads) {
    c.row_parts = std::min(ceil_div(t.rows, mr), ceil_div(3 * threads, tasks));
  }
  if (!c.dense) c.row_parts = std::max(c.row_parts, ceil_div(t.rows, 256));
  return c;
}

template <class T>
struct Sizes {
  size_t shared;  // tables
  size_t strip, panels, temp;
  size_t per_thread() const { return strip + panels + temp; }
};

template <class T>
Sizes<T> sizes(const TapConv<T>& t, const Cut& c) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  Sizes<T> s{};
  const size_t depth = t.channels * t.taps.size();
  const size_t pixels = c.block[0] * c.block[1] * c.block[2];
  const size_t panels = ceil_div(pixels, gemm.nr);
  s.shared = 2 * Carver::bytes<ptrdiff_t>(depth) + Carver::bytes<ptrdiff_t>(c.kc);
  // Tiles read up to a panel past the last pixel.
  if (c.strip) s.strip = Carver::bytes<T>(c.channels * c.shape.plane() + 4 * gemm.nr);
  if (t.packed) s.panels = Carver::bytes<T>(panels * c.kc * gemm.nr + gemm.nr);
  if (!c.dense) s.temp = Carver::bytes<T>(ceil_div(t.rows, c.row_parts) * pixels);
  return s;
}

// The pixels of a block as lanes of panels: runs that are contiguous in the source view.
template <class T>
void pack_block(const T* view, const ptrdiff_t* k_off, int64_t depth, const Block& b,
                const Dims& step, ptrdiff_t row, ptrdiff_t slab, T* panels) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  const int64_t nr = gemm.nr, width = b.extent(2), height = b.extent(1), pixels = b.pixels();
  Segment segments[64];  // nr is at most 32
  int64_t z = 0, p = 0, q = 0;
  for (int64_t at = 0; at < pixels; at += nr) {
    const int64_t lanes = std::min(nr, pixels - at);
    int count = 0;
    for (int64_t lane = 0; lane < lanes;) {
      const int64_t len = std::min(lanes - lane, width - q);
      segments[count++] = {z * step[0] * slab + p * step[1] * row + q, lane, len};
      lane += len;
      q += len;
      if (q == width) {
        q = 0;
        if (++p == height) {
          p = 0;
          ++z;
        }
      }
    }
    gemm.pack(view, k_off, depth, segments, count, panels + at * depth);
  }
}

}  // namespace

template <class T>
size_t tap_conv_bytes(const TapConv<T>& t, int threads) {
  const Cut c = cut(t, threads);
  const Sizes<T> s = sizes(t, c);
  const int64_t team = std::min<int64_t>(threads, c.tasks(t.images, t.groups));
  return s.shared + static_cast<size_t>(std::max<int64_t>(team, 1)) * s.per_thread();
}

template <class T>
void tap_conv(const TapConv<T>& t, char* scratch, int threads) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  const Cut c = cut(t, threads);
  const Sizes<T> size = sizes(t, c);
  const int64_t ntaps = static_cast<int64_t>(t.taps.size());
  const int64_t depth = t.channels * ntaps;

  // The view: the strip, or the source itself. Either way [channel][slab][row][column].
  const ptrdiff_t row = c.strip ? c.shape.row() : t.dims[2];
  const ptrdiff_t slab = c.strip ? c.shape.slab() : t.dims[1] * t.dims[2];
  const ptrdiff_t plane = c.strip ? c.shape.plane() : t.dims[0] * slab;

  Carver shared(scratch);
  ptrdiff_t* a_off = shared.take<ptrdiff_t>(depth);
  ptrdiff_t* k_off = shared.take<ptrdiff_t>(depth);  // relative to the chunk's first channel
  ptrdiff_t* b_off = shared.take<ptrdiff_t>(c.kc);   // of packed panels
  for (int64_t ch = 0, i = 0; ch < t.channels; ++ch) {
    for (int64_t tap = 0; tap < ntaps; ++tap, ++i) {
      const int64_t first = i / c.kc * c.kc / ntaps;
      const auto& at = t.taps[tap].at;
      a_off[i] = ch * t.w_channel + t.taps[tap].weight;
      k_off[i] = (ch - first) * plane +
                 (c.strip ? strip_offset(c.shape, at) : at[0] * slab + at[1] * row + at[2]);
    }
  }
  for (int64_t i = 0; i < c.kc; ++i) b_off[i] = i * gemm.nr;
  StripUse use;
  for (int i = 0; i < 3; ++i) use.residues[i] = used_residues(t.taps, c.shape, i, t.step[i]);
  const T infinity = std::numeric_limits<T>::infinity();

  parallel_for(c.tasks(t.images, t.groups), threads, [&](int64_t task, int thread) {
    char* base = scratch + size.shared + thread * size.per_thread();
    T* strip_at = reinterpret_cast<T*>(base);
    T* panels = reinterpret_cast<T*>(base + size.strip);
    T* temp = reinterpret_cast<T*>(base + size.strip + size.panels);

    int64_t rest = task;
    const int64_t part = rest % c.row_parts;
    rest /= c.row_parts;
    Block b;
    for (int i = 2; i >= 0; --i) {
      b.lo[i] = rest % c.blocks[i] * c.block[i];
      b.hi[i] = std::min(b.lo[i] + c.block[i], t.out[i]);
      rest /= c.blocks[i];
    }
    const int64_t group = rest % t.groups, image = rest / t.groups;
    const int64_t r0 = t.rows * part / c.row_parts, r1 = t.rows * (part + 1) / c.row_parts;
    const int64_t pixels = b.pixels();

    const T* src = t.src + image * t.src_image + group * t.src_group;
    const ptrdiff_t to = image * t.dst_image + group * t.dst_group + r0 * t.dst_row +
                         b.lo[0] * t.dst_pixel[0] + b.lo[1] * t.dst_pixel[1] +
                         b.lo[2] * t.dst_pixel[2];
    T* dst = t.dst + to;
    const T* residual = t.residual ? t.residual + to : nullptr;

    GemmBlock<T> g{};
    g.a_row = t.w_row;
    g.c = c.dense ? dst : temp;
    g.c_row = c.dense ? t.dst_row : pixels;
    g.rows = r1 - r0;
    for (int64_t chunk = 0; chunk < c.chunks; ++chunk) {
      const int64_t k0 = chunk * c.kc, k1 = std::min(depth, k0 + c.kc);
      const int64_t c0 = ntaps ? k0 / ntaps : 0, c1 = ntaps ? ceil_div(k1, ntaps) : 0;
      const bool last = chunk + 1 == c.chunks;
      const T* view;
      if (c.strip) {
        fill_strip(src + c0 * t.dims[0] * t.dims[1] * t.dims[2], t.dims, c1 - c0, t.step, c.shape,
                   use, b, strip_at);
        view = strip_at;
      } else {
        view = src + c0 * plane + b.lo[0] * t.step[0] * slab + b.lo[1] * t.step[1] * row + b.lo[2];
      }
      g.a = t.w + group * t.w_group + r0 * t.w_row;
      g.a_off = a_off + k0;
      g.depth = k1 - k0;
      g.accumulate = chunk > 0;
      g.clamped = last && c.dense && (t.lo > -infinity || t.hi < infinity);
      g.lo = t.lo;
      g.hi = t.hi;
      g.bias_row = last && t.bias ? t.bias + group * t.rows + r0 : nullptr;
      g.residual = last && c.dense ? residual : nullptr;
      g.residual_row = t.dst_row;
      if (t.packed) {
        pack_block(view, k_off + k0, g.depth, b, t.step, row, slab, panels);
        g.b = panels;
        g.b_off = b_off;
        g.b_panel = g.depth * gemm.nr;
        g.lanes = pixels;
        gemm.block(g);
        continue;
      }
      g.b_off = k_off + k0;
      g.b_panel = gemm.nr;
      g.lanes = b.extent(2);
      T* const c_base = g.c;
      const T* const residual_base = g.residual;
      for (int64_t z = 0, at = 0; z < b.extent(0); ++z) {
        for (int64_t p = 0; p < b.extent(1); ++p, at += b.extent(2)) {
          g.b = view + z * t.step[0] * slab + p * t.step[1] * row;
          g.c = c_base + at;
          g.residual = residual_base ? residual_base + at : nullptr;
          gemm.block(g);
        }
      }
      g.c = c_base;
    }
    if (c.dense) return;
    for (int64_t r = 0; r < r1 - r0; ++r) {
      const T* from = temp + r * pixels;
      for (int64_t z = 0; z < b.extent(0); ++z) {
        for (int64_t p = 0; p < b.extent(1); ++p, from += b.extent(2)) {
          const ptrdiff_t at = r * t.dst_row + z * t.dst_pixel[0] + p * t.dst_pixel[1];
          gemm.finish_row(from, residual ? residual + at : nullptr, b.extent(2), t.dst_pixel[2],
                          t.lo, t.hi, dst + at);
        }
      }
    }
  });
}

template size_t tap_conv_bytes<float>(const TapConv<float>&, int);
template size_t tap_conv_bytes<double>(const TapConv<double>&, int);
template void tap_conv<float>(const TapConv<float>&, char*, int);
template void tap_conv<double>(const TapConv<double>&, char*, int);

}  // namespace fastconv
