// Windows along one axis by Winograd: see winograd_lines.h.
#include "winograd_line_arrays.h"

#include <algorithm>
#include <cmath>

#include "accuracy.h"
#include "memory.h"
#include "rows.h"

namespace fastconv {
namespace winograd {

namespace {

int axis_of(const ConvProblem& p) {
  return p.ker[0] > 1 ? 0 : p.ker[1] > 1 ? 1 : 2;
}

// Blocks whose points stay in the second-level cache, if each still is worth the weights.
Block largest_block(const Line& g, bool whole) {
  const int64_t channels = g.groups * (g.parts * g.channels + g.rows);
  const int64_t fits = static_cast<int64_t>(l2_bytes() / 4) / (24 * channels);
  const int64_t pixels = std::max<int64_t>(384, fits), tiles = ceil_div(g.out, Line::kStep);
  const auto some = [](int64_t n, int64_t fit) {
    if (n == 0) return int64_t{1};
    return ceil_div(n, ceil_div(n, std::max<int64_t>(1, std::min(n, fit))));
  };
  // A batch may be empty.
  Block b{0, std::max<int64_t>(1, g.images), 0, g.before, 0, g.out};
  if (whole) return b;
  b.images = some(g.images, pixels / (g.before * g.after * tiles));
  if (g.turned ? g.before >= 32 : tiles * g.after <= pixels) {
    const int64_t fit = pixels / (tiles * g.after);
    b.befores = some(g.before, g.turned ? std::max<int64_t>(16, fit) : fit);
  } else {
    if (!g.turned) b.befores = 1;
    const int64_t fit = pixels / (b.befores * g.after);
    b.ys = Line::kStep * some(tiles, g.turned ? std::max<int64_t>(128, fit) : fit);
  }
  return b;
}

}  // namespace

bool takes_line(const ConvProblem& p) {
  const int axis = axis_of(p);
  for (int i = 0; i < 3; ++i) {
    if (i != axis && (p.ker[i] > 1 || p.pad_lo[i] + p.pad_hi[i] != 0)) return false;
  }
  return p.taps() >= 3 && p.unit_stride() && p.dil[axis] == 1 && p.cg() >= 4 && p.kg() >= 4 &&
         p.in_plane() > 0;
}

Line line_of(const ConvProblem& p, bool input_gradient, bool whole) {
  const int axis = axis_of(p);
  Line g{};
  g.groups = p.groups;
  g.channels = input_gradient ? p.kg() : p.cg();
  g.rows = input_gradient ? p.cg() : p.kg();
  g.taps = p.ker[axis];
  g.parts = ceil_div(g.taps, 3);
  g.rotate = input_gradient;
  g.in = input_gradient ? p.out[axis] : p.in[axis];
  g.out = input_gradient ? p.in[axis] : p.out[axis];
  g.origin = input_gradient ? p.pad_lo[axis] - (g.taps - 1) : -p.pad_lo[axis];
  g.before = g.after = 1;
  for (int i = 0; i < 3; ++i) {
    if (i != axis) (i < axis ? g.before : g.after) *= p.in[i];
  }
  g.turned = axis == 2;
  g.images = p.n;
  g.most = largest_block(g, whole);
  g.tiles = ceil_div(g.most.ys, Line::kStep);
  g.segments = 1;
  if (g.turned && g.most.befores < 16 && g.tiles >= 32) {
    // Enough segments for whole vectors across.
    g.segments = ceil_div(16, g.most.befores) * (g.tiles >= 256 ? 2 : 1);
    g.tiles = ceil_div(g.tiles, g.segments);
  }
  return g.at(g.most);
}

int64_t Line::blocks() const {
  return ceil_div(images, most.images) * ceil_div(before, most.befores) * ceil_div(out, most.ys);
}

Block Line::block(int64_t index) const {
  Block b = most;
  const int64_t along = ceil_div(out, most.ys), across = ceil_div(before, most.befores);
  b.y = index % along * most.ys;
  b.before = index / along % across * most.befores;
  b.image = index / along / across * most.images;
  b.ys = std::min(most.ys, out - b.y);
  b.befores = std::min(most.befores, before - b.before);
  b.images = std::min(most.images, images - b.image);
  return b;
}

Line Line::at(const Block& b) const {
  Line g = *this;
  if (!turned) g.tiles = ceil_div(b.ys, kStep);
  g.outer = turned ? 1 : b.befores;
  g.inner = turned ? b.befores * segments : after;
  return g;
}

ConvProblem points_problem(const Line& g, int64_t images) {
  ConvProblem q;
  q.rank = 1;
  q.n = images;
  q.groups = Line::kPoints * g.groups;
  q.c = q.groups * g.parts * g.channels;
  q.k = q.groups * g.rows;
  q.in[2] = q.out[2] = g.pixels();
  return q;
}

namespace {

template <Direction D>
Line line_for(const ConvProblem& p) {
  return line_of(p, D == Direction::input, D == Direction::weight);
}

template <Direction D>
const Algorithm& product_row() {
  return D == Direction::weight ? kIm2colWeight : kIm2colForward;
}
template <Direction D>
const Algorithm& plain_row() {
  return D == Direction::forward ? kIm2colForward
         : D == Direction::input ? kIm2colInput
                                 : kIm2colWeight;
}

template <Direction D>
size_t own_bytes(const ConvProblem& p, int threads, bool prepared) {
  const Lines<float> lines(line_for<D>(p));
  const Line& g = lines.line();
  return (D != Direction::weight && prepared ? 0 : Carver::bytes<float>(lines.filters())) +
         Carver::bytes<float>(lines.points(g.parts * g.channels)) +
         Carver::bytes<float>(lines.points(g.rows)) + Carver::bytes<float>(threads * lines.own()) +
         product_row<D>().workspace(points_problem(g, g.most.images), sizeof(float), threads,
                                    false);
}

template <Direction D>
size_t workspace(const ConvProblem& p, size_t item, int threads, bool prepared) {
  ConvProblem some = p;
  if (D != Direction::weight && item == 4) some.n = std::min<int64_t>(p.n, 1);  // run again
  const size_t own = item == 4 ? own_bytes<D>(p, threads, prepared) : 0;
  return Carver::bytes<char>(p.n) + Carver::bytes<char>(0) +
         std::max(own, plain_row<D>().workspace(some, item, threads, false));
}

// Forward, and the input's gradient.
template <Direction D>
void run_correlation(const ConvCall<float>& call) {
  constexpr bool forward = D == Direction::forward;
  const ConvProblem& p = *call.p;
  if (p.n == 0) return;
  const Line g = line_for<D>(p);
  const Lines<float> largest(g);
  Carver carver(call.scratch);
  auto* const not_finite = carver.take<unsigned char>(p.n);
  char* const rest = carver.take<char>(0);
  const float* filters = static_cast<const float*>(call.prepared);
  float* const turned = filters ? nullptr : carver.take<float>(largest.filters());
  float* const v = carver.take<float>(largest.points(g.parts * g.channels));
  float* const m = carver.take<float>(largest.points(g.rows));
  float* const own = carver.take<float>(call.threads * largest.own());
  if (!filters) {
    largest.filters_to_points(call.weight, turned, own, call.threads);
    filters = turned;
  }
  std::fill_n(not_finite, p.n, 0);
  ConvCall<float> product;
  product.threads = call.threads;
  product.weight = filters;
  product.input = v;
  product.result = m;
  product.scratch = carver.take<char>(0);
  for (int64_t i = 0; i < g.blocks(); ++i) {
    const Block block = g.block(i);
    const Lines<float> lines(g, block);
    const ConvProblem q = points_problem(lines.line(), block.images);
    product.p = &q;
    lines.to_points(input_of(g), table<float>().lines.input, forward ? call.input : call.grad, v,
                    own, call.threads);
    product_row<D>().template runner<float>().run(product);
    lines.to_result(m, call, own, not_finite);
  }
  recompute(call, D, not_finite, 1, rest);
}

void run_weight(const ConvCall<float>& call) {
  const ConvProblem& p = *call.p;
  const Lines<float> lines(line_for<Direction::weight>(p));
  const Line& g = lines.line();
  if (p.n == 0) {
    std::fill_n(call.result, p.k * p.reduction(), float(0));
    return;
  }
  Carver carver(call.scratch);
  float* const sums = carver.take<float>(lines.filters());
  float* const v = carver.take<float>(lines.points(g.parts * g.channels));
  float* const grads = carver.take<float>(lines.points(g.rows));
  float* const own = carver.take<float>(call.threads * lines.own());
  lines.to_points(input_of(g), table<float>().lines.input, call.input, v, own, call.threads);
  lines.to_points(grad_of(g), table<float>().lines.grad, call.grad, grads, own, call.threads);
  const ConvProblem q = points_problem(g, p.n);
  ConvCall<float> product;
  product.p = &q;
  product.threads = call.threads;
  product.input = v;
  product.grad = grads;
  product.result = sums;
  product.scratch = carver.take<char>(0);
  kIm2colWeight.runner<float>().run(product);
  if (!lines.to_filters(sums, call.result, own, call.threads)) {
    kIm2colWeight.runner<float>().run(call);
  }
}

template <Direction D>
void run(const ConvCall<float>& call) {
  if constexpr (D == Direction::weight) {
    run_weight(call);
  } else {
    run_correlation<D>(call);
  }
}

// F(4) would cost doubles more accuracy than it saves time.
template <Direction D>
void run_doubles(const ConvCall<double>& call) {
  plain_row<D>().template runner<double>().run(call);
}

template <Direction D>
void prepare(const ConvProblem& p, const float* weight, void* prepared, int threads) {
  const Lines<float> lines(line_for<D>(p));
  const Scratch own(Carver::bytes<float>(threads * lines.own()));
  lines.filters_to_points(weight, static_cast<float*>(prepared),
                          reinterpret_cast<float*>(own.data()), threads);
}

template <Direction D>
size_t prepared_bytes(const ConvProblem& p, size_t item) {
  if (D == Direction::weight || item == 8) return 0;
  return item * static_cast<size_t>(Lines<float>(line_for<D>(p)).filters());
}

template <Direction D>
double cost(const ConvProblem& p, size_t item, bool prepared) {
  if (item == 8 || high_accuracy()) return 1e18;
  const Line g = line_for<D>(p);
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  const double blocks = static_cast<double>(g.blocks());
  const double rows = blocks * static_cast<double>(g.most.images * g.groups * g.outer * g.tiles);
  const double row = std::ceil(static_cast<double>(g.inner) / lanes) * 14 + 40;
  const double channels = static_cast<double>(g.channels), k = static_cast<double>(g.rows);
  const double points = rows * row * (channels * static_cast<double>(g.parts) + k);
  const double turned = g.turned
                            ? blocks * static_cast<double>(g.most.images * g.groups * g.pixels()) *
                                  4 * (channels + k) * 12 / lanes
                            : 0;
  // Filters are made where they are not yet, and come from beyond the second-level cache.
  const double pairs = static_cast<double>(g.groups * g.parts) * channels * k / lanes;
  const double filters = pairs * (D == Direction::weight ? 60 : prepared ? 24 : 120);
  return points + turned + filters + 2000 +
         blocks * product_row<D>().cost(points_problem(g, g.most.images), item, prepared);
}

template <Direction D>
constexpr Algorithm row(const char* name, const char* summary) {
  constexpr bool prepares = D != Direction::weight;
  return {name,
          D,
          summary,
          takes_line,
          cost<D>,
          workspace<D>,
          prepared_bytes<D>,
          {run<D>, prepares ? prepare<D> : nullptr},
          {run_doubles<D>, nullptr}};
}

constexpr const char* kName = "winograd_lines";
constexpr const char* kSummary = "F(4, 3) along the one axis of the window";

}  // namespace
}  // namespace winograd

const Directions kLines = {winograd::row<Direction::forward>(winograd::kName, winograd::kSummary),
                           winograd::row<Direction::input>(winograd::kName, winograd::kSummary),
                           winograd::row<Direction::weight>(winograd::kName, winograd::kSummary)};

}  // namespace fastconv
