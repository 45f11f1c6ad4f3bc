// Operators that follow each other at once find the team of threads awake: waiting threads spin for
// a while before they sleep. Less work then is worth another thread.
#pragma once

#include <cstddef>

namespace fastconv {

// Alive while this thread runs this many operators one right after the other.
class Succession {
 public:
  explicit Succession(size_t operators) : counts_(operators > 3) { depth_ += counts_; }
  ~Succession() { depth_ -= counts_; }
  Succession(const Succession&) = delete;
  Succession& operator=(const Succession&) = delete;
  static bool under_way() { return depth_ > 0; }

 private:
  const int counts_;
  static thread_local int depth_;
};

}  // namespace fastconv
