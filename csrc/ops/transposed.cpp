// The input gradient of pointwise convolutions with few pixels, as the transposed product: pixels
// are the rows of the tile, input channels its lanes, so that the weights (K, C), which are most of
// the data, are read as they lie, once. The gradient goes in transposed, and the result comes back
// so.
#include <algorithm>

#include "memory.h"
#include "parallel.h"
#include "rows.h"

namespace fastconv {
namespace {

constexpr int64_t kDepth = 512;  // output channels of one sum, as in the im2col rows
constexpr int64_t kTurn = 128;   // channels that are transposed at a time
constexpr int64_t kMostPixels = 512;

bool supports(const ConvProblem& p) {
  return p.taps() == 1 && p.unit_stride() && !p.padded() && p.n * p.out_plane() <= kMostPixels;
}

template <class T>
struct Sizes {
  int64_t pixels, pitch, nr;
  size_t tables, gradient, result, panel;

  explicit Sizes(const ConvProblem& p)
      : pixels(p.n * p.out_plane()),
        // One line more than the channels: rows a multiple of 4 KB apart evict each other.
        pitch(p.kg() + 64 / static_cast<int64_t>(sizeof(T))),
        nr(of_type<T>(*kernels().gemm).nr),
        tables(Carver::bytes<ptrdiff_t>(kDepth)),
        gradient(Carver::bytes<T>(p.groups * pixels * pitch)),
        result(Carver::bytes<T>(p.groups * pixels * p.cg())),
        panel(Carver::bytes<T>((2 * kDepth + 1) * nr)) {}
  size_t all(int threads) const {
    return 3 * tables + gradient + result + static_cast<size_t>(threads) * panel;
  }
};

template <class T>
void run(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  const auto& gemm = of_type<T>(*kernels().gemm);
  const Sizes<T> s(p);
  const int64_t plane = p.out_plane(), kg = p.kg(), cg = p.cg();
  Carver carver(call.scratch);
  ptrdiff_t* const count = carver.take<ptrdiff_t>(kDepth);
  ptrdiff_t* const weight = carver.take<ptrdiff_t>(kDepth);
  ptrdiff_t* const packed = carver.take<ptrdiff_t>(kDepth);
  T* const gradient = carver.take<T>(p.groups * s.pixels * s.pitch);  // [group][pixel][output]
  T* const result = carver.take<T>(p.groups * s.pixels * cg);         // [group][pixel][input]
  char* const panels = carver.take<char>(0);
  for (int64_t k = 0; k < kDepth; ++k) {
    count[k] = k;
    weight[k] = k * cg;
    packed[k] = k * s.nr;
  }

  const int64_t turns = ceil_div(kg, kTurn);
  parallel_for(p.n * p.groups * turns, call.threads, [&](int64_t index, int) {
    const int64_t k = index % turns * kTurn, group = index / turns % p.groups;
    const int64_t n = index / turns / p.groups;
    gemm.transpose(call.grad + ((n * p.groups + group) * kg + k) * plane, plane,
                   std::min(kTurn, kg - k), plane,
                   gradient + (group * s.pixels + n * plane) * s.pitch + k, s.pitch);
  });

  const int64_t parts = std::min<int64_t>(ceil_div(cg, s.nr), 3 * call.threads);
  parallel_for(p.groups * parts, call.threads, [&](int64_t index, int thread) {
    const int64_t group = index / parts, part = index % parts, subs = ceil_div(cg, s.nr);
    const int64_t c0 = subs * part / parts * s.nr;
    const int64_t c1 = std::min(cg, subs * (part + 1) / parts * s.nr);
    GemmBlock<T> g{};
    g.a_row = s.pitch;
    g.a_off = count;
    g.a_contiguous = true;
    g.b_off = packed;
    g.source_off = weight;
    g.panel = reinterpret_cast<T*>(panels + static_cast<size_t>(thread) * s.panel);
    g.panels = 1;
    g.c = result + group * s.pixels * cg + c0;
    g.c_row = cg;
    g.rows = s.pixels;
    g.lanes = c1 - c0;
    for (int64_t k = 0; k < kg; k += kDepth) {
      g.a = gradient + group * s.pixels * s.pitch + k;
      g.source = call.weight + (group * kg + k) * cg + c0;
      g.depth = std::min(kDepth, kg - k);
      g.accumulate = k > 0;
      gemm.block(g);
    }
  });

  const int64_t returns = ceil_div(cg, kTurn);
  parallel_for(p.n * p.groups * returns, call.threads, [&](int64_t index, int) {
    const int64_t c = index % returns * kTurn, group = index / returns % p.groups;
    const int64_t n = index / returns / p.groups;
    gemm.transpose(result + (group * s.pixels + n * plane) * cg + c, cg, plane,
                   std::min(kTurn, cg - c), call.result + ((n * p.groups + group) * cg + c) * plane,
                   plane);
  });
}

size_t workspace(const ConvProblem& p, size_t item, int threads, bool) {
  return item == 4 ? Sizes<float>(p).all(threads) : Sizes<double>(p).all(threads);
}

// The product, packing, and two transposes.
double cost(const ConvProblem& p, size_t item, bool) {
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  const double pixels = static_cast<double>(p.n * p.out_plane());
  const double kg = static_cast<double>(p.kg()), cg = static_cast<double>(p.cg());
  const double vectors = static_cast<double>(ceil_div(p.cg(), static_cast<int64_t>(lanes)));
  // Of an element: small where some pixels fill vectors and all of it stays in the caches.
  const int64_t plane = p.out_plane();
  const double turned = plane == 1 ? 5 : plane <= 128 ? 0.25 : 2.2;
  return static_cast<double>(p.groups) *
         (pixels * kg * vectors * 0.42 + kg * vectors * 7 + (kg + cg) * pixels * turned);
}

size_t nothing(const ConvProblem&, size_t) {
  return 0;
}

}  // namespace

const Algorithm kTransposedInput = {"transposed",
                                    Direction::input,
                                    "few pixels: a product whose lanes are channels",
                                    supports,
                                    cost,
                                    workspace,
                                    nothing,
                                    {run<float>, nullptr},
                                    {run<double>, nullptr}};

}  // namespace fastconv
