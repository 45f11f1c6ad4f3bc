#include "parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace fastconv {
namespace {

std::atomic<int> limit{0};  // 0: not decided yet

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

int useful_threads(double flops, int threads) {
  if (threads <= 1) return 1;
  // Some 20 microseconds of one core's work for each thread, since waking one costs several; less
  // than half of that where they are awake.
  constexpr double kAsleep = 3e6, kAwake = 1.2e6;
  if (flops < 2 * kAwake) return 1;
  const double deserved = flops / (workers_awake() ? kAwake : kAsleep);
  return deserved < 2 ? 1 : static_cast<int>(std::min<double>(threads, deserved));
}

}  // namespace fastconv
