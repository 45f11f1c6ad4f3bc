// Copies between layouts: arrays of any strides to memory that is dense along one axis.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastconv {

// An axis of a copy, strides in elements.
struct CopyAxis {
  int64_t extent, from, to;
};

// Whether copy_strided takes these axes: elements of 4 or 8 bytes, and a stride of one among `to`
// wherever there is more than one element.
bool can_copy_strided(const CopyAxis* axes, int count, size_t item);

// to[sum of at * to] = from[sum of at * from] for every position of the axes; no extent is zero,
// and what is written does not overlap what is read.
void copy_strided(const CopyAxis* axes, int count, size_t item, const void* from, void* to,
                  int threads);

}  // namespace fastconv
