#include "few_pixels.h"

#include <algorithm>
#include <vector>

#include "conv.h"
#include "last_panels.h"
#include "parallel.h"

namespace fastconv {
namespace {

using T = float;

constexpr int64_t kMostPixels = 256;  // of all images

class Turned : public FewPixels {
 public:
  Turned(Plan& plan, const ConvProblem& p)
      : plan_(plan),
        p_(p),
        plane_(p.in_plane()),
        pitch_(pitch_of(p.c)),
        pixels_(p.n * plane_),
        lanes_(kernels().last->lanes) {
    for (int64_t i = 0; i < pixels_; ++i) offsets_.push_back(i * lanes_);
  }

  void run(const void* x, const void* residual, void* y) const override {
    const int team = useful_threads(p_, num_threads());
    const size_t turned = Carver::bytes<T>(static_cast<size_t>(pixels_ * pitch_));
    const size_t sums = Carver::bytes<T>(static_cast<size_t>(pixels_ * lanes_));
    const size_t own =
        sums + (residual ? Carver::bytes<T>(static_cast<size_t>(plane_ * lanes_)) : 0);
    const Scratch scratch(common_size(turned + static_cast<size_t>(team) * own));
    T* const a = reinterpret_cast<T*>(scratch.data());
    const int64_t panels = ceil_div(p_.k, lanes_), blocks = ceil_div(p_.c, kTurn);
    parallel_for(p_.n * blocks, team, [&](int64_t task, int) {
      const int64_t n = task / blocks, c = task % blocks * kTurn;
      gemm().transpose(static_cast<const T*>(x) + (n * p_.c + c) * plane_, plane_,
                       std::min(kTurn, p_.c - c), plane_, a + n * plane_ * pitch_ + c, pitch_);
    });
    LastProduct g = last_product(plan_, p_.c, p_.k);
    clamp_range(residual ? Activation::none : plan_.activation(), &g.lo, &g.hi);
    g.a = a;
    g.a_row = pitch_;
    g.c_off = offsets_.data();
    g.rows = pixels_;
    parallel_for(panels, team, [&](int64_t panel, int thread) {
      char* const buffer = scratch.data() + turned + static_cast<size_t>(thread) * own;
      multiply(g, panel, static_cast<const T*>(residual), reinterpret_cast<T*>(buffer),
               static_cast<T*>(y));
    });
  }

 private:
  static constexpr int64_t kTurn = 64;  // channels at a time

  static const GemmKernels<T>& gemm() { return kernels().gemm->f32; }

  // One panel of outputs, of all pixels.
  void multiply(LastProduct g, int64_t panel, const T* residual, T* buffer, T* y) const {
    const Activation activation = plan_.activation();
    const int64_t first = panel * lanes_, outputs = std::min(lanes_, p_.k - first);
    g.b += panel * g.b_panel;
    g.bias += first;
    g.c = buffer;
    g.outputs = outputs;
    kernels().last->product(g);
    T* const turned = buffer + Carver::bytes<T>(static_cast<size_t>(pixels_ * lanes_)) / sizeof(T);
    for (int64_t n = 0; n < p_.n; ++n) {
      const int64_t at = (n * p_.k + first) * plane_, count = outputs * plane_;
      T* const to = residual ? turned : y + at;  // y may be where the residual is
      gemm().transpose(buffer + n * plane_ * lanes_, lanes_, plane_, outputs, to, plane_);
      if (residual) {
        T lo, hi;
        clamp_range(activation, &lo, &hi);
        kernels().norm->f32.affine(to, residual + at, y + at, count, T(1), T(0), lo, hi);
      }
      activate(activation, y + at, count, 1);
    }
  }

  Plan& plan_;
  const ConvProblem p_;
  const int64_t plane_, pitch_, pixels_, lanes_;
  std::vector<ptrdiff_t> offsets_;  // of the pixels' sums
};

// Vectors of `lanes` to what they hold.
double waste(int64_t count, int64_t lanes) {
  return static_cast<double>(ceil_div(count, lanes) * lanes) / static_cast<double>(count);
}

// Whether turning pays, compared with vectors of pixels: lanes that would be idle there, and
// weights that come from memory as many short rows.
bool pays(const ConvProblem& p) {
  constexpr int64_t kFewest = 7, kFew = 36, kLarge = int64_t{1} << 17;
  const int64_t lanes = kernels().vector_bytes / static_cast<int64_t>(sizeof(T));
  const int64_t pixels = p.n * p.in_plane();  // which panels of pixels share, if they are few
  if (p.in_plane() < kFewest || pixels > kMostPixels || p.k < kernels().last->lanes) return false;
  const double idle = std::max(waste(pixels, lanes), pixels <= kFew ? 1.2 : 1.0);
  const double fetched = p.k >= 2 * p.c && p.k * p.c >= kLarge ? 1.15 : 1.0;
  return idle * fetched > 1.2 * waste(p.k, lanes);
}

}  // namespace

std::shared_ptr<const FewPixels> FewPixels::of(Plan& plan, const Shape& input) {
  if (plan.item() != sizeof(T) || !plan.automatic()) return nullptr;
  const ConvProblem p = plan.entry(input)->problem;
  if (!is_pointwise(p) || p.n == 0 || !pays(p)) return nullptr;
  return std::make_shared<Turned>(plan, p);
}

}  // namespace fastconv
