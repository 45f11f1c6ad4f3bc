// Copies of rows that may be short: there a call of memcpy costs more than the copy.
#pragma once

#include <cstdint>
#include <cstring>

namespace fastconv {

// The rows must not overlap; E is any plain type of 1 to 16 bytes.
template <class E>
inline void copy_row(const E* from, E* to, int64_t n) {
  constexpr int64_t kSixteen = 16 / static_cast<int64_t>(sizeof(E));
  if (n < kSixteen) {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i];
    return;
  }
  if (n > 4 * kSixteen) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(E));
    return;
  }
  const int64_t last = n - kSixteen;
  for (int64_t i = 0; i < last; i += kSixteen) std::memcpy(to + i, from + i, 16);
  std::memcpy(to + last, from + last, 16);
}

}  // namespace fastconv
