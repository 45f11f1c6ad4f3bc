// The Winograd rows of the registry: when they apply, what they cost, and what happens to results
// that are not finite.
#include <cmath>

#include "accuracy.h"
#include "memory.h"
#include "rows.h"
#include "winograd.h"

namespace fastconv {
namespace {

using winograd::Correlation;
using winograd::lower;

const Algorithm& plain(Direction direction) {
  return direction == Direction::forward ? kIm2colForward : kIm2colInput;
}

template <class T, int M, Direction D>
void run(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  if (p.n == 0) return;
  constexpr bool forward = D == Direction::forward;
  Correlation<T> g = lower<T>(p, D);
  g.src = forward ? call.input : call.grad;
  g.dst = call.result;
  g.w = call.weight;
  g.bias = call.bias;
  g.residual = call.residual;
  clamp_range(call.activation, &g.lo, &g.hi);
  Carver carver(call.scratch);
  auto* not_finite = carver.take<unsigned char>(p.n);
  std::fill_n(not_finite, p.n, 0);
  char* const rest = carver.take<char>(0);
  winograd::correlate<T, M>(g, call.prepared, rest, call.threads, not_finite);
  winograd::recompute(call, D, not_finite, 1, rest);
}

template <class T, int M, Direction D>
void prepare(const ConvProblem& p, const T* weight, void* prepared, int threads) {
  Correlation<T> g = lower<T>(p, D);
  g.w = weight;
  winograd::prepare_filters<T, M>(g, prepared, threads);
}

template <int M, Direction D>
size_t prepared_bytes(const ConvProblem& p, size_t item) {
  return item == 4 ? winograd::filters_bytes(lower<float>(p, D), M)
                   : winograd::filters_bytes(lower<double>(p, D), winograd::kOfDoubles);
}

template <int M, Direction D>
size_t workspace(const ConvProblem& p, size_t item, int threads, bool prepared) {
  ConvProblem one = p;
  one.n = std::min<int64_t>(p.n, 1);
  const size_t own = item == 4 ? winograd::correlate_bytes(lower<float>(p, D), M, threads, prepared)
                               : winograd::correlate_bytes(lower<double>(p, D),
                                                           winograd::kOfDoubles, threads, prepared);
  return Carver::bytes<char>(p.n) + Carver::bytes<char>(0) +
         std::max(own, plain(D).workspace(one, item, threads, false));
}

// Bytes, measured on a share of a large third level.
constexpr double kManyFilters = 4 << 20, kNearFilters = 28 << 20;

template <int M, Direction D>
double cost(const ConvProblem& p, size_t item, bool prepared) {
  // In double precision the transforms of F(4) cost more accuracy than they save time.
  if (M == 4 && (item == 8 || high_accuracy())) return 1e18;
  const Correlation<float> g = lower<float>(p, D);
  const auto& k = kernels().winograd->f32;
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  const double points = (M + 2) * (M + 2);
  const winograd::Tiles t(M, g.images, g.out_h, g.out_w);
  const double tiles = static_cast<double>(t.count());
  const double channels = static_cast<double>(g.window.depth());  // of all parts of a window
  const double in_vectors = std::ceil(channels / lanes);
  const double out_vectors = std::ceil(static_cast<double>(g.rows) / lanes);
  // Vectors of pixels that the transposes handle, per row of tiles.
  const double run = static_cast<double>(std::min<int64_t>(t.across, (k.run - 2) / M));
  const double waste = std::ceil((run * M + 2) / lanes) * lanes / (run * M);
  const double input = in_vectors * tiles * points * (2 + 2.5 * waste);
  const double output = out_vectors * tiles * points * 4.5;
  const double filters = prepared
                             ? 0
                             : channels * out_vectors *
                                   (points * (M == 4 ? 8 : 6) + (g.window.plain() ? 0 : 9 * lanes));
  // Few tiles: fetching the filters, not the arithmetic, takes the time. Few channels: storing
  // does.
  // Prepared filters come from the third level or from memory, and there from where no other layer
  // of a network has left them in the caches. Those of few channels are through before the next
  // ones have arrived.
  const double bytes = channels * out_vectors * points * kernels().vector_bytes;
  const double all = bytes * static_cast<double>(p.groups);
  const double fetch = !prepared                                                     ? 2
                       : all >= kNearFilters                                         ? 17
                       : all >= kManyFilters || (out_vectors <= 2 && channels >= 64) ? 12.5
                                                                                     : 8;
  const double sums = channels * std::max(tiles * (g.window.small() ? 0.65 : 0.54), fetch) +
                      tiles * (channels < 32 ? 5 : 2.5);
  const double product = points * out_vectors * sums;
  const double group = p.groups > 1 && M == 4 ? 4000 : 0;
  const double far = g.window.plain() ? 0 : winograd::far_points(points, channels, tiles, item);
  return static_cast<double>(p.groups) * (far + input + output + filters + product + group) + 2000;
}

template <int M, Direction D>
constexpr Algorithm row(const char* name, const char* summary) {
  return {name,
          D,
          summary,
          winograd::supports,
          cost<M, D>,
          workspace<M, D>,
          prepared_bytes<M, D>,
          {run<float, M, D>, prepare<float, M, D>},
          {run<double, winograd::kOfDoubles, D>, prepare<double, winograd::kOfDoubles, D>}};
}

}  // namespace

namespace winograd {

template <class T>
void recompute(const ConvCall<T>& call, Direction direction, const unsigned char* not_finite,
               int64_t flags, char* scratch) {
  const ConvProblem& p = *call.p;
  const bool forward = direction == Direction::forward;
  ConvProblem one = p;
  one.n = 1;
  ConvCall<T> again = call;
  again.p = &one;
  again.prepared = nullptr;
  again.scratch = scratch;
  const ptrdiff_t in = p.c * p.in_plane(), out = p.k * p.out_plane();
  for (int64_t n = 0; n < p.n; ++n) {
    const unsigned char* of_image = not_finite + n * flags;
    if (std::all_of(of_image, of_image + flags, [](unsigned char f) { return f == 0; })) continue;
    if (forward) {
      again.input = call.input + n * in;
      again.residual = call.residual ? call.residual + n * out : nullptr;
    } else {
      again.grad = call.grad + n * out;
    }
    again.result = call.result + n * (forward ? out : in);
    plain(direction).runner<T>().run(again);
  }
}

template void recompute(const ConvCall<float>&, Direction, const unsigned char*, int64_t, char*);
template void recompute(const ConvCall<double>&, Direction, const unsigned char*, int64_t, char*);

}  // namespace winograd

const Algorithm kWinogradForward =
    row<4, Direction::forward>("winograd", "F(4x4, 3x3): a quarter of the multiplications");
const Algorithm kWinogradInput =
    row<4, Direction::input>("winograd", "F(4x4, 3x3) of the gradient with the filters turned");
const Algorithm kWinograd2Forward =
    row<2, Direction::forward>("winograd2", "F(2x2, 3x3): less than half the multiplications");
const Algorithm kWinograd2Input =
    row<2, Direction::input>("winograd2", "F(2x2, 3x3) of the gradient with the filters turned");

}  // namespace fastconv
