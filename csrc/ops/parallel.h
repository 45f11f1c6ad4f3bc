// The only file that names OpenMP. Outputs are split between threads, never sums, so results do
// not depend on the number of threads.
#pragma once

#include <atomic>
#include <cstdint>
#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fastconv {

// Threads that a call may use: FASTCONV_NUM_THREADS, else OMP_NUM_THREADS, else the processors this
// process may run on, less what a cgroup's CPU quota takes away.
int num_threads();
void set_num_threads(int n);  // n >= 1

// What the OpenMP runtime is, for build_info: "libgomp", "libomp", "none".
const char* openmp_runtime();

// Makes fork() safe: see parallel.cpp. Called once at import.
void install_fork_handler();

// True in the child of a fork that happened where the runtime could not be paused; such a child
// stays at one thread.
bool single_thread_only();

// How many of `threads` a problem of this much work deserves: waking a thread costs a few
// microseconds, so small problems run on fewer.
int useful_threads(double flops, int threads);

#if defined(__x86_64__)
using FloatMode = unsigned;
inline FloatMode float_mode() {
  return _mm_getcsr();
}
inline void set_float_mode(FloatMode m) {
  _mm_setcsr(m);
}
#elif defined(__aarch64__)
using FloatMode = uint64_t;
inline FloatMode float_mode() {
  uint64_t m;
  asm volatile("mrs %0, fpcr" : "=r"(m));
  return m;
}
inline void set_float_mode(FloatMode m) {
  asm volatile("msr fpcr, %0" ::"r"(m));
}
#else
using FloatMode = int;
inline FloatMode float_mode() {
  return 0;
}
inline void set_float_mode(FloatMode) {}
#endif

// A run of tasks that one thread takes first, the same in one call after the other: what it wrote
// last time is then in its own caches, not in another core's. Afterwards it helps the others.
struct alignas(64) Share {
  std::atomic<int64_t> next;
  int64_t end;
};
constexpr int kMostShares = 64;

// body(task, thread) for every task in [0, tasks), on at most `threads` threads. The body must not
// throw and must not allocate. Workers run in the caller's floating-point mode (a pool thread may
// have been born under another).
template <class Body>
void parallel_for(int64_t tasks, int threads, const Body& body) noexcept {
  if (threads > tasks) threads = static_cast<int>(tasks);
#if defined(_OPENMP)
  if (threads > 1 && !single_thread_only()) {
    const FloatMode mode = float_mode();
    const int count = threads < kMostShares ? threads : kMostShares;
    Share shares[kMostShares];
    for (int i = 0; i < count; ++i) {
      shares[i].next.store(tasks * i / count, std::memory_order_relaxed);
      shares[i].end = tasks * (i + 1) / count;
    }
#pragma omp parallel num_threads(threads)
    {
      const FloatMode own = float_mode();
      set_float_mode(mode);
      const int thread = omp_get_thread_num();
      for (int i = 0; i < count; ++i) {
        Share& share = shares[(thread + i) % count];
        const auto take = [&share] { return share.next.fetch_add(1, std::memory_order_relaxed); };
        for (int64_t task = take(); task < share.end; task = take()) body(task, thread);
      }
      set_float_mode(own);
    }
    return;
  }
#endif
  for (int64_t task = 0; task < tasks; ++task) body(task, 0);
}

}  // namespace fastconv
