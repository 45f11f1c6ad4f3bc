// Winograd, forward and input gradient. A block of tiles is brought to points; for each panel of
// output channels the products at all points stay in the second-level cache and come back to
// pixels at once. Filters are brought to points beforehand (plans), once per call, or, where all
// tiles are one block, piece by piece into that cache, so that the sixteen or thirty-six points of
// a filter never reach memory.
#include "winograd.h"

#include "memory.h"
#include "parallel.h"
#include "winograd_filters.h"

namespace fastconv {
namespace winograd {
namespace {

// How the work is cut. Nothing here changes the order in which an output is summed.
struct Cut {
  int64_t points;
  int64_t depth;                       // of the product: channels of all parts of a window
  int64_t blocks, block;               // of tiles, and the tiles of the largest
  int64_t panels, panel;               // of rows, and the lanes of one: whole register tiles
  int64_t chunk;                       // channels of a product
  bool fly;                            // filters are transformed chunk by chunk
  bool fetch_u;                        // filters are not in the second-level cache when wanted
  bool shared;                         // the tiles' points are made by all threads for all
  ptrdiff_t v_tile, v_point, v_chunk;  // tiles' points: [chunk][point][tile][channel of chunk]
  ptrdiff_t u_point, u_sub, m_point;
  int64_t chunks;
};

constexpr int64_t kFewTiles = 6;  // still worth a block of their own

template <class T>
Cut cut(const Correlation<T>& g, const Tiles& tiles, int threads, bool prepared) {
  const auto& k = table<T>();
  const int64_t item = sizeof(T), l2 = static_cast<int64_t>(l2_bytes());
  Cut c;
  c.points = (tiles.m + 2) * (tiles.m + 2);
  // Where all filters stay in the second-level cache, so does a block's points. Elsewhere the
  // filters come from memory, once for every block: blocks are as large as their sums allow.
  const int64_t depth = c.depth = g.window.depth();
  const bool resident = c.points * depth * g.rows * item <= l2 / 2;
  const int64_t fits = l2 / 6 / (c.points * depth * item);
  const int64_t most =
      resident ? std::max<int64_t>(2 * k.mr, std::min<int64_t>(fits, 7 * k.mr)) : 7 * k.mr;
  c.blocks = std::max<int64_t>(1, ceil_div(tiles.count(), most));
  c.shared = threads > 1 && g.groups * c.blocks < 3 * threads;
  const int64_t subs = ceil_div(g.rows, k.nr);
  // Too few panels for the threads, or so few filters that bringing them to points twice costs less
  // than what threads would read of each other's points: each has tiles of its own.
  const bool alone = c.shared && c.blocks <= threads && (g.groups * subs < threads || resident);
  if (alone) {
    c.blocks = std::min<int64_t>(threads, std::max<int64_t>(1, tiles.count() / kFewTiles));
    c.shared = false;
  } else if (c.shared && c.blocks > 1) {
    // Panels that threads cannot share evenly: as many blocks for each of them.
    const int64_t tasks = g.groups * c.blocks * subs;
    const bool uneven = 9 * ceil_div(tasks, threads) * threads > 10 * tasks;
    if (uneven) c.blocks = ceil_div(c.blocks, threads) * threads;
  }
  if (!c.shared && !alone && c.blocks > 1 && c.blocks < 8 * threads) {
    c.blocks = ceil_div(c.blocks, threads) * threads;
  }
  // A block has a tile at least, whatever the number of threads; a batch may be empty.
  c.blocks = std::max<int64_t>(1, std::min(c.blocks, tiles.count()));
  c.block = std::max<int64_t>(1, ceil_div(tiles.count(), c.blocks));
  c.fly = !prepared && (c.blocks == 1 || alone);

  // Panels of two cache lines: their sums leave the second-level cache to everything else.
  int64_t wide = std::max<int64_t>(1, 128 / (k.nr * item));
  if (c.shared) {
    const int64_t others = g.groups * (c.fly ? 1 : c.blocks);
    wide = std::min(wide, std::max<int64_t>(1, subs * others / (2 * threads)));
  }
  c.panels = ceil_div(subs, wide);
  c.panel = ceil_div(subs, c.panels) * k.nr;
  c.panels = ceil_div(g.rows, c.panel);

  // The filters of one product stay in the first-level cache, those made on the fly at all points
  // in the second.
  int64_t most_chunk = 256;
  if (c.fly) {
    most_chunk =
        std::min<int64_t>(128, l2 * 3 / 10 / (c.points * c.panel * item) / k.lanes * k.lanes);
  }
  c.chunk = ceil_div(depth, std::max<int64_t>(most_chunk, k.lanes));
  c.chunk = ceil_div(ceil_div(depth, c.chunk), k.lanes) * k.lanes;
  c.chunks = ceil_div(depth, c.chunk);
  c.v_tile = channel_pitch<T>(c.chunk);
  c.v_point = padded<T>(c.block * c.v_tile);
  c.v_chunk = c.points * c.v_point;
  c.fetch_u = !c.fly && !resident;
  c.m_point = padded<T>(c.block * c.panel);
  c.u_point = padded<T>((c.fly ? c.chunk : depth) * k.nr);
  c.u_sub = c.points * c.u_point;
  return c;
}

template <class T>
struct Sizes {
  size_t filters, points;  // shared by all threads
  size_t own_points, own_filters, sums;
  size_t per_thread() const { return own_points + own_filters + sums; }
};

template <class T>
Sizes<T> sizes(const Correlation<T>& g, const Cut& c, int m, bool prepared) {
  Sizes<T> s{};
  if (!prepared && !c.fly) s.filters = all_filters_bytes(g, m);
  const size_t block = c.chunks * c.v_chunk;
  (c.shared ? s.points : s.own_points) =
      Carver::bytes<T>(c.shared ? g.groups * c.blocks * block : block);
  if (c.fly) s.own_filters = Carver::bytes<T>(c.panel / table<T>().nr * c.u_sub);
  s.sums = Carver::bytes<T>(c.points * c.m_point);
  return s;
}

// One call's work, piece by piece.
template <class T, int M>
struct Pieces {
  const Correlation<T>& g;
  const Tiles& tiles;
  const Cut& c;
  const T* filters;           // all of them, or null
  unsigned char* not_finite;  // [images]
  const WinogradKernels<T>& k = table<T>();

  int64_t first(int64_t block) const { return tiles.count() * block / c.blocks; }

  // The points of a block of tiles, of one vector of the product's depth.
  void input(int64_t group, int64_t block, int64_t at, T* v) const {
    const int64_t channel = g.window.channel(at);
    const int64_t y0 = g.y0 + g.window.y(at), x0 = g.x0 + g.window.x(at);
    const int64_t most = (k.run - 2) / M;
    tiles.each_run(
        first(block), first(block + 1), most,
        [&](int64_t image, int64_t y, int64_t x, int count, int64_t index) {
          WinogradIn<T> in;
          in.plane = g.in_h * g.in_w;
          in.src = g.src + ((image * g.groups + group) * g.channels + channel) * in.plane;
          in.channels = static_cast<int>(std::min<int64_t>(k.lanes, g.channels - channel));
          in.height = g.in_h;
          in.width = g.in_w;
          in.y = y + y0;
          in.x = x + x0;
          in.tiles = count;
          in.dst = v + at / c.chunk * c.v_chunk + index * c.v_tile + at % c.chunk;
          in.tile = c.v_tile;
          in.point = c.v_point;
          tile_of<T, M>().input(in);
        });
  }

  // A panel of rows for a block of tiles whose points are in v.
  void rows(int64_t group, int64_t block, int64_t panel, const T* v, T* own_filters, T* m) const {
    const int64_t r0 = panel * c.panel, lanes = std::min(c.panel, g.rows - r0);
    const int64_t count = first(block + 1) - first(block);
    if (c.fly) {
      for (int64_t chunk = 0; chunk < c.chunks; ++chunk) {
        const int64_t ch = chunk * c.chunk, depth = std::min(c.chunk, c.depth - ch);
        for (int64_t s = 0; s < lanes; s += k.nr) {
          filters_to_points<T, M>(g, group, r0 + s, ch, depth, own_filters + s / k.nr * c.u_sub,
                                  c.u_point);
        }
        for (int64_t i = 0; i < c.points; ++i) {
          const ptrdiff_t at = chunk * c.v_chunk + i * c.v_point;
          product(count, chunk, lanes, v + at, v + at + c.v_point, own_filters + i * c.u_point,
                  m + i * c.m_point);
        }
      }
    } else {
      const T* u = filters + (group * ceil_div(g.rows, k.nr) + r0 / k.nr) * c.u_sub;
      for (int64_t i = 0; i < c.points; ++i) {
        for (int64_t chunk = 0; chunk < c.chunks; ++chunk) {
          const T* a = v + chunk * c.v_chunk + i * c.v_point;
          const T* next = chunk + 1 < c.chunks ? a + c.v_chunk : v + (i + 1) * c.v_point;
          product(count, chunk, lanes, a, next, u + i * c.u_point + chunk * c.chunk * k.nr,
                  m + i * c.m_point);
        }
      }
    }
    output(group, block, r0, lanes, m);
  }

  // The product of a chunk of channels at one point; the next one reads next_a.
  void product(int64_t count, int64_t chunk, int64_t lanes, const T* a, const T* next_a, const T* b,
               T* sums) const {
    const int64_t subs = ceil_div(lanes, k.nr);
    WinogradProduct<T> p{};
    p.a = a;
    p.a_row = c.v_tile;
    p.a_k = 1;
    p.b_k = k.nr;
    p.c_row = c.panel;
    p.rows = count;
    p.depth = std::min(c.chunk, c.depth - chunk * c.chunk);
    p.resume = chunk > 0;
    p.far_b_count = c.fetch_u ? p.depth * k.nr : 0;
    for (int64_t s = 0; s < subs; ++s) {
      const bool last = s + 1 == subs;
      p.b = b + s * c.u_sub;
      p.c = sums + s * k.nr;
      p.narrow = lanes - s * k.nr <= k.lanes;
      p.next_a = last ? next_a : a;
      // Chunks and points of the filters follow each other.
      p.far_b = last ? b + p.depth * k.nr : p.b + c.u_sub;
      k.product(p);
    }
  }

  void output(int64_t group, int64_t block, int64_t r0, int64_t lanes, const T* m) const {
    for (int64_t lane = 0; lane < lanes; lane += k.lanes) {
      tiles.each_run(first(block), first(block + 1), k.run / M,
                     [&](int64_t image, int64_t y, int64_t x, int count, int64_t index) {
                       WinogradOut<T> out;
                       out.src = m + index * c.panel + lane;
                       out.tile = c.panel;
                       out.point = c.m_point;
                       out.tiles = count;
                       out.plane = g.out_h * g.out_w;
                       const int64_t row = group * g.rows + r0 + lane;
                       const ptrdiff_t at = (image * g.groups * g.rows + row) * out.plane;
                       out.dst = g.dst + at;
                       out.channels = static_cast<int>(std::min<int64_t>(k.lanes, lanes - lane));
                       out.height = g.out_h;
                       out.width = g.out_w;
                       out.y = y;
                       out.x = x;
                       out.bias = g.bias ? g.bias + row : nullptr;
                       out.residual = g.residual ? g.residual + at : nullptr;
                       out.lo = g.lo;
                       out.hi = g.hi;
                       if (!tile_of<T, M>().output(out)) {
                         __atomic_store_n(not_finite + image, 1, __ATOMIC_RELAXED);
                       }
                     });
    }
  }
};

}  // namespace

template <class T>
size_t filters_bytes(const Correlation<T>& g, int m) {
  return all_filters_bytes(g, m);
}

template <class T, int M>
void prepare_filters(const Correlation<T>& g, void* prepared, int threads) {
  all_filters<T, M>(g, static_cast<T*>(prepared), threads);
}

template <class T>
size_t correlate_bytes(const Correlation<T>& g, int m, int threads, bool prepared) {
  const Cut c = cut(g, Tiles(m, g.images, g.out_h, g.out_w), threads, prepared);
  const Sizes<T> s = sizes(g, c, m, prepared);
  return s.filters + s.points + static_cast<size_t>(threads) * s.per_thread();
}

template <class T, int M>
void correlate(const Correlation<T>& g, const void* prepared, char* scratch, int threads,
               unsigned char* not_finite) {
  const Tiles tiles(M, g.images, g.out_h, g.out_w);
  const Cut c = cut(g, tiles, threads, prepared != nullptr);
  const Sizes<T> size = sizes(g, c, M, prepared != nullptr);
  T* const filters = reinterpret_cast<T*>(scratch);
  T* const points = reinterpret_cast<T*>(scratch + size.filters);
  char* const own = scratch + size.filters + size.points;
  if (size.filters) all_filters<T, M>(g, filters, threads);
  const Pieces<T, M> pieces{g, tiles, c, prepared ? static_cast<const T*>(prepared) : filters,
                            not_finite};

  const auto rows = [&](int64_t unit, int64_t panel, const T* v, int thread) {
    char* at = own + thread * size.per_thread() + size.own_points;
    pieces.rows(unit / c.blocks, unit % c.blocks, panel, v, reinterpret_cast<T*>(at),
                reinterpret_cast<T*>(at + size.own_filters));
  };
  const int64_t units = g.groups * c.blocks, lanes = table<T>().lanes;
  if (!c.shared) {
    parallel_for(units, threads, [&](int64_t unit, int thread) {
      T* v = reinterpret_cast<T*>(own + thread * size.per_thread());
      for (int64_t at = 0; at < c.depth; at += lanes) {
        pieces.input(unit / c.blocks, unit % c.blocks, at, v);
      }
      for (int64_t panel = 0; panel < c.panels; ++panel) rows(unit, panel, v, thread);
    });
    return;
  }
  const int64_t vectors = ceil_div(c.depth, lanes);
  const ptrdiff_t unit_points = c.chunks * c.v_chunk;
  parallel_for(units * vectors, threads, [&](int64_t task, int) {
    const int64_t unit = task / vectors;
    pieces.input(unit / c.blocks, unit % c.blocks, task % vectors * lanes,
                 points + unit * unit_points);
  });
  parallel_for(units * c.panels, threads, [&](int64_t task, int thread) {
    const int64_t panel = task / units, unit = task % units;
    rows(unit, panel, points + unit * unit_points, thread);
  });
}

template size_t filters_bytes<float>(const Correlation<float>&, int);
template size_t filters_bytes<double>(const Correlation<double>&, int);
template size_t correlate_bytes<float>(const Correlation<float>&, int, int, bool);
template size_t correlate_bytes<double>(const Correlation<double>&, int, int, bool);

#define FASTCONV_WINOGRAD(T, M)                                           \
  template void prepare_filters<T, M>(const Correlation<T>&, void*, int); \
  template void correlate<T, M>(const Correlation<T>&, const void*, char*, int, unsigned char*);
FASTCONV_WINOGRAD(float, 2)
FASTCONV_WINOGRAD(float, 4)
FASTCONV_WINOGRAD(double, kOfDoubles)
#undef FASTCONV_WINOGRAD

}  // namespace winograd
}  // namespace fastconv
