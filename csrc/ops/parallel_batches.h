// Many small tasks: handed to the threads some at a time, because taking one costs as much as a
// row.
#pragma once

#include <algorithm>

#include "parallel.h"

namespace fastconv {

// As parallel_for, for tasks of about `work` elements each.
template <class Body>
void parallel_batches(int64_t tasks, int64_t work, int threads, const Body& body) noexcept {
  constexpr int64_t kElements = 1 << 14;
  const int64_t batch = kElements / std::max<int64_t>(work, 1) + 1;
  parallel_for((tasks + batch - 1) / batch, threads, [&](int64_t i, int thread) {
    const int64_t end = std::min(tasks, (i + 1) * batch);
    for (int64_t task = i * batch; task < end; ++task) body(task, thread);
  });
}

}  // namespace fastconv
