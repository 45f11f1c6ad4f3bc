#include "tap_cut.h"

#include "../isa.h"

namespace fastconv {
namespace {

// Pieces for each thread: enough to share what one of them cannot finish, and few beginnings, where
// nothing has been fetched ahead.
constexpr int64_t kPieces = 2;

// Short sums, added up: the error of a float sum grows with the length of its runs.
void cut_depth(int64_t channels, int64_t taps, Cut* c) {
  constexpr int64_t kMost = kTapDepth;
  const int64_t depth = channels * taps;
  if (depth == 0) {
    c->kc = c->channels = 0;
    c->chunks = 1;
    return;
  }
  c->kc = ceil_div(depth, ceil_div(depth, kMost));
  if (taps <= kMost) c->kc = ceil_div(c->kc, taps) * taps;
  c->chunks = ceil_div(depth, c->kc);
  c->channels = c->kc % taps == 0 ? c->kc / taps : std::min(channels, c->kc / taps + 2);
}

// The number of rows, near the most, that fills its vectors best.
int64_t best_height(int64_t p, int64_t q, int64_t most_pixels, int64_t lanes) {
  const int64_t highest = std::max<int64_t>(1, most_pixels / q);
  const int64_t lowest = std::max<int64_t>(1, highest * 2 / 3);
  int64_t best_h = 1;
  double best = 1e300;
  for (int64_t h = highest; h >= lowest; --h) {
    const int64_t full = p / h, rest = p % h;
    const double vectors = static_cast<double>(full) * ceil_div(h * q, lanes) +
                           ceil_div(rest * q, lanes) + 2.0 * (full + (rest > 0));
    if (vectors < best) {
      best = vectors;
      best_h = h;
    }
  }
  return best_h;
}

template <class T>
bool within_source(const TapConv<T>& t, const StripShape& s) {
  for (int i = 0; i < 3; ++i) {
    const int64_t last = (t.grid(i) - 1) * t.step[i] + s.first[i] + s.reach[i];
    if (s.first[i] < 0 || last >= t.dims[i]) return false;
  }
  return true;
}

// Whether every phase has the terms of the first, its weights one further than those of the phase
// before it; and the next row's one further than the last phase's.
template <class T>
bool phases_are_rows(const TapConv<T>& t) {
  const int64_t phases = t.phases(), each = t.first[1];
  if (phases == 1 || each == 0 || static_cast<int64_t>(t.terms.size()) != each * phases)
    return false;
  if (t.rows > 1 && t.w_row != phases) return false;
  for (int64_t f = 0; f < phases; ++f) {
    if (t.first[f] != f * each) return false;
    for (int64_t i = 0; i < each; ++i) {
      const Term& term = t.terms[f * each + i];
      if (term.tap != t.terms[i].tap || term.weight != t.terms[i].weight + f) return false;
    }
  }
  return true;
}

}  // namespace

template <class T>
Cut tap_cut(const TapConv<T>& t, int threads) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  const int64_t nr = gemm.nr, mr = gemm.mr, lanes = nr / 2;
  const int64_t ntaps = static_cast<int64_t>(t.taps.size());
  const int64_t z = t.grid(0), p = t.grid(1), q = t.grid(2), plane = z * p * q;
  const int64_t images = std::max<int64_t>(1, t.images);
  Cut c{};
  cut_depth(t.channels, ntaps, &c);

  // A block of panels stays well within the second-level cache.
  const int64_t item = static_cast<int64_t>(sizeof(T));
  const int64_t budget = std::max<int64_t>(128 << 10, static_cast<int64_t>(l2_bytes() * 2 / 5));
  int64_t most_pixels = budget / item / std::max<int64_t>(c.kc, 16);
  most_pixels = std::max(nr, std::min<int64_t>(most_pixels / nr * nr, 1024));
  // Packed on the way, they take no more room for more pixels.
  const bool pointwise = ntaps == 1 && z * p == 1 && t.phases() == 1 && t.step[2] == 1;
  if (pointwise && c.chunks == 1 && t.rows * c.kc * item <= budget) most_pixels = q;
  // Results that are woven from phases are kept aside, all rows of a block together.
  for (int64_t f = 0; f < t.phases(); ++f) c.slots += !t.empty(f);
  if (t.phases() > 1 && c.slots > 0) {
    const int64_t row_bytes = t.rows * c.slots * item;
    most_pixels = std::max(2 * nr, std::min(most_pixels, budget / 2 / row_bytes / nr * nr));
  }
  // A few lanes beyond whole vectors; only where every number of threads takes the image whole, or
  // whole vectors of it as one row, so that sums do not depend on it.
  const int64_t rest = plane % lanes, filled = ceil_div(plane, lanes) * lanes;
  const int64_t most = pointwise ? 24 * lanes : rest == 1 ? std::min(4 * nr, most_pixels) : 0;
  const bool lone = t.packed && t.phases() == 1 && plane > lanes &&
                    std::max(plane, t.image) <= most &&
                    (rest == 1 || (item == 4 && lanes >= 16 && rest <= 4));
  // Small images share their panels where one image would leave many lanes idle. Their results are
  // kept aside, which for the short sums of one tap costs more than a third of the lanes.
  const bool shared =
      images > 1 && !lone &&
      (plane <= lanes || (ntaps == 1 ? filled * 2 > plane * 3 : filled * 16 > plane * 17));
  if (lone) c.lone_lanes = static_cast<int>(rest);
  // Enough blocks for the threads, as long as they are not too small to amortise the weights.
  if (threads > 1) {
    const int64_t want = ceil_div(kPieces * threads, images * t.groups);
    most_pixels = std::max(std::min(most_pixels, 4 * nr),
                           std::min(most_pixels, ceil_div(ceil_div(plane, want), nr) * nr));
  }
  c.images = 1;
  c.block[0] = c.block[1] = 1;
  c.block[2] = q;
  if (q > most_pixels) {  // part of a row
    c.block[2] = std::min(q, ceil_div(ceil_div(q, ceil_div(q, most_pixels)), nr) * nr);
  } else if (p * q > most_pixels) {  // whole rows
    c.block[1] = best_height(p, q, most_pixels, lanes);
  } else {  // whole planes
    c.block[0] = std::min(z, std::max<int64_t>(1, most_pixels / (p * q)));
    c.block[1] = p;
    if (t.packed && c.block[0] == z && shared) {
      const int64_t wanted = threads > 1 ? ceil_div(images * t.groups, kPieces * threads) : images;
      const int64_t most = std::max<int64_t>(1, most_pixels / plane);
      c.images = std::max<int64_t>(1, std::min({most, wanted, images}));
      c.images = ceil_div(images, ceil_div(images, c.images));
    }
  }
  c.blocks[0] = ceil_div(t.images, c.images);
  for (int i = 0; i < 3; ++i) c.blocks[i + 1] = ceil_div(t.grid(i), c.block[i]);

  c.shape = strip_shape(t.taps, t.step, c.block);
  if (t.packed) align_rows<T>(&c.shape);
  const bool within = within_source(t, c.shape);
  // Windows that overlap share the halves of a strip.
  c.halves = within && t.packed && t.step[2] == 2 && ntaps <= t.step[1] * t.step[2];
  c.strip = !c.halves && !(within && t.step[2] == 1);
  if (t.packed) {
    c.mode = Lanes::packed;
  } else {
    // Unpacked tiles read whole vectors, past the end of a row: only a strip has room for that.
    c.strip = true;
    // Row by row, the last vector of each is not full, and few rows of weights leave the tile short
    // of sums; flat, the columns between two rows are computed for nothing.
    const double short_of_sums = t.rows <= mr / 2 && c.block[2] <= nr ? 1.3 : 1.0;
    const double by_row = static_cast<double>(ceil_div(c.block[2], lanes) * lanes) * short_of_sums;
    c.mode = c.block[1] > 1 && by_row > 1.06 * static_cast<double>(c.shape.pitch) ? Lanes::flat
                                                                                  : Lanes::rows;
  }
  c.lanes = c.images * c.block[0] *
            (c.mode == Lanes::flat ? (c.block[1] - 1) * c.shape.pitch + c.block[2]
                                   : c.block[1] * c.block[2]);
  c.temp = t.phases() > 1 || c.images > 1 || c.mode == Lanes::flat;
  c.merged = phases_are_rows(t);

  // Rows are split when there are too few blocks for the threads, or when the result kept aside
  // would grow large.
  c.row_parts = 1;
  const int64_t pieces = std::max<int64_t>(1, c.pieces(t.groups));  // none of an empty batch
  if (threads > 1 && pieces < kPieces * threads) {
    // Every part packs the pixels anew: large ones, unless that is not a fair share of the blocks.
    const int64_t fewest = ceil_div(threads, pieces), most = ceil_div(kPieces * threads, pieces);
    const int64_t large = std::max(fewest, std::min(most, t.rows / (4 * mr)));
    c.row_parts =
        std::min(ceil_div(t.rows, mr), pieces < threads || pieces % threads == 0 ? large : most);
  }
  if (c.temp) {
    const int64_t row_bytes = std::max<int64_t>(1, c.slots * c.lanes * item);
    const int64_t most = std::max<int64_t>(c.merged ? 1 : mr, budget / row_bytes);
    c.row_parts = std::max(c.row_parts, ceil_div(t.rows, most));
  }
  c.row_parts = std::max<int64_t>(1, std::min(c.row_parts, t.rows));
  c.most_rows = ceil_div(t.rows, c.row_parts);
  // Turning costs some pixels' worth of products; a tile that reads the strip gains less by it.
  c.turned = t.w_channel != ntaps && !c.merged && images * plane >= (t.packed ? 3 : 16) * nr;
  const bool one_pass = plane - c.lone_lanes <= 3 * lanes;  // all lanes at once
  const bool in_cache = c.most_rows * c.kc * item <= budget;
  const bool few = t.rows <= t.channels * ntaps;
  c.passing = t.packed && (t.w_channel == ntaps || c.turned) && (one_pass || in_cache) &&
              t.phases() == 1 && !c.strip && !c.halves && c.images == 1 &&
              c.block[0] * c.block[1] == 1;
  // Several panels at a time where results would come from all over memory, and where the tile is
  // high enough to read them from the second-level cache. They leave it room for the results, the
  // weights and the next panels' source; that is fetched meanwhile, which takes four tiles'
  // heights.
  const int64_t size = std::max<int64_t>(1, c.kc * nr * item);
  const bool several = t.rows > 4 * mr && (mr > 8 || !few);
  c.panels = several ? std::max<int64_t>(1, std::min(ceil_div(c.lanes, nr), budget / 6 / size)) : 1;
  // Doubles would be packed before: they have half as much to gain.
  c.gathering = t.packed && item == 4 && (t.w_channel == ntaps || c.turned) && !c.passing &&
                in_cache && few && !one_pass && !c.lone_lanes && !c.halves && t.phases() == 1;
  return c;
}

template Cut tap_cut<float>(const TapConv<float>&, int);
template Cut tap_cut<double>(const TapConv<double>&, int);

}  // namespace fastconv
