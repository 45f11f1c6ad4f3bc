// Recycled, 64-byte aligned memory behind all scratch and every large output. Fresh pages cost the
// kernel up to 3 microseconds per 4 KiB, more than most operators spend on them, so blocks are kept
// and handed out again, up to a bound. Safe to use from any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastconv {

void* acquire(size_t bytes);  // throws std::bad_alloc
void release(void* block) noexcept;

struct MemoryStats {
  size_t in_use;    // bytes handed out
  size_t cached;    // bytes kept for reuse
  size_t limit;     // bytes that may be kept
  uint64_t reused;  // acquisitions served from the cache
  uint64_t fresh;   // acquisitions that asked the system
};
MemoryStats memory_stats();
void empty_cache() noexcept;
void set_cache_limit(size_t bytes) noexcept;

// The most scratch that one call may ask for; algorithms that need more are not chosen.
size_t workspace_limit();
void set_workspace_limit(size_t bytes);

// The second-level cache of one core, which block sizes follow.
size_t l2_bytes();

// A size for scratch that comes and goes, rounded up to one of few: scratch of many sizes then is
// the same memory again and again, and stays in the caches.
inline size_t common_size(size_t bytes) {
  size_t size = size_t{1} << 20;
  while (size < bytes) size *= 4;
  return size;
}

// One allocation cut into aligned arrays, released at the end of the scope.
class Scratch {
 public:
  explicit Scratch(size_t bytes) : base_(static_cast<char*>(acquire(bytes + 64))), size_(bytes) {}
  ~Scratch() { release(base_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  char* data() const { return base_; }
  size_t size() const { return size_; }

 private:
  char* base_;
  size_t size_;
};

// Hands out consecutive arrays of a piece of scratch.
class Carver {
 public:
  explicit Carver(char* at) : at_(at) {}
  template <class T>
  T* take(size_t count) {
    T* p = reinterpret_cast<T*>(at_);
    at_ += bytes<T>(count);
    return p;
  }
  // What take<T>(count) consumes. An odd number of cache lines keeps arrays of equal size from
  // falling into the same sets.
  template <class T>
  static size_t bytes(size_t count) {
    return ((count * sizeof(T) + 63) / 64 | 1) * 64;
  }

 private:
  char* at_;
};

}  // namespace fastconv
