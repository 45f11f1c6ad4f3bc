// Which elements the taps of a pool's windows are.
#pragma once

#include <vector>

#include "pool.h"

namespace fastconv {

constexpr uint8_t kNoTap = 255;

// Maxima said by taps become what is wanted of them (see Where in pool.h).
class TapPlaces {
 public:
  // Offsets are between elements that are `inner` values apart.
  TapPlaces(const PoolProblem& p, Where where, int64_t inner = 1);
  int size() const { return where_.size; }
  // Where that of output `o` goes.
  void* element(int64_t o) const {
    return where_.at ? static_cast<char*>(where_.at) + o * where_.size : nullptr;
  }
  void fill_none(int64_t o, int64_t count) const;
  // Outputs from o on are of windows (z, h, q), (z, h, q + 1) ..., `count` of them, `inner` each:
  // their taps become positions where those are wanted.
  void finish(int64_t o, int64_t z, int64_t h, int64_t q, int64_t count, int64_t inner) const {
    if (where_.size == 4) return become_positions<int32_t>(o, z, h, q, count, inner);
    if (where_.size == 8) become_positions<int64_t>(o, z, h, q, count, inner);
  }
  // The position of tap 0 of a window, which may be outside the plane; those of others from there.
  int64_t base(int64_t z, int64_t h, int64_t q) const;
  std::vector<int64_t> bases() const;  // of all windows
  const int64_t* offsets() const { return offset_.data(); }

 private:
  template <class Index>
  void become_positions(int64_t o, int64_t z, int64_t h, int64_t q, int64_t count,
                        int64_t inner) const {
    Index* at = static_cast<Index*>(element(o));
    int64_t from = base(z, h, q);
    for (int64_t i = 0; i < count; ++i, from += p_.stride[2]) {
      for (int64_t c = 0; c < inner; ++c, ++at) {
        *at = static_cast<Index>(*at < 0 ? -1 : from + offset_[static_cast<size_t>(*at)]);
      }
    }
  }

  const PoolProblem& p_;
  Where where_;
  std::vector<int64_t> offset_;  // of every tap
};

}  // namespace fastconv
