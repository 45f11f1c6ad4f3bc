// The dense row: a window that is the whole image gives one pixel, so each output channel is a dot
// product of its weights with an image, both contiguous as they lie. Fully connected layers and the
// 1x1 convolutions behind a global pool are of this kind.
#include <algorithm>
#include <limits>

#include "memory.h"
#include "parallel.h"
#include "product.h"
#include "rows.h"

namespace fastconv {
namespace {

constexpr int64_t kOutputs = 32;  // output channels a task: whole vectors of sums to fold
constexpr int64_t kImages = 20;   // images whose sums are under way at a time

bool supports(const ConvProblem& p) {
  return p.groups == 1 && p.out_plane() == 1 && p.in_plane() == p.taps() && !p.padded();
}

int64_t lanes_of(size_t item) {
  return kernels().vector_bytes / static_cast<int64_t>(item);
}

// From so many images on the product of matrices is the quicker way, which first packs them.
constexpr int64_t kManyImages = 14;

// Weights come from memory, every product loads at least one operand, every sum is folded.
double cost(const ConvProblem& p, size_t item, bool) {
  const double n = static_cast<double>(p.n), k = static_cast<double>(p.k);
  const double vectors = static_cast<double>(p.reduction()) / static_cast<double>(lanes_of(item));
  const double each = p.n < kManyImages ? 4 + 1.2 * n : 6 + 0.35 * n;
  return k * vectors * each + 3 * n * k;
}

template <class T>
size_t thread_bytes() {
  const auto sums = static_cast<size_t>(kOutputs * kImages);
  return Carver::bytes<T>(sums * static_cast<size_t>(lanes_of(sizeof(T)))) + Carver::bytes<T>(sums);
}

size_t workspace(const ConvProblem&, size_t item, int threads, bool) {
  const size_t own = item == 4 ? thread_bytes<float>() : thread_bytes<double>();
  return Carver::bytes<ptrdiff_t>(kImages) + static_cast<size_t>(threads) * own;
}

template <class T>
void run_many(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  matrix_product(call.input, Lies::rows, call.weight, Lies::columns, 1, p.n, p.k, p.reduction(),
                 call.result);
  T lo, hi;
  clamp_range(call.activation, &lo, &hi);
  const auto& gemm = of_type<T>(*kernels().gemm);
  const T infinity = std::numeric_limits<T>::infinity();
  for (int64_t n = 0; n < p.n; ++n) {
    T* const row = call.result + n * p.k;
    const T* residual = call.residual ? call.residual + n * p.k : nullptr;
    if (call.bias) gemm.spread(row, 1, call.bias, p.k, -infinity, infinity, row);
    if (residual || lo > -infinity) gemm.spread(row, 1, residual, p.k, lo, hi, row);
  }
}

template <class T>
void run(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  if (p.n >= kManyImages) return run_many(call);
  const auto& gemm = of_type<T>(*kernels().gemm);
  const int64_t depth = p.reduction();
  T lo, hi;
  clamp_range(call.activation, &lo, &hi);
  Carver shared(call.scratch);
  ptrdiff_t* image_off = shared.take<ptrdiff_t>(kImages);
  for (int64_t i = 0; i < kImages; ++i) image_off[i] = i * depth;
  char* const own = call.scratch + Carver::bytes<ptrdiff_t>(kImages);
  const ptrdiff_t whole = 0;

  const int64_t tasks = (p.k + kOutputs - 1) / kOutputs;
  parallel_for(tasks, call.threads, [&](int64_t task, int thread) {
    Carver carver(own + static_cast<size_t>(thread) * thread_bytes<T>());
    T* sums = carver.take<T>(static_cast<size_t>(kOutputs * kImages * lanes_of(sizeof(T))));
    T* folded = carver.take<T>(kOutputs * kImages);
    const int64_t k0 = task * kOutputs, outputs = std::min(kOutputs, p.k - k0);
    for (int64_t n0 = 0; n0 < p.n; n0 += kImages) {
      const int64_t images = std::min(kImages, p.n - n0), count = outputs * images;
      std::fill_n(sums, count * lanes_of(sizeof(T)), T(0));
      std::fill_n(folded, count, T(0));
      DotBlock<T> d{};
      d.a = call.weight + k0 * depth;
      d.a_row = depth;
      d.a_seg = &whole;
      d.b = call.input + n0 * depth;
      d.b_off = image_off;
      d.b_seg = &whole;
      d.rows = outputs;
      d.cols = images;
      d.segments = 1;
      d.width = depth;
      d.sums = sums;
      gemm.dot(d);
      gemm.fold(sums, count, folded);
      for (int64_t n = 0; n < images; ++n) {
        const int64_t at = (n0 + n) * p.k + k0;
        for (int64_t k = 0; k < outputs; ++k) {
          T v = folded[k * images + n];
          if (call.bias) v += call.bias[k0 + k];
          if (call.residual) v += call.residual[at + k];
          call.result[at + k] = v < lo ? lo : v > hi ? hi : v;
        }
      }
    }
  });
}

// ---- gradients: products of matrices that are read as they lie
// ------------------------------------

constexpr int64_t kDepth = 16;  // terms of a sum at a time: as many streams through the memory

// Lanes beyond the last whole tile are packed: a tile reads whole vectors.
template <class T>
struct Lanes {
  int64_t whole, rest;
  explicit Lanes(int64_t lanes)
      : whole(lanes / of_type<T>(*kernels().gemm).nr * of_type<T>(*kernels().gemm).nr),
        rest(lanes - whole) {}
};

// c (rows x lanes) = the sum over k < depth of a[i * a_row + k * a_step] b[k * lanes + j].
template <class T>
struct Product {
  int64_t rows, lanes, depth;
  const T* a;
  ptrdiff_t a_row, a_step;
  const T* b;
  T* c;
};

template <class T>
size_t product_bytes() {
  return 2 * Carver::bytes<ptrdiff_t>(kDepth) +
         Carver::bytes<T>(static_cast<size_t>(kDepth * of_type<T>(*kernels().gemm).nr));
}

template <class T>
void multiply(const Product<T>& p, char* scratch) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  const Lanes<T> lanes(p.lanes);
  Carver carver(scratch);
  ptrdiff_t* a_off = carver.take<ptrdiff_t>(kDepth);
  ptrdiff_t* b_off = carver.take<ptrdiff_t>(kDepth);
  T* panel = carver.take<T>(static_cast<size_t>(kDepth * gemm.nr));
  if (p.depth == 0) std::fill_n(p.c, p.rows * p.lanes, T(0));
  for (int64_t k0 = 0; k0 < p.depth; k0 += kDepth) {
    GemmBlock<T> g{};
    g.depth = std::min(kDepth, p.depth - k0);
    for (int64_t k = 0; k < g.depth; ++k) {
      a_off[k] = k * p.a_step;
      b_off[k] = k * p.lanes;
    }
    g.a = p.a + k0 * p.a_step;
    g.a_row = p.a_row;
    g.a_off = a_off;
    g.a_contiguous = p.a_step == 1;
    g.b = p.b + k0 * p.lanes;
    g.b_panel = gemm.nr;
    g.b_off = b_off;
    g.c = p.c;
    g.c_row = p.lanes;
    g.rows = p.rows;
    g.lanes = lanes.whole;
    g.accumulate = k0 > 0;
    if (lanes.whole) gemm.block(g);
    if (!lanes.rest) continue;
    const Segment rest{lanes.whole, 0, lanes.rest};
    gemm.pack(g.b, b_off, g.depth, &rest, 1, panel);
    for (int64_t k = 0; k < g.depth; ++k) b_off[k] = k * gemm.nr;
    g.b = panel;
    g.c = p.c + lanes.whole;
    g.lanes = lanes.rest;
    gemm.block(g);
  }
}

// Rows of the result a task: the first 14 or so images go through the weights together.
int64_t image_rows(const ConvProblem& p, int threads) {
  const int64_t most = 4 * kernels().gemm->f32.mr;
  return std::max<int64_t>(1, std::min(most, (p.n + threads - 1) / threads));
}

template <bool input>
double gradient_cost(const ConvProblem& p, size_t item, bool) {
  const double n = static_cast<double>(p.n);
  const double vectors = static_cast<double>(p.reduction()) / static_cast<double>(lanes_of(item));
  const double each = input ? 4.5 + 0.75 * n : 6 + 0.6 * n;
  return static_cast<double>(p.k) * vectors * each;
}

size_t gradient_workspace(const ConvProblem&, size_t item, int threads, bool) {
  const size_t own = item == 4 ? product_bytes<float>() : product_bytes<double>();
  return own * static_cast<size_t>(threads);
}

// dx (N x depth) = grad (N x K) times the weights (K x depth).
template <class T>
void run_input(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  const int64_t depth = p.reduction(), rows = image_rows(p, call.threads);
  parallel_for((p.n + rows - 1) / rows, call.threads, [&](int64_t task, int thread) {
    const int64_t n = task * rows;
    multiply<T>({std::min(rows, p.n - n), depth, p.k, call.grad + n * p.k, p.k, 1, call.weight,
                 call.result + n * depth},
                call.scratch + static_cast<size_t>(thread) * product_bytes<T>());
  });
}

// dw (K x depth) = grad transposed (K x N) times the images (N x depth).
template <class T>
void run_weight(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  const int64_t depth = p.reduction(), rows = kernels().gemm->f32.mr;
  parallel_for((p.k + rows - 1) / rows, call.threads, [&](int64_t task, int thread) {
    const int64_t k = task * rows;
    multiply<T>({std::min(rows, p.k - k), depth, p.n, call.grad + k, 1, p.k, call.input,
                 call.result + k * depth},
                call.scratch + static_cast<size_t>(thread) * product_bytes<T>());
  });
}

size_t nothing(const ConvProblem&, size_t) {
  return 0;
}

}  // namespace

const Algorithm kDenseForward = {"dense",
                                 Direction::forward,
                                 "dot products, where the window is the whole image",
                                 supports,
                                 cost,
                                 workspace,
                                 nothing,
                                 {run<float>, nullptr},
                                 {run<double>, nullptr}};

const Algorithm kDenseInput = {"dense",
                               Direction::input,
                               "weights read as they lie, where the window is the whole image",
                               supports,
                               gradient_cost<true>,
                               gradient_workspace,
                               nothing,
                               {run_input<float>, nullptr},
                               {run_input<double>, nullptr}};
const Algorithm kDenseWeight = {"dense",
                                Direction::weight,
                                "images read as they lie, where the window is the whole image",
                                supports,
                                gradient_cost<false>,
                                gradient_workspace,
                                nothing,
                                {run_weight<float>, nullptr},
                                {run_weight<double>, nullptr}};

}  // namespace fastconv
