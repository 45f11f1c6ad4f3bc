#include "parallel.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace fastconv {
namespace {

using namespace std::chrono_literals;

std::atomic<int> limit{0};           // 0: not decided yet
std::atomic<bool> pool_lost{false};  // see single_thread_only
std::atomic<bool> pause_refused{false};
std::atomic<int64_t> called{std::numeric_limits<int64_t>::min() / 2};  // when threads were last

// cgroup v2 "max 100000" or "150000 100000" (microseconds of CPU per period), v1 in two files.
int quota_cpus() {
  double quota = -1, period = 100000;
  if (FILE* f = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    char text[64];
    if (std::fscanf(f, "%63s %lf", text, &period) == 2 && std::strcmp(text, "max") != 0) {
      quota = std::atof(text);
    }
    std::fclose(f);
  } else if (FILE* q = std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r")) {
    if (std::fscanf(q, "%lf", &quota) != 1) quota = -1;
    std::fclose(q);
    if (FILE* p = std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r")) {
      if (std::fscanf(p, "%lf", &period) != 1) period = 100000;
      std::fclose(p);
    }
  }
  if (quota <= 0 || period <= 0) return 1 << 20;
  return std::max(1, static_cast<int>(quota / period + 0.5));
}

int default_threads() {
  for (const char* name : {"FASTCONV_NUM_THREADS", "OMP_NUM_THREADS"}) {
    if (const char* text = std::getenv(name)) {
      const int n = std::atoi(text);
      if (n >= 1) return std::min(n, 1024);
    }
  }
  cpu_set_t set;
  int cpus = 1;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cpus = std::max(1, CPU_COUNT(&set));
  return std::min(cpus, quota_cpus());
}

// GCC's runtime keeps a pool of threads that a forked child inherits without its threads: the next
// parallel region there waits forever. Asking the runtime, in the parent and just before the fork,
// to release its pool leaves the child (and the parent) with a clean one. LLVM's and Intel's
// runtimes handle fork themselves and must not be asked.
#if defined(_OPENMP)
using PauseAll = int (*)(int);
PauseAll pause_all = nullptr;

void before_fork() {
  constexpr int kHard = 2;  // omp_pause_hard
  pause_refused = pause_all != nullptr && pause_all(kHard) != 0;
}

void in_child() {
  if (pause_refused) pool_lost = true;
}
#endif

}  // namespace

int num_threads() {
  int n = limit.load(std::memory_order_relaxed);
  if (n == 0) {
    n = default_threads();
    limit.store(n, std::memory_order_relaxed);
  }
  return n;
}

void set_num_threads(int n) {
  limit.store(n, std::memory_order_relaxed);
}

bool single_thread_only() {
  return pool_lost.load(std::memory_order_relaxed);
}

int useful_threads(double flops, int threads) {
  if (threads <= 1) return 1;
  // Some 20 microseconds of one core's work for each thread, since waking one costs several; less
  // than half of that where they are awake: having worked, they spin for a while before they sleep.
  constexpr double kAsleep = 3e6, kAwake = 1.2e6;
  constexpr int64_t kSpin = 5'000'000;  // nanoseconds, with what they may have worked since
  if (flops < 2 * kAwake) return 1;
  const int64_t now = std::chrono::steady_clock::now().time_since_epoch() / 1ns;
  const int64_t since = now - called.load(std::memory_order_relaxed);
  const double deserved = flops / (since < kSpin ? kAwake : kAsleep);
  if (deserved < 2) return 1;
  called.store(now, std::memory_order_relaxed);
  return static_cast<int>(std::min<double>(threads, deserved));
}

const char* openmp_runtime() {
#if defined(_OPENMP)
  return dlsym(RTLD_DEFAULT, "GOMP_parallel") != nullptr &&
                 dlsym(RTLD_DEFAULT, "__kmpc_fork_call") == nullptr
             ? "libgomp"
             : "libomp";
#else
  return "none";
#endif
}

void install_fork_handler() {
#if defined(_OPENMP)
  // The runtime that our own symbols resolve to: libomp also exports GOMP_parallel, libgomp does
  // not export __kmpc_fork_call.
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&omp_get_max_threads), &info) && info.dli_fname &&
      std::strstr(info.dli_fname, "gomp")) {
    if (void* self = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD)) {
      pause_all = reinterpret_cast<PauseAll>(dlsym(self, "omp_pause_resource_all"));
    }
  }
  pthread_atfork(before_fork, nullptr, in_child);
#endif
}

}  // namespace fastconv
