#include "accuracy.h"

#include <atomic>

namespace fastconv {
namespace {
std::atomic<bool> high{false};
}

bool high_accuracy() {
  return high.load(std::memory_order_relaxed);
}

void set_high_accuracy(bool value) {
  high.store(value, std::memory_order_relaxed);
}

}  // namespace fastconv
