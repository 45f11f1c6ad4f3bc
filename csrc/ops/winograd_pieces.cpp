// Convolutions with larger, dilated or strided windows by Winograd's 3 x 3: see winograd_pieces.h.
#include "winograd_pieces.h"

#include <algorithm>
#include <vector>

#include "../isa.h"
#include "parallel.h"

namespace fastconv {
namespace winograd {
namespace {

constexpr int64_t kMostStep = 16;

PieceAxis forward_axis(const ConvProblem& p, int i) {
  const int64_t s = p.stride[i], d = p.dil[i], taps = p.ker[i];
  PieceAxis a{};
  a.apart = d > 1;
  a.step = a.phases = s * d;
  a.origin = -p.pad_lo[i];
  a.pieces = a.apart ? ceil_div(taps, 3) : taps / (3 * s) * s + std::min(s, taps % (3 * s));
  a.ways = d;
  a.from = p.in[i];
  a.to = p.out[i];
  a.w_block = 3 * s;
  a.w_phase = !a.apart;
  a.w_tap = s;
  return a;
}

// x[s X + e] takes w[e + pad - s j] * grad[X + j]; dilated, every phase reads phases of the
// gradient.
PieceAxis input_axis(const ConvProblem& p, int i) {
  const int64_t s = p.stride[i], d = p.dil[i], last = (p.ker[i] - 1) * d, pad = p.pad_lo[i];
  PieceAxis a{};
  a.apart = d > 1;
  a.step = a.phases = d;
  a.ways = s * d;
  a.from = p.out[i];
  a.to = p.in[i];
  a.w_tap = -s;
  a.w_block = -3 * s;
  if (s == 1) {
    a.origin = pad - last;
    a.w_first = p.ker[i] - 1;
    a.pieces = ceil_div(p.ker[i], 3);
  } else {
    a.origin = pad >= last ? ceil_div(pad - last, s) : -((last - pad) / s);
    a.w_first = pad - a.origin * s;
    a.w_way = 1;
    a.pieces = ceil_div((s - 1 + pad) / s - a.origin + 1, 3);
  }
  return a;
}

}  // namespace

Pieces in_pieces(const ConvProblem& p, bool input_gradient) {
  Pieces m;
  m.channels = input_gradient ? p.kg() : p.cg();
  m.rows = input_gradient ? p.cg() : p.kg();
  for (int i = 1; i < 3; ++i) {
    PieceAxis& a = i == 1 ? m.y : m.x;
    a = input_gradient ? input_axis(p, i) : forward_axis(p, i);
    a.out = ceil_div(a.to, a.ways);
    a.in = a.out + 2;
    m.q.in[i] = a.in;
    m.q.out[i] = a.out;
    m.q.ker[i] = 3;
  }
  m.q.n = p.n * m.images();
  m.q.groups = p.groups;
  m.q.c = p.groups * m.channels * m.pieces();
  m.q.k = p.groups * m.rows * m.ways();
  m.as_it_lies = p.ker[1] == 3 && p.ker[2] == 3 && m.pieces() == 1 && m.ways() == 1;
  return m;
}

bool takes_pieces(const ConvProblem& p) {
  if (p.rank != 2 || p.cg() < 4 || p.kg() < 4 || p.taps() < 9) return false;
  for (int i = 1; i < 3; ++i) {
    if ((p.stride[i] > 1 && p.dil[i] > 1) || p.stride[i] * p.dil[i] > kMostStep) return false;
  }
  return !(p.unit_stride() && p.unit_dilation()) &&
         3 * forward_axis(p, 1).pieces * forward_axis(p, 2).pieces <= p.taps();
}

template <class T>
void take_apart(const Pieces& m, const T* planes, T* to, int threads) {
  const PieceAxis &y = m.y, &x = m.x;
  const int64_t all = m.q.groups * m.channels, plane = y.in * x.in;
  const int64_t image = m.q.c * plane;  // of q
  parallel_for(m.q.n / m.images() * all, threads, [&](int64_t index, int) {
    const int64_t n = index / all, channel = index % all;
    T* const at = to + n * m.images() * image + channel * m.pieces() * plane;
    StripRows<T> s{};
    s.src_row = y.step * x.from;
    s.len = x.from;
    s.step = x.step;
    s.dst_row = x.in;
    s.dst_phase = x.apart ? image : plane;
    s.planes = 1;
    s.count = x.in;
    for (int64_t i = 0; i < y.blocks() * y.phases; ++i) {
      const int64_t b = i / y.phases, a = i % y.phases;
      if (!y.apart && i >= y.pieces) break;
      // Rows [lo, hi) of the piece are row `first` of the plane and every step-th after it, inside.
      const int64_t first = y.origin + 3 * b * y.step + a;
      const int64_t lo = first < 0 ? std::min(ceil_div(-first, y.step), y.in) : 0;
      const int64_t end = y.from > first ? ceil_div(y.from - first, y.step) : 0;
      const int64_t hi = std::max(lo, std::min(end, y.in));
      s.src = planes + index * y.from * x.from + (first + lo * y.step) * x.from;
      s.above = lo;
      s.rows = hi - lo;
      s.below = y.in - hi;
      T* const row =
          at + (y.apart ? a * x.images() * image + b * x.pieces * plane : i * x.pieces * plane);
      for (int64_t c = 0; c < x.blocks(); ++c) {
        s.first = x.origin + 3 * c * x.step;
        const int64_t wanted = x.apart ? x.phases : std::min(x.phases, x.pieces - c * x.phases);
        s.phases = (uint64_t{1} << wanted) - 1;
        s.dst = row + (x.apart ? c : c * x.phases) * plane;
        of_type<T>(*kernels().gemm).fill_rows(s);
      }
    }
  });
}

template <class T>
void put_together(const Pieces& m, const T* phases, const T* residual, T lo, T hi, T* planes,
                  int threads) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  const PieceAxis &y = m.y, &x = m.x;
  const int64_t all = m.q.groups * m.rows, plane = y.out * x.out, image = m.q.k * plane;
  const ptrdiff_t y_way = y.apart ? x.images() * image : x.row_ways() * plane;
  const ptrdiff_t x_way = x.apart ? image : plane;
  parallel_for(m.q.n / m.images() * all, threads, [&](int64_t index, int) {
    const T* from = phases + index / all * m.images() * image + index % all * m.ways() * plane;
    for (int64_t h = 0; h < y.to; ++h) {
      const T* row = from + h % y.ways * y_way + h / y.ways * x.out;
      const ptrdiff_t to = (index * y.to + h) * x.to;
      const T* add = residual ? residual + to : nullptr;
      if (x.ways > 1 && x.ways <= kMostWoven) {
        const T* columns[kMostWoven];
        for (int64_t w = 0; w < x.ways; ++w) columns[w] = row + w * x_way;
        gemm.weave(columns, static_cast<int>(x.ways), add, x.to, lo, hi, planes + to);
        continue;
      }
      for (int64_t w = 0; w < x.ways && w < x.to; ++w) {
        gemm.spread(row + w * x_way, x.ways, add ? add + w : nullptr, ceil_div(x.to - w, x.ways),
                    lo, hi, planes + to + w);
      }
    }
  });
}

namespace {

// For every tap of the pieces of one channel, [way][piece][tap], the tap of its kernel, or -1.
std::vector<int> tap_table(const ConvProblem& p, const Pieces& m) {
  std::vector<int> table;
  table.reserve(m.ways() * m.pieces() * 9);
  const auto tap = [](const PieceAxis& a, int64_t way, int64_t piece, int64_t t) {
    const int64_t per = a.channel_phases();
    return a.w_first + piece / per * a.w_block + piece % per * a.w_phase + t * a.w_tap +
           way * a.w_way;
  };
  const auto each = [&](int64_t ey, int64_t ex, int64_t iy, int64_t ix, int64_t t) {
    const int64_t r = tap(m.y, ey, iy, t / 3), s = tap(m.x, ex, ix, t % 3);
    const bool inside = r >= 0 && r < p.ker[1] && s >= 0 && s < p.ker[2];
    table.push_back(inside ? static_cast<int>(r * p.ker[2] + s) : -1);
  };
  for (int64_t e = 0; e < m.ways(); ++e) {
    for (int64_t i = 0; i < m.pieces(); ++i) {
      for (int64_t t = 0; t < 9; ++t) {
        each(e / m.x.row_ways(), e % m.x.row_ways(), i / m.x.pieces, i % m.x.pieces, t);
      }
    }
  }
  return table;
}

// use(kernel of p, kernels of q, table) for every way of every (result, source) pair of channels.
template <class Use>
void each_kernel(const ConvProblem& p, const Pieces& m, bool input_gradient, int threads,
                 const Use& use) {
  const std::vector<int> table = tap_table(p, m);
  const int64_t size = m.pieces() * 9, ways = m.ways();
  parallel_for(p.groups * m.rows, threads, [&](int64_t index, int) {
    const int64_t group = index / m.rows, row = index % m.rows;
    for (int64_t e = 0; e < ways; ++e) {
      for (int64_t c = 0; c < m.channels; ++c) {
        const int64_t pair =
            input_gradient ? (group * m.channels + c) * m.rows + row : index * m.channels + c;
        use(pair * p.taps(), ((index * ways + e) * m.channels + c) * size, size,
            table.data() + e * size);
      }
    }
  });
}

}  // namespace

template <class T>
void take_weight(const ConvProblem& p, const Pieces& m, bool input_gradient, const T* w, T* to,
                 int threads) {
  each_kernel(p, m, input_gradient, threads,
              [&](int64_t kernel, int64_t at, int64_t size, const int* table) {
                for (int64_t i = 0; i < size; ++i) {
                  to[at + i] = table[i] < 0 ? T(0) : w[kernel + table[i]];
                }
              });
}

template <class T>
void put_weight(const ConvProblem& p, const Pieces& m, const T* from, T* dw, int threads) {
  each_kernel(p, m, false, threads,
              [&](int64_t kernel, int64_t at, int64_t size, const int* table) {
                for (int64_t i = 0; i < size; ++i) {
                  if (table[i] >= 0) dw[kernel + table[i]] = from[at + i];
                }
              });
}

#define FASTCONV_PIECES(T)                                                                  \
  template void take_apart<T>(const Pieces&, const T*, T*, int);                            \
  template void put_together<T>(const Pieces&, const T*, const T*, T, T, T*, int);          \
  template void take_weight<T>(const ConvProblem&, const Pieces&, bool, const T*, T*, int); \
  template void put_weight<T>(const ConvProblem&, const Pieces&, const T*, T*, int);
FASTCONV_PIECES(float)
FASTCONV_PIECES(double)
#undef FASTCONV_PIECES

}  // namespace winograd
}  // namespace fastconv
