// Threads of our own, in place of an OpenMP runtime's. What OpenMP cannot do: leave a region
// without those threads that have not begun in it. Where another process holds a processor,
// OpenMP's barrier waits milliseconds for a thread that was never needed; here the caller does its
// part as well.
#pragma once

namespace fastconv {

// work(context, thread) on the caller's thread, as thread 0, and on up to threads - 1 others, each
// with its own number below `threads`; returns when all that began have ended. Others may come late
// or not at all (busy with another caller, or not scheduled in time), so `work` must share its
// tasks out as it goes. It must not throw. Workers run in the caller's floating-point mode.
void run_together(int threads, void (*work)(const void* context, int thread), const void* context);

// Whether there is a worker that would begin at once: they spin for a while before they sleep.
bool workers_awake();

// Called once at import. Forks then happen with no idle worker alive: the child, and the parent's
// next call, start new ones.
void install_fork_handler();

}  // namespace fastconv
