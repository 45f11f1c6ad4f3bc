#include "broadcast_conv.h"

#include <limits>

#include "../isa.h"
#include "broadcast_filters.h"
#include "memory.h"
#include "strip.h"

namespace fastconv {
namespace {

// How the work is cut. The order in which any one output is summed depends on the problem alone.
struct Cut {
  int64_t channels, chunks;  // of a chunk of the sum, and their number
  int64_t vectors;           // of a group's filters; they are taken in pairs
  int64_t part, parts;       // pairs of a task, and parts of the filters
  Dims block;                // positions of a task
  int64_t blocks[3];
  int64_t stretch;  // rows that are summed and stored together
  StripShape shape;
  int64_t pixels() const { return block[0] * block[1] * block[2]; }
  int64_t tasks(int64_t images, int64_t groups) const {
    return images * groups * blocks[0] * blocks[1] * blocks[2] * parts;
  }
};

// Bytes of a task's strip and of the sums that wait for the next chunk, in the second-level cache.
constexpr int64_t kStripBytes = 384 << 10, kSumBytes = 512 << 10;
constexpr int64_t kMostPixels = 1024, kStretchPixels = 256;
constexpr int64_t kDepth = 288;  // of a chunk: its filters stay near the first-level cache

template <class T>
void cut_blocks(const TapConv<T>& t, Cut* c) {
  for (int i = 0; i < 3; ++i) {
    c->block[i] = ceil_div(t.grid(i), ceil_div(t.grid(i), c->block[i]));
    c->blocks[i] = ceil_div(t.grid(i), c->block[i]);
  }
  c->shape = strip_shape(t.taps, t.step, c->block);
}

template <class T>
Cut cut(const TapConv<T>& t, int threads) {
  constexpr int64_t item = sizeof(T);
  const int64_t lanes = of_type<T>(*kernels().broadcast).lanes;
  const int64_t taps = std::max<int64_t>(1, static_cast<int64_t>(t.taps.size()));
  Cut c{};
  const int64_t channels = std::max<int64_t>(1, t.channels);
  c.channels = ceil_div(channels, std::min(channels, ceil_div(channels * taps, kDepth)));
  c.chunks = ceil_div(channels, c.channels);
  c.vectors = ceil_div(t.rows, lanes);

  const int64_t q = t.grid(2), p = t.grid(1);
  c.block[2] = std::min(q, kMostPixels);
  c.block[1] = std::min(p, std::max<int64_t>(1, kMostPixels / q));
  c.block[0] = c.block[1] < p ? 1 : std::min(t.grid(0), std::max<int64_t>(1, kMostPixels / p / q));
  cut_blocks(t, &c);
  const auto halve = [&](int64_t least) {  // the outermost axis that has several positions
    for (int64_t& extent : c.block) {
      if (extent == 1) continue;
      if (c.pixels() / 2 < least) return false;
      extent = ceil_div(extent, 2);
      cut_blocks(t, &c);
      return true;
    }
    return false;
  };
  while (c.channels * c.shape.plane() * item > kStripBytes && halve(1)) continue;

  const int64_t pairs = std::max<int64_t>(1, ceil_div(c.vectors, 2));
  const auto cut_filters = [&](int64_t most) {  // pairs of vectors of a task
    c.part = ceil_div(pairs, ceil_div(pairs, std::max<int64_t>(1, most)));
    c.parts = ceil_div(pairs, c.part);
  };
  const int64_t pair_bytes = 2 * c.pixels() * t.phases() * lanes * item;
  cut_filters(c.chunks == 1 ? pairs : kSumBytes / pair_bytes);
  if (threads > 1) {
    const int64_t images = std::max<int64_t>(1, t.images), want = 3 * threads;
    while (c.tasks(images, t.groups) < want && halve(64)) continue;
    const int64_t tasks = c.tasks(images, t.groups);
    if (tasks < want) cut_filters(c.part / ceil_div(want, tasks));
  }
  c.stretch = std::min(c.block[1], std::max<int64_t>(1, kStretchPixels / c.block[2]));
  return c;
}

// Bytes of each array in the scratch.
struct Sizes {
  size_t filters, offsets, start;  // of all threads
  size_t strip, sums, woven;       // of one
  size_t shared() const { return filters + offsets + start; }
  size_t per_thread() const { return strip + sums + woven; }
};

template <class T>
Sizes sizes(const TapConv<T>& t, const Cut& c, bool prepared) {
  const int64_t lanes = of_type<T>(*kernels().broadcast).lanes;
  const int64_t stretch = c.stretch * c.block[2];
  Sizes s{};
  if (!prepared) s.filters = broadcast_filter_bytes(t);
  s.offsets = Carver::bytes<ptrdiff_t>(c.channels * t.terms.size());
  s.start = Carver::bytes<T>(t.groups * c.vectors * lanes);
  s.strip = Carver::bytes<T>(c.channels * c.shape.plane());
  // Sums of the whole block wait for the next chunk; of a single one, they leave at once.
  s.sums = c.chunks > 1 ? Carver::bytes<T>(2 * c.part * t.phases() * c.pixels() * lanes)
                        : Carver::bytes<T>(2 * stretch * lanes);
  if (t.phases() > 1) s.woven = Carver::bytes<T>(2 * lanes * t.ways[2] * stretch);
  return s;
}

template <class T>
class Run {
 public:
  Run(const TapConv<T>& t, const Cut& c, const Filters<T>& filters, const Sizes& size,
      char* scratch)
      : t_(t),
        c_(c),
        filters_(filters),
        size_(size),
        own_(scratch + size.shared()),
        lanes_(of_type<T>(*kernels().broadcast).lanes) {
    Carver shared(scratch + size.filters);
    offsets_ = shared.take<ptrdiff_t>(c.channels * t.terms.size());
    start_ = shared.take<T>(t.groups * c.vectors * lanes_);
    ptrdiff_t* off = offsets_;
    for (int64_t f = 0; f < t.phases(); ++f) {
      for (int64_t ch = 0; ch < c.channels; ++ch) {
        for (int64_t i = t.first[f]; i < t.first[f + 1]; ++i) {
          *off++ = ch * c.shape.plane() + strip_offset(c.shape, t.taps[t.terms[i].tap].at);
        }
      }
    }
    for (int64_t g = 0; g < t.groups; ++g) {
      for (int64_t r = 0; r < c.vectors * lanes_; ++r) {
        start_[g * c.vectors * lanes_ + r] = t.bias && r < t.rows ? t.bias[g * t.rows + r] : T(0);
      }
    }
  }

  void task(int64_t index, int thread) const {
    const int64_t part = index % c_.parts;
    index /= c_.parts;
    Block b;
    for (int i = 2; i >= 0; --i) {
      b.lo[i] = index % c_.blocks[i] * c_.block[i];
      b.hi[i] = std::min(b.lo[i] + c_.block[i], t_.grid(i));
      index /= c_.blocks[i];
    }
    const int64_t group = index % t_.groups;
    b.image = index / t_.groups;
    b.images = 1;
    Carver own(own_ + static_cast<size_t>(thread) * size_.per_thread());
    T* const strip = reinterpret_cast<T*>(own.take<char>(size_.strip));
    T* const sums = reinterpret_cast<T*>(own.take<char>(size_.sums));
    T* const woven = reinterpret_cast<T*>(own.take<char>(size_.woven));
    const ptrdiff_t plane = t_.dims[0] * t_.dims[1] * t_.dims[2];
    const T* src = t_.src + b.image * t_.src_image + group * t_.src_group;
    const int64_t pair0 = part * c_.part;
    const int64_t pair1 = std::min(filters_.pairs(), pair0 + c_.part);
    for (int64_t chunk = 0; chunk < c_.chunks; ++chunk) {
      const int64_t c0 = chunk * c_.channels, c1 = std::min(c0 + c_.channels, t_.channels);
      fill_strip(src + c0 * plane, t_.dims, c1 - c0, c_.shape, b, strip);
      T* kept = sums;
      for (int64_t pair = pair0; pair < pair1; ++pair) {
        kept = sum_pair(b, group, pair, c0, c1, strip, kept, woven);
      }
    }
  }

 private:
  // One chunk's share of the sums of a pair of vectors, and their results after the last. Gives
  // where the sums of the next pair are kept.
  T* sum_pair(const Block& b, int64_t group, int64_t pair, int64_t c0, int64_t c1, const T* strip,
              T* kept, T* woven) const {
    const auto& kernel = of_type<T>(*kernels().broadcast);
    const bool last = c1 == t_.channels, single = c_.chunks == 1;
    const int64_t width = filters_.width(pair), q = b.extent(2), columns = t_.ways[2];
    const int64_t filters = std::min(width, t_.rows - 2 * pair * lanes_);
    BroadcastTiles<T> g{};
    g.x_row = c_.shape.pitch;
    g.vectors = static_cast<int>(width / lanes_);
    g.width = q;
    g.start = c0 == 0 ? start_ + (group * c_.vectors + 2 * pair) * lanes_ : nullptr;
    const ptrdiff_t to =
        b.image * t_.dst_image + group * t_.dst_group + 2 * pair * lanes_ * t_.dst_row;
    for (int64_t z = b.lo[0]; z < b.hi[0]; ++z) {
      for (int64_t p = b.lo[1]; p < b.hi[1]; p += g.rows) {
        g.rows = std::min(c_.stretch, b.hi[1] - p);
        g.x = strip + (z - b.lo[0]) * t_.step[0] * c_.shape.slab() + (p - b.lo[1]) * c_.shape.pitch;
        for (int64_t f = 0; f < t_.phases(); ++f) {
          const int64_t terms = t_.first[f + 1] - t_.first[f];
          g.x_off = offsets_ + c_.channels * t_.first[f];
          g.w = filters_.at(group, pair) + (t_.channels * t_.first[f] + c0 * terms) * width;
          g.depth = (c1 - c0) * terms;
          g.sums = kept;
          kernel.tiles(g);
          if (!single) kept += g.rows * q * width;
          if (!last) continue;
          const int64_t f2 = f % columns;
          if (t_.phases() == 1) {
            store(b, z, p, g, filters, to);
            continue;
          }
          store_aside(g, filters, woven + f2 * filters * g.rows * q);
          if (f2 + 1 == columns) {
            weave(b, z * t_.ways[0] + f / columns / t_.ways[1], p, f / columns % t_.ways[1], g,
                  filters, woven, to);
          }
        }
      }
    }
    return kept;
  }

  // Rows of pixels into the result; whole ones are one run.
  void store(const Block& b, int64_t z, int64_t p, const BroadcastTiles<T>& g, int64_t filters,
             ptrdiff_t to) const {
    const int64_t width = g.vectors * lanes_;
    const bool whole = g.width == t_.out[2];
    const ptrdiff_t at = to + (z * t_.out[1] + p) * t_.out[2] + b.lo[2];
    BroadcastStore<T> s{g.sums,  width,       whole ? g.rows * g.width : g.width,
                        filters, t_.dst + at, t_.dst_row,
                        nullptr, t_.lo,       t_.hi};
    for (int64_t i = 0; i < (whole ? 1 : g.rows); ++i) {
      s.dst = t_.dst + at + i * t_.out[2];
      s.residual = t_.residual ? t_.residual + at + i * t_.out[2] : nullptr;
      of_type<T>(*kernels().broadcast).store(s);
      s.sums += g.width * width;
    }
  }

  // One column phase as [filter][row][column].
  void store_aside(const BroadcastTiles<T>& g, int64_t filters, T* woven) const {
    constexpr T infinity = std::numeric_limits<T>::infinity();
    const int64_t pixels = g.rows * g.width;
    of_type<T>(*kernels().broadcast)
        .store({g.sums, g.vectors * lanes_, pixels, filters, woven, pixels, nullptr, -infinity,
                infinity});
  }

  // The column phases of some rows, of depth z and row phase f1, into the result.
  void weave(const Block& b, int64_t z, int64_t p, int64_t f1, const BroadcastTiles<T>& g,
             int64_t filters, const T* woven, ptrdiff_t to) const {
    const auto& gemm = of_type<T>(*kernels().gemm);
    const int64_t pixels = g.rows * g.width, ways = t_.ways[2], x0 = b.lo[2] * ways;
    const int64_t count = std::min(b.hi[2] * ways, t_.out[2]) - x0;
    if (z >= t_.out[0]) return;
    for (int64_t k = 0; k < filters; ++k) {
      for (int64_t i = 0; i < g.rows; ++i) {
        const int64_t y = (p + i) * t_.ways[1] + f1;
        if (y >= t_.out[1]) break;
        const ptrdiff_t at = to + k * t_.dst_row + (z * t_.out[1] + y) * t_.out[2] + x0;
        const T* from = woven + k * pixels + i * g.width;
        T* dst = t_.dst + at;
        const T* residual = t_.residual ? t_.residual + at : nullptr;
        if (ways > 1 && ways <= kMostWoven) {
          const T* columns[kMostWoven];
          for (int64_t f = 0; f < ways; ++f) columns[f] = from + f * filters * pixels;
          gemm.weave(columns, static_cast<int>(ways), residual, count, t_.lo, t_.hi, dst);
          continue;
        }
        for (int64_t f = 0; f < ways && f < count; ++f, from += filters * pixels) {
          gemm.spread(from, ways, residual ? residual + f : nullptr, (count - f + ways - 1) / ways,
                      t_.lo, t_.hi, dst + f);
        }
      }
    }
  }

  const TapConv<T>& t_;
  const Cut& c_;
  const Filters<T>& filters_;
  const Sizes& size_;
  char* const own_;
  const int64_t lanes_;
  ptrdiff_t* offsets_;  // of every product of a chunk in the strip, by phase
  T* start_;            // the bias of every filter, with zeros to whole vectors
};

}  // namespace

template <class T>
size_t broadcast_filter_bytes(const TapConv<T>& t) {
  const Filters<T> filters(t, nullptr);
  const int64_t lanes = of_type<T>(*kernels().broadcast).lanes;
  return Carver::bytes<T>(t.groups * filters.vectors() * lanes * filters.products());
}

template <class T>
void prepare_broadcast_filters(const TapConv<T>& t, void* filters, int threads) {
  Filters<T>(t, static_cast<T*>(filters)).prepare(threads);
}

template <class T>
size_t broadcast_conv_bytes(const TapConv<T>& t, int threads, bool prepared) {
  const Cut c = cut(t, threads);
  const Sizes s = sizes(t, c, prepared);
  const int64_t team =
      std::max<int64_t>(1, std::min<int64_t>(threads, c.tasks(t.images, t.groups)));
  return s.shared() + static_cast<size_t>(team) * s.per_thread();
}

template <class T>
void broadcast_conv(const TapConv<T>& t, const void* prepared, char* scratch, int threads) {
  const Cut c = cut(t, threads);
  const Sizes size = sizes(t, c, prepared != nullptr);
  void* const packed = prepared ? const_cast<void*>(prepared) : scratch;
  const Filters<T> filters(t, static_cast<T*>(packed));
  if (!prepared) filters.prepare(threads);
  const Run<T> run(t, c, filters, size, scratch);
  parallel_for(c.tasks(t.images, t.groups), threads,
               [&](int64_t index, int thread) { run.task(index, thread); });
}

#define FASTCONV_INSTANTIATE(T)                                              \
  template size_t broadcast_filter_bytes<T>(const TapConv<T>&);              \
  template void prepare_broadcast_filters<T>(const TapConv<T>&, void*, int); \
  template size_t broadcast_conv_bytes<T>(const TapConv<T>&, int, bool);     \
  template void broadcast_conv<T>(const TapConv<T>&, const void*, char*, int);
FASTCONV_INSTANTIATE(float)
FASTCONV_INSTANTIATE(double)
#undef FASTCONV_INSTANTIATE

}  // namespace fastconv
