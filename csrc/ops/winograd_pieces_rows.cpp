// The rows of convolutions by pieces: see winograd_pieces.h.
#include <algorithm>

#include "memory.h"
#include "rows.h"
#include "winograd.h"
#include "winograd_pieces.h"

namespace fastconv {
namespace winograd {
namespace {

template <class T>
Correlation<T> correlation(const ConvProblem& p, const Pieces& m, bool input_gradient, const T* w) {
  Correlation<T> g = lower<T>(m.q, Direction::forward);
  g.w = w;
  if (m.as_it_lies && input_gradient) {
    g.w_lane = 9;
    g.w_depth = p.cg() * 9;
    g.rotate = true;
  }
  return g;
}

template <class T>
size_t weight_bytes(const Pieces& m) {
  return m.as_it_lies ? 0 : Carver::bytes<T>(m.q.k * m.q.c / m.q.groups * 9);
}
template <class T>
size_t source_bytes(const Pieces& m) {
  return Carver::bytes<T>(m.q.n * m.q.c * m.q.in_plane());
}
template <class T>
size_t result_bytes(const Pieces& m) {
  return Carver::bytes<T>(m.q.n * m.q.k * m.q.out_plane());
}

template <class T>
void correlate_pieces(const ConvCall<T>& call, bool forward, int tile) {
  const ConvProblem& p = *call.p;
  if (p.n == 0) return;
  const Pieces m = in_pieces(p, !forward);
  T lo, hi;
  clamp_range(call.activation, &lo, &hi);
  Carver carver(call.scratch);
  auto* const not_finite = carver.take<unsigned char>(m.q.n);
  char* const rest = carver.take<char>(0);
  T* const source = carver.take<T>(m.q.n * m.q.c * m.q.in_plane());
  const T* w = call.weight;
  if (!m.as_it_lies && !call.prepared) {
    T* const turned = carver.take<T>(m.q.k * m.q.c / m.q.groups * 9);
    take_weight(p, m, !forward, call.weight, turned, call.threads);
    w = turned;
  }
  T* const phases = m.woven() ? carver.take<T>(m.q.n * m.q.k * m.q.out_plane()) : nullptr;
  take_apart(m, forward ? call.input : call.grad, source, call.threads);
  Correlation<T> g = correlation(p, m, !forward, w);
  g.src = source;
  g.dst = m.woven() ? phases : call.result;
  g.bias = call.bias;
  if (!m.woven()) {
    g.residual = call.residual;
    g.lo = lo;
    g.hi = hi;
  }
  std::fill_n(not_finite, m.q.n, 0);
  const auto way = tile == 4 ? correlate<T, outputs_of(sizeof(T), 4)> : correlate<T, 2>;
  way(g, call.prepared, carver.take<char>(0), call.threads, not_finite);
  if (m.woven()) {
    put_together<T>(m, phases, call.residual, lo, hi, call.result, call.threads);
  }
  recompute(call, forward ? Direction::forward : Direction::input, not_finite, m.images(), rest);
}

template <class T>
void weight_of_pieces(const ConvCall<T>& call, int tile) {
  const ConvProblem& p = *call.p;
  const Pieces m = in_pieces(p, false);
  Carver carver(call.scratch);
  T* const source = carver.take<T>(m.q.n * m.q.c * m.q.in_plane());
  take_apart(m, call.input, source, call.threads);
  ConvCall<T> lowered = call;
  lowered.p = &m.q;
  lowered.input = source;
  if (m.woven()) {
    // The output's gradient falls into the same phases.
    Pieces out = m;
    for (PieceAxis* a : {&out.y, &out.x}) {
      a->pieces = 1;
      a->origin = 0;
      a->step = a->phases = a->ways;
      a->from = a->to;
      a->in = a->out;
    }
    out.channels = m.rows;
    out.q.c = m.q.k;
    T* const grad = carver.take<T>(m.q.n * m.q.k * m.q.out_plane());
    take_apart(out, call.grad, grad, call.threads);
    lowered.grad = grad;
  }
  T* const parts = m.as_it_lies ? call.result : carver.take<T>(m.q.k * m.q.c / m.q.groups * 9);
  lowered.result = parts;
  lowered.scratch = carver.take<char>(0);
  const auto way = tile == 4 ? weight_gradient<T, outputs_of(sizeof(T), 4)> : weight_gradient<T, 2>;
  if (!way(lowered)) return kIm2colWeight.runner<T>().run(call);
  if (m.as_it_lies) return;
  put_weight(p, m, parts, call.result, call.threads);
}

template <class T, int M, Direction D>
void run(const ConvCall<T>& call) {
  if constexpr (D == Direction::weight) {
    weight_of_pieces(call, M);
  } else {
    correlate_pieces(call, D == Direction::forward, M);
  }
}

template <class T>
void prepare_pieces(const ConvProblem& p, bool input, int tile, const T* weight, void* prepared,
                    int threads) {
  const Pieces m = in_pieces(p, input);
  const Scratch scratch(weight_bytes<T>(m));
  if (!m.as_it_lies) {
    take_weight(p, m, input, weight, reinterpret_cast<T*>(scratch.data()), threads);
    weight = reinterpret_cast<const T*>(scratch.data());
  }
  const auto way = tile == 4 ? prepare_filters<T, outputs_of(sizeof(T), 4)> : prepare_filters<T, 2>;
  way(correlation(p, m, input, weight), prepared, threads);
}

template <class T, int M, Direction D>
void prepare(const ConvProblem& p, const T* weight, void* prepared, int threads) {
  prepare_pieces(p, D == Direction::input, M, weight, prepared, threads);
}

template <int M, Direction D>
size_t prepared_bytes(const ConvProblem& p, size_t item) {
  if (D == Direction::weight) return 0;
  const Pieces m = in_pieces(p, D == Direction::input);
  return item == 4 ? filters_bytes(lower<float>(m.q, Direction::forward), M)
                   : filters_bytes(lower<double>(m.q, Direction::forward), kOfDoubles);
}

template <class T>
size_t own_bytes(const Pieces& m, int tile, Direction d, int threads, bool prepared) {
  const size_t copies = source_bytes<T>(m) + (m.woven() ? result_bytes<T>(m) : 0) +
                        (prepared ? 0 : weight_bytes<T>(m)) + Carver::bytes<char>(0);
  return copies + (d == Direction::weight ? weight_gradient_bytes<T>(m.q, tile, threads)
                                          : correlate_bytes(lower<T>(m.q, Direction::forward), tile,
                                                            threads, prepared));
}

size_t pieces_bytes(const ConvProblem& p, int tile, Direction d, size_t item, int threads,
                    bool prepared) {
  const Pieces m = in_pieces(p, d == Direction::input);
  ConvProblem some = p;
  if (d != Direction::weight) some.n = std::min<int64_t>(p.n, 1);
  const Algorithm& plain = d == Direction::forward ? kIm2colForward
                           : d == Direction::input ? kIm2colInput
                                                   : kIm2colWeight;
  const size_t flags = Carver::bytes<char>(m.q.n) + Carver::bytes<char>(0);
  return flags + std::max(item == 4 ? own_bytes<float>(m, tile, d, threads, prepared)
                                    : own_bytes<double>(m, kOfDoubles, d, threads, prepared),
                          plain.workspace(some, item, threads, false));
}

template <int M, Direction D>
size_t workspace(const ConvProblem& p, size_t item, int threads, bool prepared) {
  return pieces_bytes(p, M, D, item, threads, prepared);
}

double pieces_cost(const ConvProblem& p, int tile, Direction d, size_t item, bool prepared) {
  const Pieces m = in_pieces(p, d == Direction::input);
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  // A few cycles a vector where elements are near, more than one an element beyond.
  const auto copied = [&](int64_t count, int64_t step) {
    return static_cast<double>(count) * (step > 2 ? 2.8 : step > 1 ? 1.4 : 10 / lanes);
  };
  double copies = copied(m.q.n * m.q.c * m.q.in_plane(), m.x.step);
  if (m.woven()) copies += copied(m.q.n * m.q.k * m.q.out_plane(), m.x.ways);
  if (!m.as_it_lies && !prepared) {
    copies += 1.5 * static_cast<double>(m.q.k * m.q.c / m.q.groups * 9);
  }
  copies +=
      static_cast<double>(p.groups) *
      far_points((tile + 2) * (tile + 2), static_cast<double>(m.channels * m.pieces()),
                 static_cast<double>(m.q.n * ceil_div(m.y.out, tile) * ceil_div(m.x.out, tile)),
                 item);
  const Algorithm& plain = d == Direction::weight
                               ? (tile == 4 ? kWinogradWeight : kWinograd2Weight)
                               : (tile == 4 ? kWinogradForward : kWinograd2Forward);
  return copies + plain.cost(m.q, item, prepared);
}

template <int M, Direction D>
double cost(const ConvProblem& p, size_t item, bool prepared) {
  return pieces_cost(p, M, D, item, prepared);
}

template <int M, Direction D>
constexpr Algorithm row(const char* name, const char* summary) {
  constexpr bool prepares = D != Direction::weight;
  return {name,
          D,
          summary,
          takes_pieces,
          cost<M, D>,
          workspace<M, D>,
          prepared_bytes<M, D>,
          {run<float, M, D>, prepares ? prepare<float, M, D> : nullptr},
          {run<double, kOfDoubles, D>, prepares ? prepare<double, kOfDoubles, D> : nullptr},
          D == Direction::weight};
}

template <int M>
constexpr Directions rows(const char* name, const char* summary) {
  return {row<M, Direction::forward>(name, summary), row<M, Direction::input>(name, summary),
          row<M, Direction::weight>(name, summary)};
}

}  // namespace
}  // namespace winograd

const Directions kPieces = winograd::rows<4>(
    "winograd_pieces", "F(4x4, 3x3) of pieces of large, dilated or strided windows");
const Directions kPieces2 = winograd::rows<2>(
    "winograd2_pieces", "F(2x2, 3x3) of pieces of large, dilated or strided windows");

}  // namespace fastconv
