#include "peak.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

#include "../isa.h"

namespace fastconv {
namespace {

template <class T>
double measure() {
  using Clock = std::chrono::steady_clock;
  const auto& gemm = of_type<T>(*kernels().gemm);
  constexpr int kDepth = 128;
  std::vector<T> a(gemm.mr * kDepth, T(1)), b(kDepth * gemm.nr, T(1)), c(gemm.mr * gemm.nr);
  std::vector<ptrdiff_t> a_off(kDepth), b_off(kDepth);
  for (int k = 0; k < kDepth; ++k) {
    a_off[k] = k;
    b_off[k] = k * gemm.nr;
  }
  GemmBlock<T> g{};
  g.a = a.data();
  g.a_row = kDepth;
  g.a_off = a_off.data();
  g.a_contiguous = true;
  g.b = b.data();
  g.b_panel = kDepth * gemm.nr;
  g.b_off = b_off.data();
  g.c = c.data();
  g.c_row = gemm.nr;
  g.rows = gemm.mr;
  g.lanes = gemm.nr;
  g.depth = kDepth;
  g.lo = -std::numeric_limits<T>::infinity();
  g.hi = std::numeric_limits<T>::infinity();
  const double flops = 2.0 * gemm.mr * gemm.nr * kDepth;
  double best = 0;
  // The best of short samples: a sample that another process interrupted says nothing.
  for (int sample = 0; sample < 40; ++sample) {
    constexpr int kRuns = 100;
    const auto start = Clock::now();
    for (int i = 0; i < kRuns; ++i) gemm.block(g);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, flops * kRuns / seconds);
  }
  return best;
}

}  // namespace

double measure_peak(size_t item) {
  return item == 4 ? measure<float>() : measure<double>();
}

}  // namespace fastconv
