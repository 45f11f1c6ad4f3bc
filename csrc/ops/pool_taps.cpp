#include "pool_taps.h"

#include <algorithm>

#include "pool_blocks.h"

namespace fastconv {

int where_size(const PoolProblem& p) {
  if (has_passes(p) && p.ker[0] * p.ker[1] * p.ker[2] <= kNoTap) return 1;
  return p.in_plane() <= INT32_MAX ? 4 : 8;
}

TapPlaces::TapPlaces(const PoolProblem& p, Where where, int64_t inner) : p_(p), where_(where) {
  if (!where.at) return;
  for (int64_t t = 0; t < p.ker[0]; ++t) {
    for (int64_t r = 0; r < p.ker[1]; ++r) {
      for (int64_t s = 0; s < p.ker[2]; ++s) {
        const int64_t row = t * p.dil[0] * p.in[1] + r * p.dil[1];
        offset_.push_back((row * p.in[2] + s * p.dil[2]) * inner);
      }
    }
  }
}

void TapPlaces::fill_none(int64_t o, int64_t count) const {
  std::fill_n(static_cast<uint8_t*>(element(o)), count * where_.size, kNoTap);  // or -1
}

int64_t TapPlaces::base(int64_t z, int64_t h, int64_t q) const {
  return ((z * p_.stride[0] - p_.pad_lo[0]) * p_.in[1] + h * p_.stride[1] - p_.pad_lo[1]) *
             p_.in[2] +
         q * p_.stride[2] - p_.pad_lo[2];
}

std::vector<int64_t> TapPlaces::bases() const {
  std::vector<int64_t> all;
  for (int64_t z = 0; z < p_.out[0]; ++z) {
    for (int64_t h = 0; h < p_.out[1]; ++h) {
      for (int64_t q = 0; q < p_.out[2]; ++q) all.push_back(base(z, h, q));
    }
  }
  return all;
}

}  // namespace fastconv
