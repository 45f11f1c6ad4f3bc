// Loops over tasks, on threads. Outputs are split between them, never sums, so results do not
// depend on their number.
#pragma once

#include <atomic>
#include <cstdint>

#include "workers.h"

namespace fastconv {

// Threads that a call may use: FASTCONV_NUM_THREADS, else OMP_NUM_THREADS, else the processors this
// process may run on, less what a cgroup's CPU quota takes away.
int num_threads();
void set_num_threads(int n);  // n >= 1

// How many of `threads` a problem of this much work deserves: waking a thread costs a few
// microseconds, so small problems run on fewer.
int useful_threads(double flops, int threads);

// A run of tasks that one thread takes first, the same in one call after the other: what it wrote
// last time is then in its own caches, not in another core's. Afterwards it helps the others.
struct alignas(64) Share {
  std::atomic<int64_t> next;
  int64_t end;
};
constexpr int kMostShares = 64;

// body(task, thread) for every task in [0, tasks), on at most `threads` threads. The body must not
// throw and must not allocate.
template <class Body>
void parallel_for(int64_t tasks, int threads, const Body& body) noexcept {
  if (threads > tasks) threads = static_cast<int>(tasks);
  if (threads <= 1) {
    for (int64_t task = 0; task < tasks; ++task) body(task, 0);
    return;
  }
  const int count = threads < kMostShares ? threads : kMostShares;
  Share shares[kMostShares];
  for (int i = 0; i < count; ++i) {
    shares[i].next.store(tasks * i / count, std::memory_order_relaxed);
    shares[i].end = tasks * (i + 1) / count;
  }
  const auto work = [&](int thread) {
    for (int i = 0; i < count; ++i) {
      Share& share = shares[(thread + i) % count];
      const auto take = [&share] { return share.next.fetch_add(1, std::memory_order_relaxed); };
      for (int64_t task = take(); task < share.end; task = take()) body(task, thread);
    }
  };
  const auto enter = [](const void* context, int thread) {
    (*static_cast<const decltype(work)*>(context))(thread);
  };
  run_together(threads, enter, &work);
}

}  // namespace fastconv
