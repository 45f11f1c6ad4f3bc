// 3-D convolution by 2-D Winograd. A slab of the output is a 2-D convolution of the slabs of the
// input that its window reaches, taken as channels: weights (K, C, T, 3, 3) are, as they lie,
// weights (K, C T, 3, 3). Slabs are copied into that order, and results back.
#include <algorithm>
#include <limits>

#include "parallel.h"
#include "winograd_lowered.h"

namespace fastconv {
namespace {

// The problem of the slabs, as a batch: [image][output slab], with channels [channel][depth tap].
ConvProblem slabs_of(const ConvProblem& p) {
  ConvProblem q = p;
  q.rank = 2;
  q.n = p.n * p.out[0];
  q.c = p.c * p.ker[0];
  q.in[0] = q.ker[0] = q.out[0] = q.stride[0] = q.dil[0] = 1;
  q.pad_lo[0] = q.pad_hi[0] = 0;
  return q;
}

// The slab of the input that output slab z reads at a depth tap; outside [0, D) it is zeros.
int64_t slab_at(const ConvProblem& p, int64_t z, int64_t tap) {
  return z * p.stride[0] + tap * p.dil[0] - p.pad_lo[0];
}

// use(plane of the slabs' channels, image, channel, output slab, depth tap), on all threads.
template <class Use>
void each_channel(const ConvProblem& p, int threads, const Use& use) {
  const int64_t taps = p.ker[0];
  parallel_for(p.n * p.out[0] * p.c, threads, [&](int64_t index, int) {
    const int64_t channel = index % p.c, z = index / p.c % p.out[0], n = index / p.c / p.out[0];
    for (int64_t t = 0; t < taps; ++t) use(index * taps + t, n, channel, z, t);
  });
}

template <class T>
void gather_input(const ConvProblem& p, const T* input, T* slabs, int threads) {
  const int64_t plane = p.in[1] * p.in[2];
  each_channel(p, threads, [&](int64_t to, int64_t n, int64_t channel, int64_t z, int64_t t) {
    const int64_t slab = slab_at(p, z, t);
    T* const dst = slabs + to * plane;
    if (slab < 0 || slab >= p.in[0]) {
      std::fill_n(dst, plane, T(0));
    } else {
      std::copy_n(input + ((n * p.c + channel) * p.in[0] + slab) * plane, plane, dst);
    }
  });
}

// The input's gradient: what every slab of the output has for it, added in order.
template <class T>
void add_input(const ConvProblem& p, const T* slabs, T* result, int threads) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  const int64_t plane = p.in[1] * p.in[2], depth = p.in[0];
  const T infinity = std::numeric_limits<T>::infinity();
  parallel_for(p.n * p.c * depth, threads, [&](int64_t index, int) {
    const int64_t slab = index % depth, channel = index / depth % p.c, n = index / depth / p.c;
    T* const dst = result + index * plane;
    bool first = true;
    for (int64_t t = 0; t < p.ker[0]; ++t) {
      const int64_t from = slab - t * p.dil[0] + p.pad_lo[0];
      if (from < 0 || from % p.stride[0] != 0 || from / p.stride[0] >= p.out[0]) continue;
      const int64_t z = from / p.stride[0];
      const T* src = slabs + (((n * p.out[0] + z) * p.c + channel) * p.ker[0] + t) * plane;
      gemm.spread(src, 1, first ? nullptr : dst, plane, -infinity, infinity, dst);
      first = false;
    }
    if (first) std::fill_n(dst, plane, T(0));
  });
}

// use(plane of the slabs, plane of the whole) for every output plane, on all threads.
template <class Use>
void each_output(const ConvProblem& p, int threads, const Use& use) {
  parallel_for(p.n * p.k * p.out[0], threads, [&](int64_t index, int) {
    const int64_t z = index % p.out[0], k = index / p.out[0] % p.k, n = index / p.out[0] / p.k;
    use((n * p.out[0] + z) * p.k + k, index);
  });
}

struct Slabs {
  static ConvProblem problem(const ConvProblem& p) { return slabs_of(p); }
  static bool supports(const ConvProblem& p) {
    return p.rank == 3 && winograd::supports(slabs_of(p));
  }
  // Copies go through memory beyond the caches.
  static double copy_cost(const ConvProblem&, double lanes) { return 10 / lanes; }
  template <class T>
  static void take_input(const ConvProblem& p, const ConvProblem&, const T* input, T* to,
                         int threads) {
    gather_input(p, input, to, threads);
  }
  template <class T>
  static void take_grad(const ConvProblem& p, const ConvProblem& q, const T* grad, T* to,
                        int threads) {
    const int64_t plane = q.out_plane();
    each_output(p, threads, [&](int64_t slab, int64_t from) {
      std::copy_n(grad + from * plane, plane, to + slab * plane);
    });
  }
  template <class T>
  static void put_output(const ConvProblem& p, const ConvProblem& q, const T* from,
                         const T* residual, T lo, T hi, T* result, int threads) {
    const auto& gemm = of_type<T>(*kernels().gemm);
    const int64_t plane = q.out_plane();
    each_output(p, threads, [&](int64_t slab, int64_t to) {
      const T* add = residual ? residual + to * plane : nullptr;
      gemm.spread(from + slab * plane, 1, add, plane, lo, hi, result + to * plane);
    });
  }
  template <class T>
  static void put_input(const ConvProblem& p, const ConvProblem&, const T* from, T* result,
                        int threads) {
    add_input(p, from, result, threads);
  }
};

}  // namespace

const Directions kSlabs = winograd::lowered_rows<Slabs, 4>(
    "winograd_slabs", "F(4x4, 3x3) of each slab, the slabs it reads as channels");
const Directions kSlabs2 = winograd::lowered_rows<Slabs, 2>(
    "winograd2_slabs", "F(2x2, 3x3) of each slab, the slabs it reads as channels");

}  // namespace fastconv
