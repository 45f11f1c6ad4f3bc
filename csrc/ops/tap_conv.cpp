#include "tap_conv.h"

#include <limits>
#include <numeric>

#include "../isa.h"
#include "memory.h"
#include "parallel.h"
#include "tap_cut.h"
#include "tap_weave.h"

namespace fastconv {
namespace {

// Bytes of each array in the scratch.
struct Sizes {
  size_t shared;  // tables
  size_t strip, panels, temp;
  size_t per_thread() const { return strip + panels + temp; }
};

template <class T>
Sizes sizes(const TapConv<T>& t, const Cut& c) {
  const int64_t nr = of_type<T>(*kernels().gemm).nr;
  Sizes s{};
  const size_t products = t.channels * t.terms.size();
  s.shared = 2 * Carver::bytes<ptrdiff_t>(products) +
             Carver::bytes<ptrdiff_t>(t.channels * t.taps.size()) + Carver::bytes<ptrdiff_t>(c.kc);
  if (c.turned) s.shared += Carver::bytes<T>(t.groups * t.rows * products);
  // Tiles read up to a panel past the last pixel.
  if (c.strip) s.strip = Carver::bytes<T>(c.images * c.channels * c.shape.plane() + 4 * nr);
  if (c.mode == Lanes::packed) {
    const int64_t panels = c.passing     ? std::max<int64_t>(2, c.panels)
                           : c.gathering ? c.panels
                                         : ceil_div(c.lanes, nr);
    s.panels = Carver::bytes<T>((panels * c.kc + 1) * nr);
  }
  if (c.temp) s.temp = Carver::bytes<T>(c.most_rows * c.slots * c.lanes);
  return s;
}

template <class T>
int64_t team(const TapConv<T>& t, const Cut& c, int threads) {
  return std::max<int64_t>(1, std::min<int64_t>(threads, c.pieces(t.groups)));
}

template <class T>
class Run {
 public:
  Run(const TapConv<T>& t, const Cut& c, char* scratch)
      : t_(t), c_(c), size_(sizes(t, c)), scratch_(scratch) {
    Carver shared(scratch);
    const size_t products = t.channels * t.terms.size();
    a_off_ = shared.take<ptrdiff_t>(products);
    b_off_ = shared.take<ptrdiff_t>(products);
    k_off_ = shared.take<ptrdiff_t>(t.channels * t.taps.size());
    count_ = shared.take<ptrdiff_t>(c.kc);
    std::iota(count_, count_ + c.kc, ptrdiff_t{0});
    if (c.turned) turned_ = shared.take<T>(t.groups * t.rows * products);
    slab_ = t.step[0] * (c.strip ? c.shape.slab() : t.dims[1] * t.dims[2]);
    row_ = c.strip ? c.shape.pitch : t.step[1] * t.dims[2];
    plane_ = c.strip ? c.shape.plane() : t.dims[0] * t.dims[1] * t.dims[2];
    image_ = c.strip ? c.channels * plane_ : t.src_image;
    pixel_ = c.halves ? 2 : 1;
    fill_tables();
  }

  // Rows of weights are turned so many at a time.
  static constexpr int64_t kTurn = 64;
  int64_t turns() const { return c_.turned ? t_.groups * ceil_div(t_.rows, kTurn) : 0; }

  // Some rows of one group's weights, for every phase contiguous along its depth.
  void turn(int64_t index) const {
    const int64_t parts = ceil_div(t_.rows, kTurn), group = index / parts;
    const int64_t r0 = index % parts * kTurn, r1 = std::min(r0 + kTurn, t_.rows);
    const T* w = t_.w + group * t_.w_group + r0 * t_.w_row;
    for (int64_t f = 0; f < t_.phases(); ++f) {
      const int64_t depth = t_.channels * (t_.first[f + 1] - t_.first[f]);
      const ptrdiff_t* off = a_off_ + t_.channels * t_.first[f];
      T* to = turned_phase(group, f) + r0 * depth;
      if (t_.w_row == 1) {
        of_type<T>(*kernels().gemm).transpose_rows(w, off, depth, r1 - r0, to, depth);
        continue;
      }
      const int64_t terms = t_.first[f + 1] - t_.first[f];
      if (terms == 0) continue;
      of_type<T>(*kernels().gemm)
          .turn({w, t_.w_row, t_.w_channel, off, terms, r1 - r0, t_.channels, to, depth});
    }
  }

  // One block of pixels and one part of the rows.
  void piece(int64_t index, int thread) const {
    // Part after part: a thread then keeps its part of the weights.
    const int64_t blocks = c_.pieces(t_.groups) / c_.row_parts, part = index / blocks;
    int64_t group;
    const Block b = block(index % blocks, &group);
    const int64_t r0 = t_.rows * part / c_.row_parts, r1 = t_.rows * (part + 1) / c_.row_parts;
    char* own = scratch_ + size_.shared + thread * size_.per_thread();
    T* strip = reinterpret_cast<T*>(own);
    T* panels = reinterpret_cast<T*>(own + size_.strip);
    T* temp = reinterpret_cast<T*>(own + size_.strip + size_.panels);
    const T* src = t_.src + b.image * t_.src_image + group * t_.src_group;
    const ptrdiff_t to = b.image * t_.dst_image + group * t_.dst_group + r0 * t_.dst_row;
    const ptrdiff_t first = (b.lo[0] * t_.out[1] + b.lo[1]) * t_.out[2] + b.lo[2];  // if not woven
    const T infinity = std::numeric_limits<T>::infinity();
    const auto& gemm = of_type<T>(*kernels().gemm);

    // Unpacked tiles read beyond the pixels, and drop what they compute there: stale numbers might
    // be subnormal, which cost a hundred times as much.
    if (c_.mode != Lanes::packed) {
      const size_t filled = c_.shape.full() ? c_.images * image_ : 0;
      std::fill_n(strip + filled, size_.strip / sizeof(T) - filled, T(0));
    }

    GemmBlock<T> g{};
    g.rows = (r1 - r0) * (c_.merged ? t_.phases() : 1);
    g.lanes = c_.mode == Lanes::flat ? (b.extent(1) - 1) * row_ + b.extent(2) : b.pixels();
    // Aside, the result is [row][phase that is not zero][lane].
    const ptrdiff_t lanes = c_.mode == Lanes::flat ? g.lanes * b.extent(0) : g.lanes;
    g.c_row = !c_.temp ? t_.dst_row : c_.merged ? lanes : c_.slots * lanes;
    g.residual_row = t_.dst_row;
    g.lone_lanes = b.hi[2] == t_.grid(2) ? c_.lone_lanes : 0;
    g.lo = t_.lo;
    g.hi = t_.hi;
    for (int64_t chunk = 0; chunk < c_.chunks; ++chunk) {
      const int64_t k0 = chunk * c_.kc, k1 = std::min(k0 + c_.kc, depth());
      const bool last = chunk + 1 == c_.chunks;
      const T* view = look(src, b, k0, k1, strip);
      if (c_.mode == Lanes::packed && !c_.passing && !c_.gathering) {
        each_panel(b, [&](int64_t at, int64_t, const Segment* segments, int count) {
          const auto pack = c_.halves ? gemm.pack_halves : gemm.pack;
          pack(view, k_off_ + k0, k1 - k0, segments, count, panels + at * (k1 - k0));
        });
      }
      g.accumulate = chunk > 0;
      g.bias_row = !g.accumulate && t_.bias ? t_.bias + group * t_.rows + r0 : nullptr;
      g.clamped = last && !c_.temp && (t_.lo > -infinity || t_.hi < infinity);
      g.residual = last && !c_.temp && t_.residual ? t_.residual + to + first : nullptr;
      for (int64_t f = 0, slot = 0; f < (c_.merged ? 1 : t_.phases()); ++f) {
        if (t_.phases() > 1 && t_.empty(f)) continue;
        const int64_t begin = product(f, k0), end = product(f, k1);
        if (c_.turned) {
          const int64_t of_phase = t_.channels * (t_.first[f + 1] - t_.first[f]);
          g.a = turned_phase(group, f) + r0 * of_phase + begin - t_.channels * t_.first[f];
          g.a_row = of_phase;
          g.a_off = count_;
        } else {
          g.a = t_.w + group * t_.w_group + r0 * t_.w_row;
          g.a_row = c_.merged ? 1 : t_.w_row;
          g.a_off = a_off_ + begin;
        }
        g.b_off = b_off_ + begin;
        g.depth = end - begin;
        g.a_contiguous = counts_up(g.a_off, g.depth);
        g.c = c_.temp ? temp + slot++ * lanes : t_.dst + to + first;
        multiply(g, view, k0, b, panels);
      }
    }
    if (c_.temp) weave_phases(t_, c_, row_, temp, lanes, r1 - r0, b, to);
  }

 private:
  // [group][phase][row][product of the phase]
  T* turned_phase(int64_t group, int64_t f) const {
    const int64_t products = t_.channels * static_cast<int64_t>(t_.terms.size());
    return turned_ + t_.rows * (group * products + t_.channels * t_.first[f]);
  }

  int64_t depth() const { return t_.channels * static_cast<int64_t>(t_.taps.size()); }

  // The number of phase f's products, counted from the first phase's first, that come before
  // index k of (channel, tap).
  int64_t product(int64_t f, int64_t k) const {
    const int64_t ntaps = static_cast<int64_t>(t_.taps.size());
    const int64_t first = t_.first[f], terms = t_.first[f + 1] - first;
    int64_t n = t_.channels * first;
    if (ntaps == 0) return n;
    n += k / ntaps * terms;
    for (int64_t i = first; i < first + terms && t_.terms[i].tap < k % ntaps; ++i) ++n;
    return n;
  }

  void fill_tables() {
    const int64_t ntaps = static_cast<int64_t>(t_.taps.size());
    const int64_t nr = of_type<T>(*kernels().gemm).nr;
    int64_t first_channel = 0, chunk_start = 0, k = 0;  // of the chunk that k belongs to
    for (int64_t ch = 0; ch < t_.channels; ++ch) {
      for (int64_t tap = 0; tap < ntaps; ++tap, ++k) {
        if (k == chunk_start + c_.kc) {
          chunk_start = k;
          first_channel = ch;
        }
        if (ch == 0) {
          const auto& at = t_.taps[tap].at;
          k_off_[k] = c_.strip ? strip_offset(c_.shape, at)
                               : (at[0] * t_.dims[1] + at[1]) * t_.dims[2] + at[2];
        } else {
          k_off_[k] = k_off_[tap] + (ch - first_channel) * plane_;
        }
      }
    }
    int64_t i = 0;
    for (int64_t f = 0; f < (c_.merged ? 1 : t_.phases()); ++f) {
      chunk_start = k = 0;
      for (int64_t ch = 0; ch < t_.channels; ++ch, k += ntaps) {
        for (int64_t n = t_.first[f]; n < t_.first[f + 1]; ++n, ++i) {
          const Term& term = t_.terms[n];
          while (k + term.tap >= chunk_start + c_.kc) chunk_start += c_.kc;
          a_off_[i] = ch * t_.w_channel + term.weight;
          b_off_[i] =
              c_.mode == Lanes::packed ? (k + term.tap - chunk_start) * nr : k_off_[k + term.tap];
        }
      }
    }
  }

  Block block(int64_t index, int64_t* group) const {
    Block b;
    for (int i = 2; i >= 0; --i) {
      b.lo[i] = index % c_.blocks[i + 1] * c_.block[i];
      b.hi[i] = std::min(b.lo[i] + c_.block[i], t_.grid(i));
      index /= c_.blocks[i + 1];
    }
    *group = index % t_.groups;
    b.image = index / t_.groups * c_.images;
    b.images = std::min(c_.images, t_.images - b.image);
    return b;
  }

  // Where the block's first pixel, for the first channel of a chunk, is read.
  const T* look(const T* src, const Block& b, int64_t k0, int64_t k1, T* strip) const {
    const int64_t ntaps = static_cast<int64_t>(t_.taps.size());
    if (ntaps == 0) return src;
    const int64_t c0 = k0 / ntaps, c1 = ceil_div(k1, ntaps);
    src += c0 * t_.dims[0] * t_.dims[1] * t_.dims[2];
    if (!c_.strip) return src + b.lo[0] * slab_ + b.lo[1] * row_ + b.lo[2] * pixel_;
    for (int64_t n = 0; n < b.images; ++n) {
      fill_strip(src + n * t_.src_image, t_.dims, c1 - c0, c_.shape, b, strip + n * image_);
    }
    return strip;
  }

  // The pixels of a block as lanes of panels: use(first lane, lanes, segments, count) for one panel
  // after the other, the segments being runs that are contiguous in the view.
  template <class Use>
  void each_panel(const Block& b, const Use& use) const {
    const int64_t nr = of_type<T>(*kernels().gemm).nr, pixels = b.pixels();
    const int64_t extent[3] = {b.extent(0), b.extent(1), b.extent(2)};
    Segment segments[64];  // nr is at most 32
    int64_t n = 0, z = 0, p = 0, q = 0;
    for (int64_t at = 0; at < pixels; at += nr) {
      const int64_t lanes = std::min(nr, pixels - at);
      int count = 0;
      for (int64_t lane = 0; lane < lanes;) {
        const int64_t len = std::min(lanes - lane, extent[2] - q);
        segments[count++] = {n * image_ + z * slab_ + p * row_ + q * pixel_, lane, len};
        lane += len;
        if ((q += len) < extent[2]) continue;
        q = 0;
        if (++p < extent[1]) continue;
        p = 0;
        if (++z < extent[0]) continue;
        z = 0;
        ++n;
      }
      use(at, lanes, segments, count);
    }
  }

  // Some panels pass the first rows, which pack them; then the others take them all. A single one
  // passes all rows at once.
  void gather(const GemmBlock<T>& all, const Block& b, T* panels) const {
    const auto& gemm = of_type<T>(*kernels().gemm);
    const int64_t first = c_.panels == 1 ? all.rows : all.rows / ceil_div(all.rows, gemm.mr);
    const int64_t size = all.depth * gemm.nr, pixels = b.pixels();
    const auto at_lane = [&all](GemmBlock<T>& g, int64_t row, int64_t lane) {
      g.c = all.c + row * all.c_row + lane;
      if (all.residual) g.residual = all.residual + row * all.residual_row + lane;
    };
    GemmBlock<T> g = all, rest = all;
    g.rows = first;
    rest.source = nullptr;
    rest.b = panels;
    rest.b_panel = size;
    rest.rows -= first;
    rest.a += first * all.a_row;
    if (all.bias_row) rest.bias_row += first;
    int64_t begin = 0;  // the first lane that the other rows have not taken
    each_panel(b, [&](int64_t at, int64_t lanes, const Segment* segments, int count) {
      at_lane(g, 0, at);
      g.segments = segments;
      g.segment_count = count;
      g.panel = panels + (at - begin) / gemm.nr * size;
      g.lanes = lanes;
      gemm.block(g);
      const int64_t end = at + lanes;
      if (end < pixels && end - begin < c_.panels * gemm.nr) return;
      if (first < all.rows) {
        at_lane(rest, first, begin);
        rest.lanes = end - begin;
        gemm.block(rest);
      }
      begin = end;
    });
  }

  void multiply(GemmBlock<T> g, const T* view, int64_t k0, const Block& b, T* panels) const {
    const auto& gemm = of_type<T>(*kernels().gemm);
    if (c_.passing) {
      g.source = view;
      g.source_off = k_off_ + k0;
      g.panel = panels;
      g.panels = c_.panels;
      return gemm.block(g);
    }
    if (c_.gathering) {
      g.source = view;
      g.source_off = k_off_ + k0;
      return gather(g, b, panels);
    }
    g.b = view;
    g.b_panel = gemm.nr;
    if (c_.mode == Lanes::packed) {
      g.b = panels;
      g.b_panel = std::min(c_.kc, depth() - k0) * gemm.nr;
      return gemm.block(g);
    }
    T* const c = g.c;
    const T* const residual = g.residual;
    int64_t at = 0;
    const auto next = [&](int64_t lanes) {
      g.lanes = lanes;
      g.c = c + at;
      g.residual = residual ? residual + at : nullptr;
      gemm.block(g);
      at += lanes;
    };
    for (int64_t z = 0; z < b.extent(0); ++z) {
      if (c_.mode == Lanes::flat) {
        g.b = view + z * slab_;
        next(g.lanes);
        continue;
      }
      for (int64_t p = 0; p < b.extent(1); ++p) {
        g.b = view + z * slab_ + p * row_;
        next(b.extent(2));
      }
    }
  }

  const TapConv<T>& t_;
  const Cut& c_;
  const Sizes size_;
  char* const scratch_;
  ptrdiff_t *a_off_, *b_off_;  // of every product, by phase
  ptrdiff_t* count_;           // 0 1 2 ...
  T* turned_ = nullptr;
  ptrdiff_t* k_off_;  // of every (channel, tap) in the view, from its chunk's first channel
  // Of the view: to the next slab, row, pixel, channel, image.
  ptrdiff_t slab_, row_, pixel_, plane_, image_;
};

}  // namespace

template <class T>
size_t tap_conv_bytes(const TapConv<T>& t, int threads) {
  const Cut c = tap_cut(t, threads);
  const Sizes s = sizes(t, c);
  return s.shared + static_cast<size_t>(team(t, c, threads)) * s.per_thread();
}

template <class T>
void tap_conv(const TapConv<T>& t, char* scratch, int threads) {
  const Cut c = tap_cut(t, threads);
  const Run<T> run(t, c, scratch);
  parallel_for(run.turns(), threads, [&](int64_t index, int) { run.turn(index); });
  parallel_for(c.pieces(t.groups), threads,
               [&](int64_t index, int thread) { run.piece(index, thread); });
}

template size_t tap_conv_bytes<float>(const TapConv<float>&, int);
template size_t tap_conv_bytes<double>(const TapConv<double>&, int);
template void tap_conv<float>(const TapConv<float>&, char*, int);
template void tap_conv<double>(const TapConv<double>&, char*, int);

}  // namespace fastconv
