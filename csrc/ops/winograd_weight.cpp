// The weight gradient by Winograd, F(3 x 3, m x m): tiles of the output's gradient are the filters.
//
//   points of dw[k, c] = sum over tiles of points of x[c] * points of grad[k]
//
// so both are brought to points, a block of tiles at a time, and the products over tiles are summed
// there, output channels in lanes. Blocks follow each other in a fixed order and threads split the
// outputs: the result does not depend on their number.
#include <algorithm>
#include <cmath>

#include "accuracy.h"
#include "memory.h"
#include "parallel.h"
#include "rows.h"
#include "winograd.h"

namespace fastconv {
namespace {

using namespace winograd;

struct Cut {
  int64_t points;
  int64_t blocks, block;  // of tiles, and the tiles of the largest
  int64_t c_part, c_parts, k_part, k_parts;
  // Points of x: [part][point][tile][channel of part], of the gradient likewise, of dw: per task
  // [point][input channel][output channel].
  ptrdiff_t x_tile, x_point, x_part, g_tile, g_point, g_part, w_point, w_part;
  int64_t parts() const { return c_parts * k_parts; }
};

template <class T>
Cut cut(const ConvProblem& p, const Tiles& tiles, int threads) {
  const auto& k = table<T>();
  const int64_t item = sizeof(T), l2 = static_cast<int64_t>(l2_bytes());
  Cut c;
  c.points = (tiles.m + 2) * (tiles.m + 2);
  // Few channels: the sums stay in the second-level cache, and so do blocks of tiles. Many: the
  // sums go to memory, so blocks are large, if possible a single one.
  const int64_t tile = c.points * (p.cg() + p.kg()) * item;
  const int64_t sums = c.points * p.cg() * p.kg() * item;
  const int64_t most = sums <= l2 * 2 / 5 ? std::max<int64_t>(32, l2 * 2 / 5 / tile)
                                          : std::max<int64_t>(128, (int64_t{24} << 20) / tile);
  c.blocks = std::max<int64_t>(1, ceil_div(tiles.count(), most));
  c.block = ceil_div(tiles.count(), c.blocks);

  c.c_part = std::min<int64_t>(64, ceil_div(p.cg(), k.lanes) * k.lanes);
  const int64_t subs = ceil_div(p.kg(), k.nr);
  // Parts of two cache lines, as in winograd.cpp.
  int64_t wide = std::min<int64_t>(subs, std::max<int64_t>(1, 128 / (k.nr * item)));
  if (threads > 1) {
    const auto tasks = [&] { return p.groups * ceil_div(subs, wide) * ceil_div(p.cg(), c.c_part); };
    while (tasks() < 2 * threads && c.c_part > 2 * k.lanes) c.c_part -= k.lanes;
    while (tasks() < 2 * threads && wide > 1) --wide;
  }
  c.k_part = wide * k.nr;
  c.c_parts = ceil_div(p.cg(), c.c_part);
  c.k_parts = ceil_div(p.kg(), c.k_part);
  c.x_tile = channel_pitch<T>(c.c_part);
  c.g_tile = channel_pitch<T>(c.k_part);
  c.x_point = padded<T>(c.block * c.x_tile);
  c.g_point = padded<T>(c.block * c.g_tile);
  c.w_point = padded<T>(c.c_part * c.k_part);
  c.x_part = c.points * c.x_point;
  c.g_part = c.points * c.g_point;
  c.w_part = c.points * c.w_point;
  return c;
}

template <class T>
struct Sizes {
  size_t x, g, w;  // w of one task
  Sizes(const ConvProblem& p, const Cut& c)
      : x(Carver::bytes<T>(p.groups * c.c_parts * c.x_part)),
        g(Carver::bytes<T>(p.groups * c.k_parts * c.g_part)),
        w(Carver::bytes<T>(c.w_part)) {}
  size_t all(const ConvProblem& p, const Cut& c, int threads) const {
    return x + g + w * (c.blocks > 1 ? p.groups * c.parts() : threads);
  }
};

// One vector of channels of a block, to points.
template <class T>
void to_points(void (*transform)(const WinogradIn<T>&), const T* src, int64_t image_step,
               int64_t channels, const int64_t (&dims)[3], int64_t y0, int64_t x0,
               const Tiles& tiles, int64_t first, int64_t last, T* dst, ptrdiff_t tile,
               ptrdiff_t point) {
  const auto& k = table<T>();
  tiles.each_run(first, last, (k.run - 2) / tiles.m,
                 [&](int64_t image, int64_t y, int64_t x, int count, int64_t index) {
                   WinogradIn<T> in;
                   in.src = src + image * image_step;
                   in.plane = dims[1] * dims[2];
                   in.channels = static_cast<int>(std::min<int64_t>(k.lanes, channels));
                   in.height = dims[1];
                   in.width = dims[2];
                   in.y = y + y0;
                   in.x = x + x0;
                   in.tiles = count;
                   in.dst = dst + index * tile;
                   in.tile = tile;
                   in.point = point;
                   transform(in);
                 });
}

template <class T, int M>
void run(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  const auto& k = table<T>();
  const auto& tile = tile_of<T, M>();
  if (p.n == 0) {
    std::fill_n(call.result, p.k * p.cg() * 9, T(0));
    return;
  }
  const Tiles tiles(M, p.n, p.out[1], p.out[2]);
  const Cut c = cut<T>(p, tiles, call.threads);
  const Sizes<T> size(p, c);
  T* const x_points = reinterpret_cast<T*>(call.scratch);
  T* const g_points = reinterpret_cast<T*>(call.scratch + size.x);
  char* const sums = call.scratch + size.x + size.g;
  const int64_t x_vectors = ceil_div(p.cg(), k.lanes), g_vectors = ceil_div(p.kg(), k.lanes);
  const int64_t vectors = x_vectors + g_vectors;
  bool finite = true;
  for (int64_t block = 0; block < c.blocks; ++block) {
    const int64_t first = tiles.count() * block / c.blocks;
    const int64_t last = tiles.count() * (block + 1) / c.blocks, count = last - first;
    parallel_for(p.groups * vectors, call.threads, [&](int64_t task, int) {
      const int64_t group = task / vectors, vector = task % vectors;
      if (vector < x_vectors) {
        const int64_t ch = vector * k.lanes, part = group * c.c_parts + ch / c.c_part;
        to_points(tile.input, call.input + (group * p.cg() + ch) * p.in_plane(), p.c * p.in_plane(),
                  p.cg() - ch, p.in, -p.pad_lo[1], -p.pad_lo[2], tiles, first, last,
                  x_points + part * c.x_part + ch % c.c_part, c.x_tile, c.x_point);
      } else {
        const int64_t ch = (vector - x_vectors) * k.lanes;
        const int64_t part = group * c.k_parts + ch / c.k_part;
        to_points(tile.grad, call.grad + (group * p.kg() + ch) * p.out_plane(), p.k * p.out_plane(),
                  p.kg() - ch, p.out, 0, 0, tiles, first, last,
                  g_points + part * c.g_part + ch % c.k_part, c.g_tile, c.g_point);
      }
    });
    parallel_for(p.groups * c.parts(), call.threads, [&](int64_t task, int thread) {
      const int64_t group = task / c.parts(), c_index = task % c.c_parts;
      const int64_t k_index = task / c.c_parts % c.k_parts;
      T* const w = reinterpret_cast<T*>(sums + (c.blocks > 1 ? task : thread) * size.w);
      const T* const xs = x_points + (group * c.c_parts + c_index) * c.x_part;
      const T* const gs = g_points + (group * c.k_parts + k_index) * c.g_part;
      const int64_t c0 = c_index * c.c_part, k0 = k_index * c.k_part;
      const int64_t rows = std::min(c.c_part, p.cg() - c0), lanes = std::min(c.k_part, p.kg() - k0);
      const int64_t subs = ceil_div(lanes, k.nr);
      WinogradProduct<T> q{};
      q.a_row = 1;
      q.a_k = c.x_tile;
      q.b_k = c.g_tile;
      q.c_row = c.k_part;
      q.rows = rows;
      // Short sums, added up: they err less than long ones, and there is room in the first-level
      // cache for what the next one reads.
      constexpr int64_t kDepth = 64;
      const int64_t chunks = ceil_div(count, kDepth);
      for (int64_t i = 0; i < c.points; ++i) {
        for (int64_t chunk = 0; chunk < chunks; ++chunk) {
          const int64_t t0 = count * chunk / chunks, t1 = count * (chunk + 1) / chunks;
          q.depth = t1 - t0;
          q.add = block + chunk > 0;
          q.a = xs + i * c.x_point + t0 * c.x_tile;
          // Next in order: the rest of this point's tiles, or those of the next point.
          const bool more = chunk + 1 < chunks;
          const ptrdiff_t x_next = more ? q.depth * c.x_tile : c.x_point - t0 * c.x_tile;
          const ptrdiff_t g_next = more ? q.depth * c.g_tile : c.g_point - t0 * c.g_tile;
          q.far_a_count = q.depth * c.x_tile / subs;
          q.far_b_count = q.depth * c.g_tile / subs;
          for (int64_t s = 0; s < subs; ++s) {
            q.b = gs + i * c.g_point + t0 * c.g_tile + s * k.nr;
            q.c = w + i * c.w_point + s * k.nr;
            q.narrow = lanes - s * k.nr <= k.lanes;
            q.far_a = q.a + x_next + s * (q.depth * c.x_tile / subs);
            q.far_b = gs + i * c.g_point + t0 * c.g_tile + g_next + s * (q.depth * c.g_tile / subs);
            k.product(q);
          }
        }
      }
      if (block + 1 < c.blocks) return;
      for (int64_t lane = 0; lane < lanes; lane += k.lanes) {
        WinogradFilterGrad<T> out;
        out.u = w + lane;
        out.row = c.k_part;
        out.point = c.w_point;
        out.lane = p.cg() * 9;
        out.w = call.result + ((group * p.kg() + k0 + lane) * p.cg() + c0) * 9;
        out.lanes = static_cast<int>(std::min<int64_t>(k.lanes, lanes - lane));
        out.count = rows;
        if (!tile.filter_grad(out)) __atomic_store_n(&finite, false, __ATOMIC_RELAXED);
      }
    });
  }
  // As in winograd_rows.cpp: what is not finite is computed without transforms.
  if (!finite) kIm2colWeight.runner<T>().run(call);
}

template <class T>
size_t bytes(const ConvProblem& p, int m, int threads) {
  const Cut c = cut<T>(p, Tiles(m, p.n, p.out[1], p.out[2]), threads);
  return Sizes<T>(p, c).all(p, c, threads);
}

template <int M>
size_t workspace(const ConvProblem& p, size_t item, int threads, bool) {
  return std::max(item == 4 ? bytes<float>(p, M, threads) : bytes<double>(p, M, threads),
                  kIm2colWeight.workspace(p, item, threads, false));
}

template <int M>
double cost(const ConvProblem& p, size_t item, bool) {
  if (M == 4 && (item == 8 || high_accuracy())) return 1e18;
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  const double points = (M + 2) * (M + 2);
  const Tiles t(M, p.n, p.out[1], p.out[2]);
  const double tiles = static_cast<double>(t.count());
  const double cg = static_cast<double>(p.cg());
  const double c_vectors = std::ceil(cg / lanes);
  const double k_vectors = std::ceil(static_cast<double>(p.kg()) / lanes);
  const double product = points * cg * k_vectors * (tiles * 0.62 + 2);
  return static_cast<double>(p.groups) * ((c_vectors + k_vectors) * tiles * points * 7.5 + product +
                                          cg * k_vectors * points * 2.5) +
         4000;
}

size_t nothing(const ConvProblem&, size_t) {
  return 0;
}

template <int M>
constexpr Algorithm row(const char* name, const char* summary) {
  return {name,
          Direction::weight,
          summary,
          winograd::supports,
          cost<M>,
          workspace<M>,
          nothing,
          {run<float, M>, nullptr},
          {run<double, M>, nullptr}};
}

}  // namespace

const Algorithm kWinogradWeight =
    row<4>("winograd", "F(3x3, 4x4): tiles of the gradient as filters");
const Algorithm kWinograd2Weight =
    row<2>("winograd2", "F(3x3, 2x2): tiles of the gradient as filters");

}  // namespace fastconv
