#include "memory.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>

namespace fastconv {
namespace {

constexpr size_t kHuge = size_t{2} << 20;
constexpr int kClasses = 320;  // eight per power of two, from 64 bytes up

// Every block starts with its class; the user's part follows after `skew` bytes.
struct Header {
  Header* next;  // in the free list
  void* origin;  // what the system gave
  size_t bytes;  // of the user's part
  int size_class;
};
constexpr size_t kHeader = 64;
static_assert(sizeof(Header) <= kHeader);

int size_class(size_t bytes) {
  size_t units = (std::max<size_t>(bytes, 64) + 63) / 64;
  int shift = 0;
  while (units > 15) {
    units = (units + 1) / 2;
    ++shift;
  }
  return shift * 8 + static_cast<int>(units);  // units is 8..15 once shift > 0
}

size_t class_bytes(int c) {
  const int shift = c < 16 ? 0 : c / 8 - 1;
  const size_t units = static_cast<size_t>(c - shift * 8);
  return (units << shift) * 64;
}

struct Pool {
  std::mutex mutex;
  Header* free[kClasses] = {};
  MemoryStats stats{0, 0, size_t{512} << 20, 0, 0};
  unsigned skew = 0;
};

Pool& pool() {
  // Never destroyed: arrays may outlive the interpreter's teardown. A fork waits for the lock, or
  // the child would inherit it held by a thread that it does not have.
  static Pool* p = [] {
    auto* made = new Pool;
    pthread_atfork([] { pool().mutex.lock(); }, [] { pool().mutex.unlock(); },
                   [] { pool().mutex.unlock(); });
    return made;
  }();
  return *p;
}

Header* header_of(void* block) {
  return reinterpret_cast<Header*>(static_cast<char*>(block) - kHeader);
}

// Blocks of one size that all start at the same offset of a page would compete for the same sets
// of a cache: the start moves by two lines from block to block.
Header* fresh_block(size_t bytes, unsigned skew) {
  const size_t offset = (skew % 16) * 128;
  const size_t total = bytes + kHeader + offset + 64;
  const size_t align = total >= 2 * kHuge ? kHuge : 64;
  void* origin = nullptr;
  if (posix_memalign(&origin, align, total) != 0) throw std::bad_alloc();
  if (align == kHuge) madvise(origin, total, MADV_HUGEPAGE);
  auto* h = reinterpret_cast<Header*>(static_cast<char*>(origin) + offset);
  h->origin = origin;
  h->bytes = bytes;
  return h;
}

std::atomic<size_t> workspace{size_t{256} << 20};

}  // namespace

void* acquire(size_t bytes) {
  if (bytes > (size_t{1} << 47)) throw std::bad_alloc();
  const int c = size_class(bytes);
  Pool& p = pool();
  unsigned skew;
  {
    std::lock_guard<std::mutex> lock(p.mutex);
    if (Header* h = p.free[c]) {
      p.free[c] = h->next;
      p.stats.cached -= h->bytes;
      p.stats.in_use += h->bytes;
      ++p.stats.reused;
      return reinterpret_cast<char*>(h) + kHeader;
    }
    skew = p.skew++;
  }
  Header* h = fresh_block(class_bytes(c), skew);
  h->size_class = c;
  std::lock_guard<std::mutex> lock(p.mutex);
  p.stats.in_use += h->bytes;
  ++p.stats.fresh;
  return reinterpret_cast<char*>(h) + kHeader;
}

void release(void* block) noexcept {
  if (!block) return;
  Header* h = header_of(block);
  Pool& p = pool();
  {
    std::lock_guard<std::mutex> lock(p.mutex);
    p.stats.in_use -= h->bytes;
    if (p.stats.cached + h->bytes <= p.stats.limit) {
      p.stats.cached += h->bytes;
      h->next = p.free[h->size_class];
      p.free[h->size_class] = h;
      return;
    }
  }
  std::free(h->origin);
}

MemoryStats memory_stats() {
  Pool& p = pool();
  std::lock_guard<std::mutex> lock(p.mutex);
  return p.stats;
}

void empty_cache() noexcept {
  Pool& p = pool();
  std::lock_guard<std::mutex> lock(p.mutex);
  for (Header*& list : p.free) {
    while (Header* h = list) {
      list = h->next;
      p.stats.cached -= h->bytes;
      std::free(h->origin);
    }
  }
}

void set_cache_limit(size_t bytes) noexcept {
  {
    Pool& p = pool();
    std::lock_guard<std::mutex> lock(p.mutex);
    p.stats.limit = bytes;
    if (p.stats.cached <= bytes) return;
  }
  empty_cache();
}

size_t workspace_limit() {
  return workspace.load(std::memory_order_relaxed);
}
void set_workspace_limit(size_t bytes) {
  workspace.store(bytes, std::memory_order_relaxed);
}

size_t l2_bytes() {
  static const size_t bytes = [] {
    const long found = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return found > 0 ? static_cast<size_t>(found) : size_t{512} << 10;
  }();
  return bytes;
}

}  // namespace fastconv
