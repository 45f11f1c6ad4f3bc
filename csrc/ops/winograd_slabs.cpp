// 3-D convolution by 2-D Winograd. A slab of the output is a 2-D convolution of the slabs of the
// input that its window reaches, taken as channels: weights (K, C, T, 3, 3) are, as they lie,
// weights (K, C T, 3, 3). Slabs are copied into that order, and results back.
#include <algorithm>
#include <limits>

#include "memory.h"
#include "parallel.h"
#include "rows.h"
#include "winograd.h"

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

bool supports(const ConvProblem& p) {
  return p.rank == 3 && winograd::supports(slabs_of(p));
}

// Elements of the slabs' inputs, and of their outputs.
size_t input_count(const ConvProblem& q) {
  return static_cast<size_t>(q.n * q.c * q.in_plane());
}
size_t output_count(const ConvProblem& q) {
  return static_cast<size_t>(q.n * q.k * q.out_plane());
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

template <int M, Direction D>
const Algorithm& inner() {
  if constexpr (D == Direction::forward) {
    return M == 4 ? kWinogradForward : kWinograd2Forward;
  } else if constexpr (D == Direction::input) {
    return M == 4 ? kWinogradInput : kWinograd2Input;
  } else {
    return M == 4 ? kWinogradWeight : kWinograd2Weight;
  }
}

template <class T, int M, Direction D>
void run(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  const ConvProblem q = slabs_of(p);
  const int64_t plane = p.out[1] * p.out[2];
  Carver carver(call.scratch);
  T* const input = carver.take<T>(input_count(q));
  T* const output = carver.take<T>(output_count(q));
  ConvCall<T> slabs = call;
  slabs.p = &q;
  slabs.input = input;
  slabs.grad = output;
  slabs.residual = nullptr;
  slabs.activation = Activation::none;
  slabs.scratch = carver.take<char>(0);
  if (D != Direction::input) gather_input(p, call.input, input, call.threads);
  if (D != Direction::forward) {
    each_output(p, call.threads, [&](int64_t to, int64_t from) {
      std::copy_n(call.grad + from * plane, plane, output + to * plane);
    });
  }
  if (D == Direction::forward) slabs.result = output;
  if (D == Direction::input) slabs.result = input;
  inner<M, D>().template runner<T>().run(slabs);
  if (D == Direction::forward) {
    T lo, hi;
    clamp_range(call.activation, &lo, &hi);
    each_output(p, call.threads, [&](int64_t from, int64_t to) {
      const T* residual = call.residual ? call.residual + to * plane : nullptr;
      of_type<T>(*kernels().gemm)
          .spread(output + from * plane, 1, residual, plane, lo, hi, call.result + to * plane);
    });
  } else if (D == Direction::input) {
    add_input(p, input, call.result, call.threads);
  }
}

template <class T, int M, Direction D>
void prepare(const ConvProblem& p, const T* weight, void* prepared, int threads) {
  inner<M, D>().template runner<T>().prepare(slabs_of(p), weight, prepared, threads);
}

template <int M, Direction D>
size_t workspace(const ConvProblem& p, size_t item, int threads, bool prepared) {
  const ConvProblem q = slabs_of(p);
  const size_t in = input_count(q), out = output_count(q);
  return (item == 4 ? Carver::bytes<float>(in) + Carver::bytes<float>(out)
                    : Carver::bytes<double>(in) + Carver::bytes<double>(out)) +
         Carver::bytes<char>(0) + inner<M, D>().workspace(q, item, threads, prepared);
}

template <int M, Direction D>
size_t prepared_bytes(const ConvProblem& p, size_t item) {
  return inner<M, D>().prepared_bytes(slabs_of(p), item);
}

// Copies go through memory beyond the caches.
template <int M, Direction D>
double cost(const ConvProblem& p, size_t item, bool prepared) {
  const ConvProblem q = slabs_of(p);
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  const double copied = static_cast<double>(input_count(q) + output_count(q));
  return inner<M, D>().cost(q, item, prepared) + copied * 10 / lanes;
}

template <int M, Direction D>
constexpr Algorithm row(const char* name, const char* summary) {
  constexpr bool prepares = D == Direction::forward || D == Direction::input;
  return {name,
          D,
          summary,
          supports,
          cost<M, D>,
          workspace<M, D>,
          prepared_bytes<M, D>,
          {run<float, M, D>, prepares ? prepare<float, M, D> : nullptr},
          {run<double, M, D>, prepares ? prepare<double, M, D> : nullptr}};
}

constexpr const char* kSummary = "F(4x4, 3x3) of each slab, the slabs it reads as channels";
constexpr const char* kSummary2 = "F(2x2, 3x3) of each slab, the slabs it reads as channels";

}  // namespace

const Algorithm kSlabsForward = row<4, Direction::forward>("winograd_slabs", kSummary);
const Algorithm kSlabsInput = row<4, Direction::input>("winograd_slabs", kSummary);
const Algorithm kSlabsWeight = row<4, Direction::weight>("winograd_slabs", kSummary);
const Algorithm kSlabs2Forward = row<2, Direction::forward>("winograd2_slabs", kSummary2);
const Algorithm kSlabs2Input = row<2, Direction::input>("winograd2_slabs", kSummary2);
const Algorithm kSlabs2Weight = row<2, Direction::weight>("winograd2_slabs", kSummary2);

}  // namespace fastconv
