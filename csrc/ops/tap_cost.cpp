#include "tap_cost.h"

#include <algorithm>
#include <cmath>

#include "../isa.h"
#include "tap_lower.h"

namespace fastconv {
namespace {

// One image's and group's work, in vectors.
struct Work {
  double lanes;
  double rows, channels, depth;  // of the product
  double p, q;                   // rows of positions of a phase, and their width
  double ways;                   // phases of the result
  double filled;                 // vectors of the source, as they come into a strip
  double times;                  // images and groups
  bool as_it_lies;               // pointwise: the source is one long row
  bool merged;                   // phases are rows of the product
  bool input;

  double vectors(double n) const { return std::ceil(n / lanes); }
  double dense() const { return vectors(p * q); }
  // Results, some of them woven from phases.
  double results(double vectors, double woven) const {
    return vectors * ways * (ways > 1 ? woven : 1);
  }
};

Work work(const ConvProblem& given, Direction direction, size_t item) {
  Work w{};
  w.input = direction == Direction::input;
  const ConvProblem p = w.input && fills_up(given) ? filled_up(given) : given;
  w.lanes = kernels().vector_bytes / static_cast<double>(item);
  w.rows = static_cast<double>(w.input ? p.cg() : p.kg());
  w.channels = static_cast<double>(w.input ? p.kg() : p.cg());
  w.depth = w.channels * static_cast<double>(p.taps());
  const Dims& from = w.input ? p.out : p.in;
  int64_t grid[3];
  for (int i = 0; i < 3; ++i) grid[i] = w.input ? ceil_div(p.in[i], p.stride[i]) : p.out[i];
  w.as_it_lies = p.taps() == 1 && p.unit_stride() && !p.padded();
  w.p = w.as_it_lies ? 1 : static_cast<double>(grid[0] * grid[1]);
  w.q = static_cast<double>(w.as_it_lies ? grid[0] * grid[1] * grid[2] : grid[2]);
  w.ways = w.input ? static_cast<double>(p.stride[0] * p.stride[1] * p.stride[2]) : 1;
  w.merged = w.input && p.cg() == 1;
  for (int i = 0; i < 3; ++i) {
    w.merged &= p.ker[i] % p.stride[i] == 0 && p.pad_lo[i] % p.stride[i] == 0 && p.dil[i] == 1;
  }
  // A row that is split by column phase is read twice as slowly.
  w.filled = w.channels * static_cast<double>(from[0] * from[1]) *
             w.vectors(static_cast<double>(from[2])) * (!w.input && p.stride[2] > 1 ? 2 : 1);
  w.times = static_cast<double>(p.n * p.groups);
  return w;
}

// Tables of the phases.
double calls(const Work& w) {
  return w.input ? 3000 : 0;
}

// Products on tiles of rows; few rows are too few sums to hide the latency.
double products(const Work& w, double vectors) {
  const double rows = w.rows * (w.merged ? w.ways : 1);
  const double filled = rows / std::ceil(rows / kernels().gemm->f32.mr);
  return w.rows * w.depth * vectors * 0.5 * std::max(1.0, 4 / filled);
}

}  // namespace

double im2col_cost(const ConvProblem& p, Direction direction, size_t item) {
  const Work w = work(p, direction, item);
  // Small images share panels.
  const double vectors = w.dense() > 4 ? w.dense() : w.p * w.q / w.lanes + 1 / w.times;
  // And rows of them come back one by one, of which the tiniest have no time to hide that.
  const double tiny = w.times > 1 && w.p * w.q * 2 <= w.lanes ? 40 * w.rows * w.p : 0;
  // Narrow rows are packed piece by piece.
  const double pack = 2.5 + (w.as_it_lies ? 0 : 1.5 * std::max(0.0, w.lanes / w.q - 1));
  // Weights are turned once a call.
  const double turns =
      w.input ? (w.as_it_lies ? 1.8 : 0.8) * static_cast<double>(p.groups) * w.rows * w.depth : 0;
  return calls(w) + turns +
         w.times * ((w.input && !w.as_it_lies ? 1.03 : 0.92) * products(w, vectors) +
                    pack * w.depth * vectors + (w.as_it_lies ? 0 : 3.6 * w.filled) +
                    4 * w.results(w.rows * vectors, 2) + tiny + 500);
}

double direct_cost(const ConvProblem& p, Direction direction, size_t item) {
  const Work w = work(p, direction, item);
  // Row by row, or flat with the columns between two rows.
  const double pitch = w.q + static_cast<double>((p.ker[2] - 1) / p.stride[2]);
  const double across = w.vectors(w.q), mr = kernels().gemm->f32.mr;
  const double few = w.rows <= mr / 2 && across <= 2 ? 1.3 : 1.0;
  const bool flat = w.p > 1 && across * w.lanes * few > 1.06 * pitch;  // as in tap_cut.cpp
  // A lone vector of a row loads as often as it multiplies.
  const double lone = std::fmod(across, 2) == 1 ? 0.4 : 0;
  const double vectors = flat ? 1.06 * w.vectors(w.p * pitch) : w.p * (across + lone);
  const double tiles = w.p * std::ceil(w.rows / mr);
  // Weights are turned once a call where there are pixels enough.
  const bool turned = w.input && static_cast<double>(p.n) * w.p * w.q >= 32 * w.lanes;
  const double turns = turned ? 0.8 * static_cast<double>(p.groups) * w.rows * w.depth : 0;
  // As stored, the lines of a tile's weights may throw each other out of the first-level cache.
  const bool thrash = p.c * p.taps() * static_cast<int64_t>(item) % 2048 == 0;
  const double slow = !w.input ? 1.04 : turned ? 1.06 : thrash ? 1.6 : 1.15;
  return calls(w) + turns +
         w.times * (slow * products(w, vectors) + 4.2 * w.filled +
                    2.8 * w.results(w.rows * vectors, 3) + 104 * w.ways * tiles + 900);
}

double broadcast_cost(const ConvProblem& p, Direction direction, size_t item, bool prepared) {
  const Work w = work(p, direction, item);
  const auto& kernel = kernels().broadcast->f32;
  const double vectors = w.vectors(w.rows), pairs = std::floor(vectors / 2);
  const double q = w.q / std::ceil(w.q / kernel.pixels);  // pixels of a tile
  // Sums of a tile hide the latency where they are eight; a lone vector loads as often as it
  // multiplies.
  const double product =
      w.p * w.q * w.depth * 0.5 *
      (2 * pairs * std::max(1.0, 4 / q) + (vectors - 2 * pairs) * std::max(1 + 1 / q, 8 / q));
  // Filters are turned, or come as they are from where a network has left them: beyond the caches.
  const double filters = w.rows * w.depth / w.lanes / static_cast<double>(p.n);
  const double turned = prepared ? 7 : w.input ? 22 : 13.7;
  return w.times * ((w.input ? 1.05 : 0.98) * product + 4 * w.filled +
                    6.4 * w.results(w.p * w.q * vectors, 1.5) + turned * filters) +
         300;
}

}  // namespace fastconv
