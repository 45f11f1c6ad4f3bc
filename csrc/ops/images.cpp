// The images rows: as many images as a vector has lanes at a time, one in each lane, for batches of
// pictures too small to fill vectors with their own pixels. A block of images is turned so that its
// innermost axis runs over them; to the direct rows that is one image whose columns are as many
// times further apart.
#include <algorithm>
#include <limits>

#include "memory.h"
#include "parallel.h"
#include "rows.h"

namespace fastconv {
namespace {

constexpr int64_t kMostParts = 8;  // partial sums of the weight gradient

int64_t lanes_of(size_t item) {
  return kernels().vector_bytes / static_cast<int64_t>(item);
}

template <Direction D>
const Algorithm& inner() {
  return D == Direction::forward ? kDirectForward
         : D == Direction::input ? kDirectInput
                                 : kDirectWeight;
}

// One block of images, as one image.
ConvProblem block_of(const ConvProblem& p, size_t item) {
  const int64_t lanes = lanes_of(item);
  ConvProblem q = p;
  q.n = 1;
  for (int64_t* x : {&q.in[2], &q.out[2], &q.dil[2], &q.pad_lo[2], &q.pad_hi[2]}) *x *= lanes;
  return q;
}

// How the blocks are shared out. The weight gradient is summed in parts that do not depend on the
// number of threads.
struct Plan {
  int64_t lanes, blocks, parts;
  int64_t in, out, weight;  // elements: of one image, of one image's result, of the weights
  int workers, threads;     // threads of each worker
  size_t arrays, scratch;   // bytes of a worker

  size_t per_worker() const { return arrays + scratch; }
};

template <class T, Direction D>
Plan plan_of(const ConvProblem& p, int threads) {
  Plan s{};
  s.lanes = lanes_of(sizeof(T));
  s.blocks = ceil_div(p.n, s.lanes);
  s.parts = D == Direction::weight ? std::min(kMostParts, s.blocks) : s.blocks;
  s.in = p.c * p.in_plane();
  s.out = p.k * p.out_plane();
  s.weight = p.k * p.reduction();
  s.workers = s.parts < threads ? 1 : threads;
  s.threads = s.parts < threads ? threads : 1;
  s.arrays = Carver::bytes<T>(s.in * s.lanes) + Carver::bytes<T>(s.out * s.lanes) +
             (D == Direction::weight ? Carver::bytes<T>(s.weight) : 0);
  s.scratch = inner<D>().workspace(block_of(p, sizeof(T)), sizeof(T), s.threads, false) +
              Carver::bytes<char>(0);
  return s;
}

// [image][element] as [element][lane], absent images being zero.
template <class T>
void into_lanes(const T* from, int64_t images, int64_t count, int64_t lanes, T* to) {
  if (images < lanes) std::fill_n(to, count * lanes, T(0));
  of_type<T>(*kernels().gemm).transpose(from, count, images, count, to, lanes);
}
// And back.
template <class T>
void out_of_lanes(const T* from, int64_t images, int64_t count, int64_t lanes, T* to) {
  of_type<T>(*kernels().gemm).transpose(from, lanes, count, images, to, count);
}

template <class T, Direction D>
void run_block(const ConvCall<T>& call, const ConvProblem& q, const Plan& s, int64_t block,
               char* own, T* weight_result) {
  const ConvProblem& p = *call.p;
  const int64_t first = block * s.lanes, images = std::min(s.lanes, p.n - first);
  Carver carver(own);
  T* const input = carver.take<T>(s.in * s.lanes);
  T* const output = carver.take<T>(s.out * s.lanes);
  if (D == Direction::weight) carver.take<T>(s.weight);
  ConvCall<T> turned = call;
  turned.p = &q;
  turned.threads = s.threads;
  turned.input = input;
  turned.grad = output;
  turned.residual = nullptr;
  turned.scratch = carver.take<char>(0);
  turned.result = D == Direction::forward ? output : D == Direction::input ? input : weight_result;
  if (call.residual) turned.activation = Activation::none;
  if (D != Direction::input) {
    into_lanes(call.input + first * s.in, images, s.in, s.lanes, input);
  }
  if (D != Direction::forward) {
    into_lanes(call.grad + first * s.out, images, s.out, s.lanes, output);
  }
  inner<D>().template runner<T>().run(turned);
  if (D == Direction::input) {
    out_of_lanes(input, images, s.in, s.lanes, call.result + first * s.in);
  } else if (D == Direction::forward) {
    T* const result = call.result + first * s.out;
    out_of_lanes(output, images, s.out, s.lanes, result);
    if (!call.residual) return;
    T lo, hi;
    clamp_range(call.activation, &lo, &hi);
    of_type<T>(*kernels().gemm)
        .spread(result, 1, call.residual + first * s.out, images * s.out, lo, hi, result);
  }
}

template <class T>
void add_to(const T* from, int64_t count, T* to) {
  const T infinity = std::numeric_limits<T>::infinity();
  of_type<T>(*kernels().gemm).spread(from, 1, to, count, -infinity, infinity, to);
}

template <class T, Direction D>
void run(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  const ConvProblem q = block_of(p, sizeof(T));
  const Plan s = plan_of<T, D>(p, call.threads);
  Carver carver(call.scratch);
  T* const parts = D == Direction::weight ? carver.take<T>(s.parts * s.weight) : nullptr;
  char* const own = carver.take<char>(0);
  parallel_for(s.parts, s.workers, [&](int64_t part, int thread) {
    char* const mine = own + static_cast<size_t>(thread) * s.per_worker();
    if (D != Direction::weight) return run_block<T, D>(call, q, s, part, mine, nullptr);
    T* const sum = parts + part * s.weight;
    const int64_t first = s.blocks * part / s.parts, last = s.blocks * (part + 1) / s.parts;
    Carver arrays(mine);
    arrays.take<T>(s.in * s.lanes);
    arrays.take<T>(s.out * s.lanes);
    T* const next = arrays.take<T>(s.weight);
    for (int64_t block = first; block < last; ++block) {
      run_block<T, D>(call, q, s, block, mine, block == first ? sum : next);
      if (block > first) add_to(next, s.weight, sum);
    }
  });
  if (D != Direction::weight) return;
  for (int64_t part = 1; part < s.parts; ++part) add_to(parts + part * s.weight, s.weight, parts);
  std::copy_n(parts, s.weight, call.result);
}

bool supports(const ConvProblem& p) {
  constexpr int64_t kFar = int64_t{1} << 40;
  return p.n > 0 && p.stride[2] == 1 && p.in[2] + p.pad_lo[2] + p.pad_hi[2] < kFar;
}

template <Direction D>
double cost(const ConvProblem& p, size_t item, bool) {
  const ConvProblem q = block_of(p, item);
  const double blocks = static_cast<double>(ceil_div(p.n, lanes_of(item)));
  const double turned = static_cast<double>(p.c * p.in_plane() + p.k * p.out_plane());
  const double bytes = turned * static_cast<double>(kernels().vector_bytes);
  // The rows that one row of results reads: beyond the first-level cache each vector of them comes
  // from the second for every group of rows.
  const bool input = D == Direction::input;
  const double rows = static_cast<double>(input ? p.cg() : p.kg());
  const double window = static_cast<double>((input ? p.kg() : p.cg()) * p.ker[1]) *
                        static_cast<double>((input ? q.out[2] : q.in[2]) + q.ker[2] * q.dil[2]) *
                        static_cast<double>(item);
  // Panels that pictures of few pixels share are dearer than their rows foretell, by up to 2.5.
  const bool tiny = D == Direction::forward && p.out_plane() * 4 <= lanes_of(item);
  const double far = D != Direction::weight && window > 40e3 ? 1 + 3 / std::min(rows, 14.0) : 1;
  return blocks * (tiny ? 0.7 : 1.0) *
         (far * inner<D>().cost(q, item, false) + (bytes < 256e3 ? 6 : 16) * turned);
}

template <Direction D>
size_t bytes(const ConvProblem& p, size_t item, int threads, bool) {
  const Plan s = item == 4 ? plan_of<float, D>(p, threads) : plan_of<double, D>(p, threads);
  const size_t parts = D == Direction::weight ? s.parts * s.weight * item + 128 : 0;
  return parts + static_cast<size_t>(s.workers) * s.per_worker();
}
size_t nothing(const ConvProblem&, size_t) {
  return 0;
}

template <Direction D>
constexpr Algorithm row() {
  return {"images",
          D,
          "direct, an image in each lane, for batches of small pictures",
          supports,
          cost<D>,
          bytes<D>,
          nothing,
          {run<float, D>, nullptr},
          {run<double, D>, nullptr}};
}

}  // namespace

const Algorithm kImagesForward = row<Direction::forward>();
const Algorithm kImagesInput = row<Direction::input>();
const Algorithm kImagesWeight = row<Direction::weight>();

}  // namespace fastconv
