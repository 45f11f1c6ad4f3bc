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

// Lanes from j on, a multiple of the panels' width, for one group of rows: the A panel stays in L1.
template <class T>
FC_INLINE void row_group(const GemmBlock<T>& g, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t j = 0) {
  constexpr int L = kLanes<T>;
  constexpr int NR = kTileLanes<T>;
  // Few rows leave accumulators idle: two panels at a time keep the FMA pipes full.
  if (rows <= kFewRows && g.lanes - j > NR) {
    const ptrdiff_t rest = (g.lanes - j) % (2 * NR);
    const ptrdiff_t end = rest > NR || rest == 0 ? g.lanes : g.lanes - rest;
    pick<Tiles<T, 2 * kTileVectors>, kFewRows, 1>(rows)(g, row, j, end);
    j = end;
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
// lone lanes. The groups before `first` are done.
template <class T>
void wide_rows(const GemmBlock<T>& g, const RowGroups& groups, ptrdiff_t first, ptrdiff_t j,
               ptrdiff_t end, LoneLanes<T>& lone) {
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
  LoneLanes<T> lone(g, [&](ptrdiff_t k) {
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

// Of half a depth, the lines of a whole tile's residual, and then the first one again.
template <class T>
struct ResidualLines {
  static constexpr ptrdiff_t kMost = 256;
  ptrdiff_t off[kMost];
  void list(const GemmBlock<T>& g) {
    constexpr ptrdiff_t lines = kTileRows * kTileVectors;
    for (ptrdiff_t k = 0; k < g.depth / 2; ++k) {
      off[k] = k < lines ? k / kTileVectors * g.residual_row + k % kTileVectors * kLanes<T> : 0;
    }
  }
  static bool fit(const GemmBlock<T>& g) { return g.residual && g.depth / 2 <= kMost; }
};

// Some panels, all rows of them: packed as the first group of rows reads them, and read from the
// second-level cache by the others, which write C along its rows, as memory likes it. `next` lanes
// follow in the source, of panels like these; or the lone ones, `before` lanes being done.
template <class T>
void some_panels(const GemmBlock<T>& g, const RowGroups& groups, ptrdiff_t next,
                 const LoneLanes<T>* lone, ptrdiff_t before, const ResidualLines<T>* residual) {
  constexpr ptrdiff_t L = kLanes<T>, NR = kTileLanes<T>;
  ptrdiff_t whole = 0;  // lanes that are packed on the way
  if constexpr (kPacksOnTheWay<T>) {
    if (groups.count > 1 && groups.begin(1) >= kFewestPacking) whole = g.lanes / NR * NR;
  }
  for (ptrdiff_t j = whole; j < g.lanes; j += NR) {
    const Segment segment{0, 0, j + NR < g.lanes ? NR : g.lanes - j};
    pack_panel(g.source + j, g.source_off, g.depth, &segment, 1, g.panel + j / NR * g.b_panel);
  }
  for (ptrdiff_t i = 0; i < groups.count; ++i) {
    const ptrdiff_t r0 = groups.begin(i), rows = groups.begin(i + 1) - r0;
    ptrdiff_t j = 0;
    if constexpr (kPacksOnTheWay<T>) {
      // The lines of the panels after these, half a vector's rows of the source after the other,
      // are spread over four groups. While panels are packed, it is the one after each.
      const ptrdiff_t part = i > 0 && whole > NR ? i - 1 : i;
      const ptrdiff_t lane = (part / 2 + 1) * L - 1;
      const ptrdiff_t* const off = g.source_off + part % 2 * (g.depth / 2);
      if (i == 0) {
        const ptrdiff_t last = g.lanes + next - L;
        for (; j < whole; j += NR) {
          const T* const from = g.source + (j + NR + lane < last ? j + NR + lane : j);
          pick<Packing<T>, kTileRows, kFewestPacking>(rows)(g, j, Ahead<T>{from, off});
        }
      } else if (part < 2 * kTileVectors) {
        const ptrdiff_t end = whole < next ? whole : next / NR * NR;
        const T* const from = g.source + g.lanes + lane;
        const auto run = pick<Fetching<T>, kTileRows, kFewestPacking>(rows);
        for (; j < end; j += NR) run(g, r0, j, Ahead<T>{from + j, off});
      }
    }
    if constexpr (kPacksOnTheWay<T>) {
      if (j < whole && residual) {
        const T* const from = g.residual + r0 * g.residual_row + L - 1;
        const auto run = pick<Fetching<T>, kTileRows, kFewestPacking>(rows);
        for (; j < whole; j += NR) run(g, r0, j, Ahead<T>{from + j, residual->off});
      }
    }
    if (j < g.lanes) row_group(g, r0, rows, j);
    if (lone) lone->rows(g, r0, rows, before);
  }
}

// B is packed some panels at a time.
template <class T>
void unpacked_block(const GemmBlock<T>& given) {
  constexpr ptrdiff_t NR = kTileLanes<T>;
  GemmBlock<T> g = given;
  LoneLanes<T> lone(g, [&](ptrdiff_t k) { return g.source + g.source_off[k]; });
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
  g.b_panel = g.depth * NR;
  g.b_off = given.b_off;
  const ptrdiff_t narrow = j + lanes_before_wide(g, lanes - j);
  ResidualLines<T> lines;
  const bool fetches = kPacksOnTheWay<T> && ResidualLines<T>::fit(g);
  if (fetches) lines.list(g);
  ptrdiff_t n = 0;
  for (; j < narrow; j += n) {
    const ptrdiff_t left = (narrow - j + NR - 1) / NR;
    const ptrdiff_t blocks = (left + g.panels - 1) / g.panels, each = (left + blocks - 1) / blocks;
    n = each < left ? each * NR : narrow - j;
    GemmBlock<T> some = g;
    some.source += j;
    some.c += j;
    if (g.bias_lane) some.bias_lane += j;
    if (g.residual) some.residual += j;
    some.lanes = n;
    some_panels(some, groups, narrow - j - n, j + n == lanes ? &lone : nullptr, j,
                fetches ? &lines : nullptr);
  }
  if (narrow == lanes) {
    if (n == 0) lone.rows(g, 0, g.rows);
    return;
  }
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
