// The broadcast rows: filters in the lanes of vectors, pixels broadcast. For strides, narrow rows
// and groups of some filters.
#include "broadcast_conv.h"
#include "rows.h"
#include "tap_cost.h"
#include "tap_lower.h"

namespace fastconv {
namespace {

bool supports(const ConvProblem& p) {
  return p.taps() <= kMostBroadcastTaps;
}

template <class T, Direction D>
TapConv<T> lower(const ConvProblem& p) {
  return D == Direction::forward ? lower_forward<T>(p) : lower_input<T>(p);
}

template <class T, Direction D>
void run(const ConvCall<T>& call) {
  TapConv<T> t = lower<T, D>(*call.p);
  t.src = D == Direction::forward ? call.input : call.grad;
  t.w = call.weight;
  t.dst = call.result;
  t.bias = call.bias;
  t.residual = call.residual;
  clamp_range(call.activation, &t.lo, &t.hi);
  broadcast_conv(t, call.prepared, call.scratch, call.threads);
}

template <class T, Direction D>
void prepare(const ConvProblem& p, const T* weight, void* prepared, int threads) {
  TapConv<T> t = lower<T, D>(p);
  t.w = weight;
  prepare_broadcast_filters(t, prepared, threads);
}

template <Direction D>
size_t prepared_bytes(const ConvProblem& p, size_t item) {
  return item == 4 ? broadcast_filter_bytes(lower<float, D>(p))
                   : broadcast_filter_bytes(lower<double, D>(p));
}

template <Direction D>
size_t workspace(const ConvProblem& p, size_t item, int threads, bool prepared) {
  return item == 4 ? broadcast_conv_bytes(lower<float, D>(p), threads, prepared)
                   : broadcast_conv_bytes(lower<double, D>(p), threads, prepared);
}

template <Direction D>
double cost(const ConvProblem& p, size_t item, bool prepared) {
  return broadcast_cost(p, D, item, prepared);
}

template <Direction D>
constexpr Algorithm row(const char* summary) {
  return {"broadcast",
          D,
          summary,
          supports,
          cost<D>,
          workspace<D>,
          prepared_bytes<D>,
          {run<float, D>, prepare<float, D>},
          {run<double, D>, prepare<double, D>}};
}

}  // namespace

const Algorithm kBroadcastForward =
    row<Direction::forward>("filters in the lanes of vectors, pixels broadcast");
const Algorithm kBroadcastInput =
    row<Direction::input>("channels in the lanes of vectors, pixels of the gradient broadcast");

}  // namespace fastconv
