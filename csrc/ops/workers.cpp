#include "workers.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <new>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fastconv {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr int kMostWorkers = 1023;  // with the caller as many as set_num_threads allows
// How long an idle worker keeps its processor, how long it then offers it to others before it
// sleeps: waking it costs some microseconds.
constexpr Clock::duration kSpin = 20us, kYield = 5ms;

#if defined(__x86_64__)
using FloatMode = unsigned;
FloatMode float_mode() {
  return _mm_getcsr();
}
void set_float_mode(FloatMode m) {
  _mm_setcsr(m);
}
void pause() {
  _mm_pause();
}
#elif defined(__aarch64__)
using FloatMode = uint64_t;
FloatMode float_mode() {
  uint64_t m;
  asm volatile("mrs %0, fpcr" : "=r"(m));
  return m;
}
void set_float_mode(FloatMode m) {
  asm volatile("msr fpcr, %0" ::"r"(m));
}
void pause() {
  asm volatile("isb");  // some 20 ns; `yield` is none
}
#else
using FloatMode = int;
FloatMode float_mode() {
  return 0;
}
void set_float_mode(FloatMode) {}
void pause() {}
#endif

// Waits for `ready` as its threads do: spinning, then yielding, for at most `limit`.
template <class Ready>
bool wait(const Ready& ready, Clock::duration limit) {
  for (int i = 0; i < 100; ++i) {
    if (ready()) return true;
    pause();
  }
  const Clock::time_point begin = Clock::now();
  for (;;) {
    const Clock::duration waited = Clock::now() - begin;
    if (waited >= limit) return ready();
    for (int i = 0; i < 10; ++i) {
      if (ready()) return true;
      if (waited < kSpin) {
        pause();
      } else {
        sched_yield();
      }
    }
  }
}

enum State : int {
  kAbsent,    // has no thread yet
  kFree,      // no caller has it
  kClaimed,   // by a caller, which is writing the job
  kOffered,   // the caller may still take it back
  kTaken,     // the worker is in it
  kFinished,  // the caller has to see it
  kLeaving,   // to end its thread
};

struct Job {
  void (*work)(const void*, int);
  const void* context;
  int thread;
  FloatMode mode;
};

struct alignas(64) Worker {
  std::atomic<int> state{kAbsent};
  std::atomic<bool> asleep{false};
  Job job{};  // written while claimed, read while taken
  pthread_t thread{};
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;  // for sleeping only
  pthread_cond_t bell = PTHREAD_COND_INITIALIZER;

  // The worker's side -----------------------------------------------------------------------------

  bool called() const {
    const int now = state.load();
    return now == kOffered || now == kLeaving;
  }

  void await() {
    if (wait([this] { return called(); }, kYield)) return;
    pthread_mutex_lock(&lock);
    asleep.store(true);  // before it looks again: whoever calls too late to be seen sees this
    while (!called()) pthread_cond_wait(&bell, &lock);
    asleep.store(false);
    pthread_mutex_unlock(&lock);
  }

  void serve() {
    for (;;) {
      await();
      int expected = kOffered;
      if (state.compare_exchange_strong(expected, kTaken)) {
        set_float_mode(job.mode);
        job.work(job.context, job.thread);
        state.store(kFinished, std::memory_order_release);
      } else if (expected == kLeaving) {
        return;
      }
    }
  }

  // The caller's side -----------------------------------------------------------------------------

  void call(State to) {
    state.store(to);
    if (!asleep.load()) return;
    pthread_mutex_lock(&lock);
    pthread_cond_signal(&bell);
    pthread_mutex_unlock(&lock);
  }

  bool change(int from, int to) {
    return state.load(std::memory_order_relaxed) == from && state.compare_exchange_strong(from, to);
  }

  bool start() {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for the threads of the program
    const auto enter = [](void* self) -> void* {
      static_cast<Worker*>(self)->serve();
      return nullptr;
    };
    const bool started = pthread_create(&thread, nullptr, enter, this) == 0;
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started;
  }

  // Whether it is the caller's now.
  bool claim() {
    if (change(kFree, kClaimed)) return true;
    if (!change(kAbsent, kClaimed)) return false;
    if (start()) return true;
    state.store(kAbsent);
    return false;
  }

  // Takes it back from a job that it has not begun, or after having ended it.
  void release() {
    if (change(kOffered, kFree)) return;
    while (!wait([this] { return state.load(std::memory_order_acquire) == kFinished; }, 1h)) {
    }
    state.store(kFree);
  }

  void dismiss() {
    if (!change(kFree, kClaimed)) return;
    call(kLeaving);
    pthread_join(thread, nullptr);
    state.store(kAbsent);
  }
};

Worker workers[kMostWorkers];  // never destroyed: they may be asleep when the process ends

// Ends the threads that no caller has: CPython warns of forks in processes that have any.
void before_fork() {
  for (Worker& worker : workers) worker.dismiss();
}

// The threads that were left are not there.
void in_child() {
  for (Worker& worker : workers) {
    if (worker.state.load() != kAbsent) new (&worker) Worker;
  }
}

}  // namespace

void run_together(int threads, void (*work)(const void*, int), const void* context) {
  // Only the first so many workers: callers side by side that want as many threads as there are
  // processors share those, instead of crowding them.
  const int most = threads - 1 < kMostWorkers ? threads - 1 : kMostWorkers;
  uint64_t mine[kMostWorkers / 64 + 1];
  for (int i = 0; i <= most / 64; ++i) mine[i] = 0;
  const FloatMode mode = float_mode();
  for (int i = 0; i < most; ++i) {
    if (!workers[i].claim()) continue;
    mine[i / 64] |= uint64_t{1} << i % 64;
    workers[i].job = {work, context, i + 1, mode};
    workers[i].call(kOffered);
  }
  work(context, 0);
  for (int i = 0; i < most; ++i) {
    if (mine[i / 64] >> i % 64 & 1) workers[i].release();
  }
}

bool workers_awake() {
  return workers[0].state.load(std::memory_order_relaxed) != kAbsent &&
         !workers[0].asleep.load(std::memory_order_relaxed);
}

void install_fork_handler() {
  pthread_atfork(before_fork, nullptr, in_child);
}

}  // namespace fastconv
