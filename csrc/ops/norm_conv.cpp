#include "norm_conv.h"

#include <algorithm>

#include "conv.h"
#include "parallel.h"
#include "tap_conv.h"
#include "tap_lower.h"

namespace fastconv {
namespace {

using T = float;

constexpr int64_t kShare = 128;  // pixels that are worth a thread's while, two of them
constexpr int64_t kBlockBytes = int64_t{512} << 10;  // of normalized pixels

bool pointwise(const ConvProblem& p) {
  return p.groups == 1 && p.taps() == 1 && p.unit_stride() && !p.padded();
}

class Pixels : public NormConv {
 public:
  Pixels(ChannelNorm norm, Plan& plan, const PlanEntry& entry)
      : norm_(std::move(norm)), plan_(plan), entry_(entry), p_(entry_.problem) {}

  void run(const std::vector<const char*>& rows, const void* residual, void* y) const override {
    const int64_t plane = p_.in_plane(), c = p_.c;
    const int team = useful_threads(p_, num_threads());
    const int64_t blocks = count(team);
    if (!norm_ && blocks == 1) {
      return plan_.run(entry_, reinterpret_cast<const T*>(rows[0]), static_cast<const T*>(residual),
                       static_cast<T*>(y));
    }
    std::vector<TapConv<T>> conv;  // of each block of pixels of each image
    size_t bytes = 0;
    for (int64_t n = 0; n < p_.n; ++n) {
      for (int64_t i = 0; i < blocks; ++i) {
        const int64_t first = begin(i, blocks), at = n * p_.k * plane + first;
        TapConv<T> t = lowered(begin(i + 1, blocks) - first);
        t.dst = static_cast<T*>(y) + at;
        t.residual = residual ? static_cast<const T*>(residual) + at : nullptr;
        if (n == 0) bytes = std::max(bytes, tap_conv_bytes(t, 1));
        conv.push_back(std::move(t));
      }
    }
    const size_t pixels = norm_ ? Carver::bytes<T>(static_cast<size_t>(c * widest(blocks))) : 0;
    const size_t own = pixels + bytes;
    const Scratch scratch(common_size(static_cast<size_t>(team) * own));
    parallel_for(p_.n * blocks, team, [&](int64_t task, int thread) {
      const int64_t n = task / blocks, first = begin(task % blocks, blocks);
      char* const at = scratch.data() + static_cast<size_t>(thread) * own;
      TapConv<T>& t = conv[static_cast<size_t>(task)];
      const int64_t count = t.out[2];
      for (int64_t i = 0; norm_ && i < c; ++i) {
        const char* x = rows[static_cast<size_t>(n * c + i)];
        norm_(x + static_cast<size_t>(first) * sizeof(T), i, count,
              at + static_cast<size_t>(i * count) * sizeof(T));
      }
      t.src = norm_ ? reinterpret_cast<const T*>(at) : reinterpret_cast<const T*>(rows[0]) + first;
      tap_conv(t, at + pixels, 1);
    });
  }

 private:
  static int64_t lanes() { return kernels().vector_bytes / static_cast<int64_t>(sizeof(T)); }

  // Blocks of an image: as many for each thread.
  int64_t count(int team) const {
    const int64_t most = std::max<int64_t>(
        4 * lanes(), kBlockBytes / static_cast<int64_t>(sizeof(T)) / std::max<int64_t>(p_.c, 1));
    const int64_t shares =
        p_.n < team ? std::min<int64_t>(team, ceil_div(2 * p_.in_plane(), kShare)) : 1;
    const int64_t each = norm_ ? ceil_div(ceil_div(p_.in_plane(), shares), most) : 1;
    return std::min(shares * each, ceil_div(p_.in_plane(), lanes()));
  }
  // The first pixel of a block.
  int64_t begin(int64_t block, int64_t blocks) const {
    const int64_t plane = p_.in_plane();
    return block < blocks ? plane * block / blocks / lanes() * lanes() : plane;
  }
  int64_t widest(int64_t blocks) const { return p_.in_plane() / blocks + 2 * lanes(); }

  // The convolution of `count` pixels: normalized ones lie together, others in the picture, and so
  // do the results.
  TapConv<T> lowered(int64_t count) const {
    TapConv<T> t = lower_forward<T>(p_);
    t.images = 1;
    t.image = p_.in_plane();
    t.out[2] = count;
    if (norm_) t.dims[2] = count;
    t.w = static_cast<const T*>(plan_.weight());
    t.bias = static_cast<const T*>(plan_.bias());
    clamp_range(plan_.activation(), &t.lo, &t.hi);
    return t;
  }

  const ChannelNorm norm_;
  const Plan& plan_;
  const PlanEntry entry_;
  const ConvProblem& p_;
};

}  // namespace

std::shared_ptr<const NormConv> NormConv::of(const ChannelNorm& norm, Plan& plan,
                                             const Shape& input) {
  if (plan.item() != sizeof(T)) return nullptr;
  const std::shared_ptr<const PlanEntry> entry = plan.entry(input);
  const ConvProblem& p = entry->problem;
  const bool clamps = plan.activation() <= Activation::relu6;
  if (!plan.automatic() || !clamps || !pointwise(p) || p.in_plane() < 64 ||
      std::string(entry->algorithm->name) != "im2col") {
    return nullptr;
  }
  // Without a norm it is worth while for threads, where the weights do not outweigh the rest: each
  // then fetches its share of the input alone, which it may have written.
  if (!norm && (p.n > 1 || p.in_plane() < kShare || p.k > 4 * p.in_plane())) return nullptr;
  return std::make_shared<Pixels>(norm, plan, *entry);
}

}  // namespace fastconv
