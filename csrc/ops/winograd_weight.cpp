// The weight gradient by Winograd, F(3 x 3, m x m): tiles of the output's gradient are the filters.
//
//   points of dw[k, c] = sum over tiles of points of x[c] * points of grad[k]
//
// so both are brought to points, a block of tiles at a time, and the products over tiles are summed
// there, output channels in lanes. Blocks follow each other in a fixed order, in a fixed number of
// parts, and threads split the outputs: the result does not depend on their number.
#include <algorithm>
#include <cmath>

#include "accuracy.h"
#include "memory.h"
#include "parallel.h"
#include "rows.h"
#include "weight_gradient.h"
#include "winograd_weight_cut.h"

namespace fastconv {
namespace winograd {
namespace {

// One vector of channels of a block, to points.
template <class T>
void to_points(void (*transform)(const WinogradIn<T>&), const T* src, int64_t image_step,
               int64_t channels, const int64_t (&dims)[3], int64_t y0, int64_t x0,
               const Tiles& tiles, int64_t first, int64_t last, T* dst, ptrdiff_t tile,
               ptrdiff_t point) {
  const auto& k = table<T>();
  tiles.each_run(first, last, (k.run - 2) / tiles.m,
                 [&](int64_t image, int64_t y, int64_t x, int count, int64_t index) {
                   WinogradIn<T> in;
                   in.src = src + image * image_step;
                   in.plane = dims[1] * dims[2];
                   in.channels = static_cast<int>(std::min<int64_t>(k.lanes, channels));
                   in.height = dims[1];
                   in.width = dims[2];
                   in.y = y + y0;
                   in.x = x + x0;
                   in.tiles = count;
                   in.dst = dst + index * tile;
                   in.tile = tile;
                   in.point = point;
                   transform(in);
                 });
}

template <class T, int M>
class Run {
 public:
  Run(const ConvCall<T>& call, const Tiles& tiles, const GradCut& c)
      : call_(call),
        p_(*call.p),
        tiles_(tiles),
        c_(c),
        size_(p_, c),
        sums_(reinterpret_cast<T*>(call.scratch)) {}

  // Whether all gradients are finite.
  bool all() {
    parallel_for(p_.groups * c_.tasks(), call_.threads, [&](int64_t i, int t) { task(i, t); });
    if (call_.bias_grad) add_parts(sums_ + size_.w, c_.sums, p_.k, p_.k, call_.bias_grad);
    if (c_.sums == 1) return finite_;
    parallel_for(p_.groups * c_.parts(), call_.threads, [&](int64_t part, int) {
      T* const w = sums_ + part * c_.w_part;
      const int64_t rows = rows_of(part), lanes = lanes_of(part);
      const ptrdiff_t next = p_.groups * c_.parts() * c_.w_part;
      for (int64_t i = 0; i < c_.points * rows; ++i) {
        T* const row = w + i / rows * c_.w_point + i % rows * c_.k_part;
        add_parts(row, c_.sums, next, lanes, row);
      }
      finish(part, w);
    });
    return finite_;
  }

 private:
  int64_t first(int64_t block) const { return tiles_.count() * block / c_.blocks; }
  // Parts are numbered [group][k][c].
  int64_t c_of(int64_t part) const { return part % c_.c_parts; }
  int64_t k_of(int64_t part) const { return part / c_.c_parts % c_.k_parts; }
  int64_t rows_of(int64_t part) const {
    return std::min(c_.c_part, depth_ - c_of(part) * c_.c_part);
  }
  int64_t lanes_of(int64_t part) const {
    return std::min(c_.k_part, p_.kg() - k_of(part) * c_.k_part);
  }

  // Some blocks and a share of the channels of a group.
  void task(int64_t index, int thread) {
    const int64_t c0 = index % c_.c_splits * c_.c_share;
    index /= c_.c_splits;
    const int64_t k0 = index % c_.k_splits * c_.k_share;
    index /= c_.k_splits;
    const int64_t sum = index % c_.sums, group = index / c_.sums;
    const int64_t c1 = std::min(c0 + c_.c_share, c_.c_parts);
    const int64_t k1 = std::min(k0 + c_.k_share, c_.k_parts);
    T* const x = sums_ + size_.shared() + thread * size_.per_thread(c_);
    T* const g = x + size_.x;
    const int64_t begin = c_.blocks * sum / c_.sums, end = c_.blocks * (sum + 1) / c_.sums;
    for (int64_t block = begin; block < end; ++block) {
      for (int64_t ch = c0 * c_.c_part; ch < std::min(c1 * c_.c_part, depth_); ch += k_.lanes) {
        input_points(group, ch, block, x + (ch / c_.c_part - c0) * c_.x_part + ch % c_.c_part);
      }
      for (int64_t ch = k0 * c_.k_part; ch < std::min(k1 * c_.k_part, p_.kg()); ch += k_.lanes) {
        if (call_.bias_grad && c0 == 0) sum_planes(group, ch, sum, block, block == begin);
        grad_points(group, ch, block, g + (ch / c_.k_part - k0) * c_.g_part + ch % c_.k_part);
      }
      for (int64_t kp = k0; kp < k1; ++kp) {
        for (int64_t cp = c0; cp < c1; ++cp) {
          const int64_t part = (group * c_.k_parts + kp) * c_.c_parts + cp;
          T* const w =
              size_.w ? sums_ + (sum * p_.groups * c_.parts() + part) * c_.w_part : g + size_.g;
          products(part, block, block > begin, x + (cp - c0) * c_.x_part, g + (kp - k0) * c_.g_part,
                   w);
          if (c_.sums == 1 && block + 1 == end) finish(part, w);
        }
      }
    }
  }

  // The gradients of the bias of a vector of channels: planes are summed where their first tile is,
  // on their way into the caches.
  void sum_planes(int64_t group, int64_t ch, int64_t sum, int64_t block, bool fresh) const {
    const auto& gemm = of_type<T>(*kernels().gemm);
    const int64_t plane = p_.out_plane(), tiles = tiles_.down * tiles_.across;
    const int64_t k0 = group * p_.kg() + ch, k1 = k0 + std::min<int64_t>(k_.lanes, p_.kg() - ch);
    T* const sums = sums_ + size_.w + sum * p_.k;
    if (fresh) std::fill(sums + k0, sums + k1, T(0));
    for (int64_t n = ceil_div(first(block), tiles); n * tiles < first(block + 1); ++n) {
      for (int64_t k = k0; k < k1; ++k) {
        sums[k] += gemm.sum(call_.grad + (n * p_.k + k) * plane, plane);
      }
    }
  }

  void input_points(int64_t group, int64_t at, int64_t block, T* x) const {
    const int64_t ch = c_.window.channel(at);
    to_points(tile_.input, call_.input + (group * p_.cg() + ch) * p_.in_plane(),
              p_.c * p_.in_plane(), p_.cg() - ch, p_.in, c_.window.y(at) - p_.pad_lo[1],
              c_.window.x(at) - p_.pad_lo[2], tiles_, first(block), first(block + 1), x, c_.x_tile,
              c_.x_point);
  }

  void grad_points(int64_t group, int64_t ch, int64_t block, T* g) const {
    to_points(tile_.grad, call_.grad + (group * p_.kg() + ch) * p_.out_plane(),
              p_.k * p_.out_plane(), p_.kg() - ch, p_.out, 0, 0, tiles_, first(block),
              first(block + 1), g, c_.g_tile, c_.g_point);
  }

  // The block's products of a part into w, or added to it.
  void products(int64_t part, int64_t block, bool add, const T* xs, const T* gs, T* w) const {
    const int64_t count = first(block + 1) - first(block), lanes = lanes_of(part);
    const int64_t subs = ceil_div(lanes, k_.nr);
    WinogradProduct<T> q{};
    q.a_row = 1;
    q.a_k = c_.x_tile;
    q.b_k = c_.g_tile;
    q.c_row = c_.k_part;
    q.rows = rows_of(part);
    // Short sums, added up: they err less than long ones, and there is room in the first-level
    // cache for what the next one reads.
    constexpr int64_t kDepth = 64;
    const int64_t chunks = ceil_div(count, kDepth);
    for (int64_t i = 0; i < c_.points; ++i) {
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        const int64_t t0 = count * chunk / chunks, t1 = count * (chunk + 1) / chunks;
        q.depth = t1 - t0;
        q.add = add || chunk > 0;
        q.a = xs + i * c_.x_point + t0 * c_.x_tile;
        // Next in order: the rest of this point's tiles, or those of the next point.
        const bool more = chunk + 1 < chunks;
        const ptrdiff_t x_next = more ? q.depth * c_.x_tile : c_.x_point - t0 * c_.x_tile;
        const ptrdiff_t g_next = more ? q.depth * c_.g_tile : c_.g_point - t0 * c_.g_tile;
        q.far_a_count = q.depth * c_.x_tile / subs;
        q.far_b_count = q.depth * c_.g_tile / subs;
        for (int64_t s = 0; s < subs; ++s) {
          q.b = gs + i * c_.g_point + t0 * c_.g_tile + s * k_.nr;
          q.c = w + i * c_.w_point + s * k_.nr;
          q.narrow = lanes - s * k_.nr <= k_.lanes;
          q.far_a = q.a + x_next + s * (q.depth * c_.x_tile / subs);
          q.far_b =
              gs + i * c_.g_point + t0 * c_.g_tile + g_next + s * (q.depth * c_.g_tile / subs);
          k_.product(q);
        }
      }
    }
  }

  // The gradients of a part from their points.
  void finish(int64_t part, const T* w) {
    const int64_t group = part / c_.parts(), c0 = c_of(part) * c_.c_part;
    const int64_t k0 = k_of(part) * c_.k_part, lanes = lanes_of(part);
    const ptrdiff_t filter = p_.cg() * p_.ker[1] * p_.ker[2];
    for (int64_t lane = 0; lane < lanes; lane += k_.lanes) {
      T* const to = call_.result + (group * p_.kg() + k0 + lane) * filter;
      WinogradFilterGrad<T> out;
      out.u = w + lane;
      out.row = c_.k_part;
      out.point = c_.w_point;
      out.lane = filter;
      out.w = to + c0 * 9;
      out.lanes = static_cast<int>(std::min<int64_t>(k_.lanes, lanes - lane));
      out.count = rows_of(part);
      if (!(c_.window.plain() ? tile_.filter_grad(out) : put_parts(out, c0, filter, to))) {
        __atomic_store_n(&finite_, false, __ATOMIC_RELAXED);
      }
    }
  }

  // The gradients of 3 x 3 parts of the windows, a vector of channels at a time, to where they are.
  bool put_parts(WinogradFilterGrad<T> out, int64_t depth, ptrdiff_t filter, T* to) const {
    const Windows& g = c_.window;
    constexpr int64_t kMostLanes = 64 / sizeof(T);  // of any vector
    T nine[kMostLanes * kMostLanes * 9];
    out.w = nine;
    out.lane = 9 * kMostLanes;
    bool finite = true;
    for (int64_t left = out.count; left > 0; left -= k_.lanes, depth += k_.lanes) {
      out.count = std::min<int64_t>(k_.lanes, left);
      finite &= tile_.filter_grad(out);
      out.u += k_.lanes * out.row;
      const Span y(g.height, g.y(depth), false), x(g.width, g.x(depth), false);
      const int64_t channel = g.channel(depth);
      for (int64_t l = 0; l < out.lanes; ++l) {
        for (int64_t c = 0; c < std::min<int64_t>(out.count, g.channels - channel); ++c) {
          T* const at = to + l * filter + ((channel + c) * g.height + y.from) * g.width + x.from;
          copy_taps(y, x, nine + l * out.lane + c * 9, 3, at, g.width);
        }
      }
    }
    return finite;
  }

  const ConvCall<T>& call_;
  const ConvProblem& p_;
  const WinogradKernels<T>& k_ = table<T>();
  const WinogradTile<T>& tile_ = tile_of<T, M>();
  const Tiles& tiles_;
  const GradCut& c_;
  const GradSizes<T> size_;
  const int64_t depth_ = c_.window.depth();
  T* const sums_;
  bool finite_ = true;
};

}  // namespace

template <class T, int M>
bool weight_gradient(const ConvCall<T>& call) {
  const ConvProblem& p = *call.p;
  if (p.n == 0) {
    std::fill_n(call.result, p.k * p.reduction(), T(0));
    if (call.bias_grad) std::fill_n(call.bias_grad, p.k, T(0));
    return true;
  }
  const Tiles tiles(M, p.n, p.out[1], p.out[2]);
  const GradCut c = grad_cut<T>(p, tiles, call.threads);
  return Run<T, M>(call, tiles, c).all();
}

template <class T>
size_t weight_gradient_bytes(const ConvProblem& p, int m, int threads) {
  const GradCut c = grad_cut<T>(p, Tiles(m, p.n, p.out[1], p.out[2]), threads);
  const GradSizes<T> size(p, c);
  const int64_t team = std::min<int64_t>(threads, p.groups * c.tasks());
  return Carver::bytes<T>(size.shared() + std::max<int64_t>(team, 1) * size.per_thread(c));
}

template size_t weight_gradient_bytes<float>(const ConvProblem&, int, int);
template size_t weight_gradient_bytes<double>(const ConvProblem&, int, int);
template bool weight_gradient<float, 2>(const ConvCall<float>&);
template bool weight_gradient<float, 4>(const ConvCall<float>&);
template bool weight_gradient<double, kOfDoubles>(const ConvCall<double>&);

namespace {

template <class T, int M>
void run(const ConvCall<T>& call) {
  // As in winograd_rows.cpp: what is not finite is computed without transforms.
  if (!weight_gradient<T, M>(call)) kIm2colWeight.runner<T>().run(call);
}

template <int M>
size_t workspace(const ConvProblem& p, size_t item, int threads, bool) {
  return std::max(item == 4 ? weight_gradient_bytes<float>(p, M, threads)
                            : weight_gradient_bytes<double>(p, kOfDoubles, threads),
                  kIm2colWeight.workspace(p, item, threads, false));
}

template <int M>
double cost(const ConvProblem& p, size_t item, bool) {
  if (M == 4 && (item == 8 || high_accuracy())) return 1e18;
  const double lanes = kernels().vector_bytes / static_cast<double>(item);
  const double points = (M + 2) * (M + 2);
  const Tiles t(M, p.n, p.out[1], p.out[2]);
  const double tiles = static_cast<double>(t.count());
  const Windows window = windows<float>(p, p.cg());
  const double cg = static_cast<double>(window.depth());
  const double turn = window.plain() ? 0 : 9 * lanes;  // parts to where they are in windows
  const double c_vectors = std::ceil(cg / lanes);
  const double k_vectors = std::ceil(static_cast<double>(p.kg()) / lanes);
  const double product = points * cg * k_vectors * (tiles * (window.small() ? 0.75 : 0.58) + 3);
  const double far = window.plain() ? 0 : far_points(points, cg, tiles, item);
  return static_cast<double>(p.groups) * (far + (c_vectors + k_vectors) * tiles * points * 6.9 +
                                          product + cg * k_vectors * (points * 2.5 + turn)) +
         4000;
}

size_t nothing(const ConvProblem&, size_t) {
  return 0;
}

template <int M>
constexpr Algorithm row(const char* name, const char* summary) {
  return {name,
          Direction::weight,
          summary,
          supports,
          cost<M>,
          workspace<M>,
          nothing,
          {run<float, M>, nullptr},
          {run<double, kOfDoubles>, nullptr},
          true};
}

}  // namespace
}  // namespace winograd

const Algorithm kWinogradWeight =
    winograd::row<4>("winograd", "F(3x3, 4x4): tiles of the gradient as filters");
const Algorithm kWinograd2Weight =
    winograd::row<2>("winograd2", "F(3x3, 2x2): tiles of the gradient as filters");

}  // namespace fastconv
