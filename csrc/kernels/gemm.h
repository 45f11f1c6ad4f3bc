// The block around the register tile: rows in groups of a tile's height, lanes in panels.
#pragma once

#include "lone.h"
#include "tile.h"
#include "wide.h"

namespace fastconv {
namespace {

// The kernels that exist for several numbers of rows, by what they do.
template <class T, int NV>
struct Tiles {
  template <int R>
  static constexpr auto kernel = tiles<T, R, NV>;
};
template <class T>
struct Wide {
  template <int R>
  static constexpr auto kernel = wide_tile<T, R>;
};
template <class T>
struct Packing {
  template <int R>
  static constexpr auto kernel = tile_packing<T, R>;
};
template <class T>
struct WidePacking {
  template <int R>
  static constexpr auto kernel = wide_packing<T, R>;
};
template <class T>
struct Gathering {
  template <int R>
  static constexpr auto kernel = tile_gathering<T, R>;
};
template <class T>
struct Fetching {
  template <int R>
  static constexpr auto kernel = tile_fetching<T, R>;
};

// The one for `rows`, between Fewest and Most.
template <class Kernels, int Most, int Fewest>
FC_INLINE auto pick(ptrdiff_t rows) {
  if constexpr (Most <= Fewest) {
    return Kernels::template kernel<Most>;
  } else {
    return rows == Most ? Kernels::template kernel<Most> : pick<Kernels, Most - 1, Fewest>(rows);
  }
}

// Fewer rows than these are not worth code of their own that is wide, or packs or fetches on the
// way.
constexpr int kFewestWideRows = (3 * kWideRows + 3) / 4;
constexpr int kFewestPacking = kTileRows * 2 / 3 + 1;

// Rows are split evenly, so that no group is much smaller than the tile.
struct RowGroups {
  ptrdiff_t rows, count;
  explicit RowGroups(ptrdiff_t n, ptrdiff_t most = kTileRows)
      : rows(n), count((n + most - 1) / most) {}
  ptrdiff_t begin(ptrdiff_t i) const { return rows * i / count; }
};

// As many rows as two panels at a time leave registers for.
constexpr int kFewRows = (kRegisters - 1) / (2 * kTileVectors) - 1;

// All lanes for one group of rows, the A panel staying in L1.
template <class T>
FC_INLINE void row_group(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t rows) {
  constexpr int L = kLanes<T>;
  constexpr int NR = kTileLanes<T>;
  ptrdiff_t j = 0;
  // Few rows leave accumulators idle: two panels at a time keep the FMA pipes full.
  if (rows <= kFewRows && g.lanes > NR) {
    const ptrdiff_t rest = g.lanes % (2 * NR);
    j = rest > NR || rest == 0 ? g.lanes : g.lanes - rest;
    pick<Tiles<T, 2 * kTileVectors>, kFewRows, 1>(rows)(g, row, 0, j);
  }
  if (j == g.lanes) return;
  // A last vector of its own costs half of a whole tile.
  const ptrdiff_t rest = (g.lanes - j) % NR;
  const ptrdiff_t end = rest > 0 && rest <= L ? g.lanes - rest : g.lanes;
  if (j < end) pick<Tiles<T, kTileVectors>, kTileRows, 1>(rows)(g, row, j, end);
  if (end < g.lanes) pick<Tiles<T, 1>, kTileRows, 1>(rows)(g, row, end, g.lanes);
}

// For doubles half a panel has to do: most small planes are an even number of their vectors.
template <class T>
constexpr bool kWide = sizeof(T) == 4;

// Lanes before the three vectors that an odd number of vectors ends with, or all of them.
template <class T>
ptrdiff_t lanes_before_wide(const GemmBlock<T>& g, ptrdiff_t lanes) {
  constexpr ptrdiff_t L = kLanes<T>;
  const ptrdiff_t vectors = (lanes + L - 1) / L;
  const bool wide = kWide<T> && vectors % 2 == 1 && vectors >= kWideVectors && g.rows > 0 &&
                    RowGroups(g.rows, kWideRows).begin(1) >= kFewestWideRows;
  return wide ? (vectors - kWideVectors) * L : lanes;
}

// Rows of lanes [j, end), at most three vectors of them, from a panel and a half at g.b; and of the
// lone lane. The groups before `first` are done.
template <class T>
void wide_rows(const GemmBlock<T>& g, const RowGroups& groups, ptrdiff_t first, ptrdiff_t j,
               ptrdiff_t end, LoneLane<T>& lone) {
  if constexpr (kWide<T>) {
    for (ptrdiff_t i = first; i < groups.count; ++i) {
      const ptrdiff_t r0 = groups.begin(i), rows = groups.begin(i + 1) - r0;
      pick<Wide<T>, kWideRows, kFewestWideRows>(rows)(g, r0, j, end, lone.beside());
      lone.after(g, r0, rows);
    }
  }
}

template <class T>
void packed_block(const GemmBlock<T>& given) {
  constexpr ptrdiff_t NR = kTileLanes<T>;
  GemmBlock<T> g = given;
  LoneLane<T> lone(g, [&](ptrdiff_t k) {
    const ptrdiff_t panel = (g.lanes - 1) / NR;
    return g.b + panel * (g.b_panel - NR) + g.b_off[k];
  });
  const ptrdiff_t end = given.lanes - lone.count();
  g.lanes = lanes_before_wide(g, end);
  const bool wide = g.lanes < end;
  const RowGroups groups(g.rows);
  for (ptrdiff_t i = 0; i < groups.count && g.lanes > 0; ++i) {
    const ptrdiff_t r0 = groups.begin(i), rows = groups.begin(i + 1) - r0;
    row_group(g, r0, rows);
    if (!wide) lone.rows(g, r0, rows);
  }
  if (!wide) return;
  g.b += g.lanes / NR * g.b_panel;
  wide_rows(g, RowGroups(g.rows, kWideRows), 0, g.lanes, end, lone);
}

// Doubles pack their panels before: they have half as much to gain, and the code is not small. Nor
// do the small tiles of SSE2 pay for it.
template <class T>
constexpr bool kPacksOnTheWay = sizeof(T) == 4 && (kVectorBytes >= 32 || kRegisters == 32);

// Panel after panel, all rows of each: B is packed as the first group of rows reads it.
template <class T>
void unpacked_block(const GemmBlock<T>& given) {
  constexpr ptrdiff_t NR = kTileLanes<T>;
  GemmBlock<T> g = given;
  LoneLane<T> lone(g, [&](ptrdiff_t k) { return g.source + g.source_off[k]; });
  const ptrdiff_t lanes = given.lanes - lone.count();
  const RowGroups groups(g.rows);
  ptrdiff_t j = 0;
  if (groups.count == 1 && lanes >= NR) {
    j = lanes / NR * NR;
    g.b = g.source;
    g.b_panel = NR;
    g.b_off = g.source_off;
    g.lanes = j;
    row_group(g, 0, g.rows);
  }
  g.b = g.panel;
  g.b_panel = 0;  // one panel, wherever its lanes are
  g.b_off = given.b_off;
  const ptrdiff_t narrow = j + lanes_before_wide(g, lanes - j);
  for (; j < narrow; j += NR) {
    const ptrdiff_t end = j + NR < narrow ? j + NR : narrow;
    ptrdiff_t i = 0;
    if constexpr (kPacksOnTheWay<T>) {
      if (end - j == NR && groups.count > 1 && groups.begin(1) >= kFewestPacking) {
        // The next panel's lines, half a vector's rows of the source after the other, are spread
        // over the first four groups.
        const auto ahead = [&](ptrdiff_t group) {
          const ptrdiff_t lane = end + (group / 2 + 1) * kLanes<T> - 1;
          return Ahead<T>{g.source + lane, g.source_off + group % 2 * (g.depth / 2)};
        };
        pick<Packing<T>, kTileRows, kFewestPacking>(groups.begin(1))(g, j, ahead(0));
        for (i = 1; i < groups.count && i < 2 * kTileVectors; ++i) {
          const ptrdiff_t r0 = groups.begin(i), rows = groups.begin(i + 1) - r0;
          pick<Fetching<T>, kTileRows, kFewestPacking>(rows)(g, r0, j, ahead(i));
        }
      }
    }
    if (i == 0) {
      const Segment segment{0, 0, end - j};
      pack_panel(g.source + j, g.source_off, g.depth, &segment, 1, g.panel);
    }
    for (; i < groups.count; ++i) {
      const ptrdiff_t r0 = groups.begin(i), rows = groups.begin(i + 1) - r0;
      const auto run = end - j > kLanes<T> ? pick<Tiles<T, kTileVectors>, kTileRows, 1>(rows)
                                           : pick<Tiles<T, 1>, kTileRows, 1>(rows);
      run(g, r0, j, end);
    }
  }
  if (narrow == lanes) return lone.rows(g, 0, g.rows);
  g.b_panel = g.depth * NR;
  const RowGroups wides(g.rows, kWideRows);
  if constexpr (kPacksOnTheWay<T>) {
    if (lanes - j == kWideVectors * kLanes<T>) {
      pick<WidePacking<T>, kWideRows, kFewestWideRows>(wides.begin(1))(g, j, lone.beside());
      lone.after(g, 0, wides.begin(1));
      return wide_rows(g, wides, 1, j, lanes, lone);
    }
  }
  const Segment whole{0, 0, NR}, rest{NR, 0, lanes - j - NR};
  pack_panel(g.source + j, g.source_off, g.depth, &whole, 1, g.panel);
  pack_panel(g.source + j, g.source_off, g.depth, &rest, 1, g.panel + g.b_panel);
  wide_rows(g, wides, 0, j, lanes, lone);
}

// One panel of runs, all rows: packed as the first group of rows reads it.
template <class T>
void gathered_block(const GemmBlock<T>& given) {
  GemmBlock<T> g = given;
  g.b = g.panel;
  g.b_panel = 0;
  const RowGroups groups(g.rows);
  const bool narrow = g.lanes <= kLanes<T>;
  ptrdiff_t i = 0;
  if constexpr (kVectorBytes >= 32 && kPacksOnTheWay<T>) {  // has masked loads
    const int runs = runs_of_vector<T>(g.segments, g.segment_count);
    if (!narrow && runs <= kMostRuns && groups.begin(1) >= kFewestPacking) {
      if (g.segments[0].len == kTileLanes<T>) {
        g.source += g.segments[0].src;
        const Ahead<T> nothing{g.source, g.source_off};
        pick<Packing<T>, kTileRows, kFewestPacking>(groups.begin(1))(g, 0, nothing);
      } else {
        pick<Gathering<T>, kTileRows, kFewestPacking>(groups.begin(1))(g);
      }
      i = 1;
    }
  }
  if (i == 0) pack_panel(g.source, g.source_off, g.depth, g.segments, g.segment_count, g.panel);
  for (; i < groups.count; ++i) {
    const ptrdiff_t r0 = groups.begin(i), rows = groups.begin(i + 1) - r0;
    const auto run = narrow ? pick<Tiles<T, 1>, kTileRows, 1>(rows)
                            : pick<Tiles<T, kTileVectors>, kTileRows, 1>(rows);
    run(g, r0, 0, g.lanes);
  }
}

template <class T>
void gemm_block(const GemmBlock<T>& g) {
  if (g.segments) {
    gathered_block(g);
  } else if (g.source) {
    unpacked_block(g);
  } else {
    packed_block(g);
  }
}

}  // namespace
}  // namespace fastconv
