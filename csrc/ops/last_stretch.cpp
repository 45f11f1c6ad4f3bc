#include "last_stretch.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "parallel.h"
#include "pool_phases.h"

namespace fastconv {
namespace {

using T = float;

// The place of each tap of an axis among the weights: for the gradient of the input those which an
// element meets lie side by side, in the order of the outputs.
std::vector<int64_t> places(const LastCall& call, int axis) {
  const ConvProblem& p = call.p;
  const int64_t count = p.ker[axis];
  std::vector<int64_t> place(static_cast<size_t>(count));
  std::iota(place.begin(), place.end(), 0);
  if (!call.input) return place;
  const int64_t step = p.stride[axis] / std::gcd(p.stride[axis], p.dil[axis]);
  int64_t next = 0;
  for (int64_t first = 0; first < std::min(step, count); ++first) {
    for (int64_t r = first + (count - 1 - first) / step * step; r >= first; r -= step) {
      place[static_cast<size_t>(r)] = next++;
    }
  }
  return place;
}

// The places of all taps.
std::vector<int64_t> places(const LastCall& call) {
  const std::vector<int64_t> columns = places(call, 2);
  std::vector<int64_t> all;
  for (const int64_t row : places(call, 1)) {
    for (const int64_t column : columns) {
      all.push_back(row * static_cast<int64_t>(columns.size()) + column);
    }
  }
  return all;
}

std::vector<Stretch> forward_stretches(const ConvProblem& p, int axis) {
  const int64_t d = p.dil[axis], in = p.in[axis], ker = p.ker[axis];
  std::vector<Stretch> all;
  for (int64_t o = 0; o < p.out[axis]; ++o) {
    const int64_t at = o * p.stride[axis] - p.pad_lo[axis];
    const int64_t first = at >= 0 ? 0 : std::min(ker, ceil_div(-at, d));
    const int64_t last = at >= in ? first : std::max(first, std::min(ker, ceil_div(in - at, d)));
    if (!all.empty() && all.back().place == first && all.back().taps == last - first) {
      ++all.back().count;
    } else {
      all.push_back({1, o, 1, at + first * d, p.stride[axis], last - first, d, first});
    }
  }
  return all;
}

std::vector<Stretch> input_stretches(const LastCall& call, int axis) {
  const ConvProblem& p = call.p;
  PoolWindows w;
  for (int i = 0; i < 3; ++i) {
    w.in[i] = p.in[i];
    w.ker[i] = p.ker[i];
    w.out[i] = p.out[i];
    w.stride[i] = p.stride[i];
    w.dil[i] = p.dil[i];
    w.pad_lo[i] = p.pad_lo[i];
    w.pad_hi[i] = p.pad_hi[i];
  }
  const std::vector<int64_t> place = places(call, axis);
  std::vector<Stretch> all;
  for (const PhaseRun& r : phase_runs(w, axis)) {
    const int64_t tap = (r.at + p.pad_lo[axis] - r.window * p.stride[axis]) / p.dil[axis];
    all.push_back({r.count, r.at, p.stride[axis], r.window, 1, r.taps, r.dil,
                   r.taps ? place[static_cast<size_t>(tap)] : 0});
  }
  return all;
}

}  // namespace

std::vector<Stretch> stretches(const LastCall& call, int axis) {
  return call.input ? input_stretches(call, axis) : forward_stretches(call.p, axis);
}

Bands::Bands(const LastCall& call, int64_t most) {
  const int64_t rows = call.out()[1];
  if (call.threads > 1) most = std::min(most, ceil_div(call.p.n * rows, 4 * call.threads));
  most_ = std::clamp<int64_t>(most, 1, rows);
  for (const Stretch& s : stretches(call, 1)) {
    for (int64_t i = 0; i < s.count; i += most_) {
      Stretch part = s;
      part.count = std::min(most_, s.count - i);
      part.to += i * s.to_step;
      part.from += i * s.from_step;
      bands_.push_back(part);
    }
  }
}

// ---- depthwise ----

// Weights [tap][channel], then the bias, then for each stretch of columns [row][its taps][channel].
LastSums::LastSums(const LastCall& call)
    : call_(call),
      columns_(stretches(call, 2)),
      bands_(call, call.out()[1]),
      line_(ceil_div(call.p.c, 16) * 16),
      listed_(Carver::bytes<ptrdiff_t>(static_cast<size_t>(call.p.taps()))),
      scratch_([&] {
        int64_t rows = call.p.taps() + 1;
        for (const Stretch& q : columns_) rows += call.p.ker[1] * q.taps;
        return Carver::bytes<T>(static_cast<size_t>(rows * line_)) +
               listed_ * static_cast<size_t>(call.threads);
      }()) {
  const ConvProblem& p = call.p;
  const int64_t taps = p.taps(), c = p.c;
  T* const all = reinterpret_cast<T*>(scratch_.data());
  kernels().gemm->f32.transpose(call.weight, taps, c, taps, all, line_);
  T* next = all + taps * line_;
  start_ = next;
  call.bias ? static_cast<void>(std::copy_n(call.bias, c, next))
            : static_cast<void>(std::fill_n(next, c, T(0)));
  next += line_;
  const std::vector<int64_t> rows = places(call, 1), along = places(call, 2);
  for (const Stretch& q : columns_) {
    weights_.push_back(next);
    for (int64_t r = 0; r < p.ker[1]; ++r) {
      for (int64_t s = 0; s < p.ker[2]; ++s) {
        const int64_t u = along[static_cast<size_t>(s)] - q.place;
        if (u < 0 || u >= q.taps) continue;
        T* to = next + (rows[static_cast<size_t>(r)] * q.taps + u) * line_;
        std::copy_n(all + (r * p.ker[2] + s) * line_, c, to);
      }
    }
    next += p.ker[1] * q.taps * line_;
  }
  lists_ = reinterpret_cast<char*>(next);
}

void LastSums::run(int64_t image, int64_t band, int thread) const {
  const LastCall& call = call_;
  const Stretch& h = bands_[band];
  const int64_t c = call.p.c, lanes = vector_lanes(), whole = c / lanes * lanes;
  const int64_t in_row = call.in()[2], out_row = call.out()[2];
  auto* tap_off = reinterpret_cast<ptrdiff_t*>(lists_ + static_cast<size_t>(thread) * listed_);
  LastSum g{};
  g.tap_off = tap_off;
  g.src_row = h.from_step * in_row * c;
  g.w_tap = line_;
  g.out_row = h.to_step * out_row * c;
  g.rows = h.count;
  g.lo = call.lo;
  g.hi = call.hi;
  for (size_t i = 0; i < columns_.size(); ++i) {
    const Stretch& q = columns_[i];
    g.taps = 0;
    for (int64_t t = 0; t < h.taps; ++t) {
      for (int64_t u = 0; u < q.taps; ++u) {
        tap_off[g.taps++] = (t * h.tap_step * in_row + u * q.tap_step) * c;
      }
    }
    g.src_step = q.from_step * c;
    g.out_step = q.to_step * c;
    g.width = q.count;
    const auto channels = [&](int64_t first, int64_t count) {
      g.src = call.from + ((image * call.in()[1] + h.from) * in_row + q.from) * c + first;
      g.w = weights_[i] + h.place * q.taps * line_ + first;
      g.bias = start_ + first;
      g.out = call.to + ((image * call.out()[1] + h.to) * out_row + q.to) * c + first;
      g.channels = count;
      kernels().last->sum(g);
    };
    channels(0, whole);
    if (whole < c) channels(c - lanes, lanes);  // some of them again
  }
}

// ---- all channels ----

namespace {

// Weights (K, C, R, S) of results [first, first + count) as panels [panel][place][depth][lane].
void pack(const LastCall& call, const std::vector<int64_t>& place, int64_t first, int64_t count,
          T* turned, T* to) {
  const ConvProblem& p = call.p;
  const auto transpose = kernels().gemm->f32.transpose;
  const int64_t nr = kernels().last->lanes, taps = p.taps(), depth = call.depth();
  const auto row = static_cast<size_t>(nr) * sizeof(T);
  for (int64_t j = first; j < first + count; j += nr, to += depth * taps * nr) {
    const int64_t some = std::min(nr, first + count - j);
    const bool straight = taps == 1 && !call.input;
    if (some < nr) std::fill_n(taps == 1 ? to : turned, depth * taps * nr, T(0));
    if (straight) {
      transpose(call.weight + j * depth, depth, some, depth, to, nr);
      continue;
    }
    // A picture's weights: all taps of each channel, or those of some channels for each output.
    const int64_t pieces = call.input ? depth : 1, each = call.input ? taps : depth * taps;
    for (int64_t k = 0; k < pieces; ++k) {
      const T* from = call.weight + (call.input ? (k * p.c + j) * taps : j * depth * taps);
      if (each == 1) {  // one row of the weights
        std::copy_n(from, some, to + k * nr);
        continue;
      }
      transpose(from, each, some, each, turned, nr);
      for (int64_t t = 0; t < taps; ++t) {
        T* const tap = to + place[static_cast<size_t>(t)] * depth * nr;
        for (int64_t c = 0; c < (call.input ? 1 : depth); ++c) {
          std::memcpy(tap + (call.input ? k : c) * nr, turned + (c * taps + t) * nr, row);
        }
      }
    }
  }
}

}  // namespace

void multiply_last(const LastCall& call) {
  const ConvProblem& p = call.p;
  const std::vector<Stretch> columns = stretches(call, 2);
  const std::vector<int64_t> place = places(call);
  const int64_t nr = kernels().last->lanes, lanes = vector_lanes(), c = call.depth(),
                k = call.channels(), depth = c * p.taps();
  const int64_t whole = k / lanes * lanes, panels = ceil_div(whole, nr) + 1;
  const int64_t in_row = call.in()[2], out_row = call.out()[2];
  // Rows of results at a time, so that what they read stays in the second-level cache.
  const auto row_bytes =
      static_cast<int64_t>(sizeof(T)) * (call.input ? 1 : p.stride[1]) * in_row * c;
  const Bands bands(call, static_cast<int64_t>(l2_bytes() / 4) / row_bytes);
  const size_t pixels = static_cast<size_t>(bands.most() * out_row);
  const size_t own = 2 * Carver::bytes<ptrdiff_t>(pixels) +
                     Carver::bytes<LastPiece>(static_cast<size_t>(p.taps()));
  const auto panel = static_cast<size_t>(depth * nr);
  const Scratch scratch(common_size(Carver::bytes<T>(static_cast<size_t>(panels) * panel) +
                                    Carver::bytes<T>(panel) +
                                    Carver::bytes<T>(static_cast<size_t>(panels * nr)) +
                                    own * static_cast<size_t>(call.threads)));
  Carver carver(scratch.data());
  T* const b = carver.take<T>(static_cast<size_t>(panels) * panel);
  T* const turned = carver.take<T>(panel);
  T* const start = carver.take<T>(static_cast<size_t>(panels * nr));
  char* const others = carver.take<char>(0);
  std::fill_n(start, panels * nr, T(0));
  if (call.bias) std::copy_n(call.bias, k, start);
  pack(call, place, 0, whole, turned, b);
  T* const last = b + (panels - 1) * depth * nr;  // the last results, some of them again
  if (whole < k) pack(call, place, k - lanes, lanes, turned, last);
  parallel_for(p.n * bands.count(), call.threads, [&](int64_t task, int thread) {
    Carver mine(others + static_cast<size_t>(thread) * own);
    auto* a_off = mine.take<ptrdiff_t>(pixels);
    auto* c_off = mine.take<ptrdiff_t>(pixels);
    auto* pieces = mine.take<LastPiece>(static_cast<size_t>(p.taps()));
    const int64_t n = task / bands.count();
    const Stretch& h = bands[task % bands.count()];
    for (const Stretch& q : columns) {
      LastProduct g{};
      g.a = call.from + ((n * call.in()[1] + h.from) * in_row + q.from) * c;
      g.a_off = a_off;
      g.c = call.to + ((n * call.out()[1] + h.to) * out_row + q.to) * k;
      g.c_off = c_off;
      for (int64_t i = 0; i < h.count; ++i) {
        for (int64_t j = 0; j < q.count; ++j) {
          a_off[g.rows] = (i * h.from_step * in_row + j * q.from_step) * c;
          c_off[g.rows++] = (i * h.to_step * out_row + j * q.to_step) * k;
        }
      }
      g.pieces = pieces;
      const bool merged = q.tap_step == 1;  // the taps of a row lie side by side
      g.depth = merged ? q.taps * c : c;
      for (int64_t r = 0; r < h.taps; ++r) {
        for (int64_t s = 0; s < (merged ? std::min<int64_t>(1, q.taps) : q.taps); ++s) {
          pieces[g.count++] = {(r * h.tap_step * in_row + s * q.tap_step) * c,
                               ((h.place + r) * p.ker[2] + q.place + s) * c};
        }
      }
      g.b = b;
      g.b_panel = depth * nr;
      g.bias = start;
      g.outputs = whole;
      g.lo = call.lo;
      g.hi = call.hi;
      kernels().last->product(g);
      if (whole == k) continue;
      g.b = last;
      g.bias = start + k - lanes;
      g.c += k - lanes;
      g.outputs = lanes;
      kernels().last->product(g);
    }
  });
}

}  // namespace fastconv
