// How Winograd's weight gradient is cut: blocks of tiles, parts of their sum, and the channels of
// either side, shared between threads. What an output sums in which order does not depend on them.
#pragma once

#include "memory.h"
#include "winograd.h"

namespace fastconv::winograd {

struct GradCut {
  Windows window;  // of the input's channels, whose depth is that of x and dw
  int64_t points;
  int64_t blocks, block;       // of tiles, and the tiles of the largest
  int64_t sums;                // the sum over blocks is in so many parts, added at the end
  int64_t c_splits, k_splits;  // a task has so large a share of the channels of either side
  // Pieces of channels that a product takes, a whole number of them a share.
  int64_t c_part, c_parts, k_part, k_parts, c_share, k_share;
  // Points of x: [part][point][tile][channel of part], of the gradient likewise, of dw: per part
  // [point][input channel][output channel].
  ptrdiff_t x_tile, x_point, x_part, g_tile, g_point, g_part, w_point, w_part;
  int64_t parts() const { return c_parts * k_parts; }
  int64_t tasks() const { return sums * c_splits * k_splits; }  // of a group
};

// Shares for `wanted` threads. Each makes the points it needs: what two threads both make costs
// less than what one makes for the other. Costs per point and tile, as in the cost of the row.
inline void share(int64_t c_vectors, int64_t k_pieces, double piece, double lanes, int64_t wanted,
                  GradCut* c) {
  double least = 1e300;
  for (int64_t cs = 1; cs <= std::min(wanted, c_vectors); ++cs) {
    const int64_t ks = std::min(wanted / cs, k_pieces);
    const double x = static_cast<double>(ceil_div(c_vectors, cs));
    const double g = static_cast<double>(ceil_div(k_pieces, ks)) * piece;
    const double cost = x * lanes * g * 0.58 + (x + g) * 6.9;
    if (cost >= least) continue;
    least = cost;
    c->c_splits = cs;
    c->k_splits = ks;
  }
}

template <class T>
GradCut grad_cut(const ConvProblem& p, const Tiles& tiles, int threads) {
  const auto& k = table<T>();
  const int64_t item = sizeof(T), l2 = static_cast<int64_t>(l2_bytes());
  GradCut c;
  c.window = windows<T>(p, p.cg());
  const int64_t cg = c.window.depth();
  c.points = (tiles.m + 2) * (tiles.m + 2);
  // Few channels: the sums stay in the second-level cache, and so do blocks of tiles. Many: the
  // sums go to memory, so blocks are large, if possible a single one.
  const int64_t tile = c.points * (cg + p.kg()) * item;
  const bool few = c.points * cg * p.kg() * item <= l2 * 2 / 5;
  const int64_t most = few ? std::max<int64_t>(32, l2 * 2 / 5 / tile)
                           : std::max<int64_t>(128, (int64_t{24} << 20) / tile);
  c.blocks = std::max<int64_t>(1, ceil_div(tiles.count(), most));
  c.block = ceil_div(tiles.count(), c.blocks);
  // A part of the sum more costs as much as a dozen tiles.
  for (c.sums = 1; few && c.sums < 8 && c.sums * 2048 <= tiles.count();) c.sums *= 2;
  c.sums = std::min(c.sums, c.blocks);

  // Pieces of two cache lines of output channels, as in winograd.cpp.
  const int64_t vectors = ceil_div(cg, k.lanes), subs = ceil_div(p.kg(), k.nr);
  const int64_t wanted = std::max<int64_t>(1, threads / (p.groups * c.sums));
  share(vectors, subs, static_cast<double>(k.nr / k.lanes), k.lanes, wanted, &c);
  const int64_t wide =
      std::min(ceil_div(subs, c.k_splits), std::max<int64_t>(1, 128 / (k.nr * item)));
  c.c_part = std::min<int64_t>(64, ceil_div(vectors, c.c_splits) * k.lanes);
  c.k_part = wide * k.nr;
  c.c_parts = ceil_div(cg, c.c_part);
  c.k_parts = ceil_div(p.kg(), c.k_part);
  c.c_share = ceil_div(c.c_parts, c.c_splits);
  c.k_share = ceil_div(c.k_parts, c.k_splits);
  c.c_splits = ceil_div(c.c_parts, c.c_share);
  c.k_splits = ceil_div(c.k_parts, c.k_share);
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

// Elements of points that a thread has, and of sums.
template <class T>
struct GradSizes {
  int64_t x, g, w, bias;
  GradSizes(const ConvProblem& p, const GradCut& c)
      : x(padded<T>(c.c_share * c.x_part)),
        g(padded<T>(c.k_share * c.g_part)),
        w(c.blocks > 1 ? p.groups * c.sums * c.parts() * c.w_part : 0),
        bias(padded<T>(c.sums * p.k)) {}
  int64_t shared() const { return w + bias; }
  int64_t per_thread(const GradCut& c) const { return x + g + (w ? 0 : padded<T>(c.w_part)); }
};

}  // namespace fastconv::winograd
