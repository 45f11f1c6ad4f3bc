// Convolutions of channels-last pictures where they lie, forward and back to the input: both sum
// over taps, of the picture or of the outputs that an element meets. Positions whose taps are alike
// go together.
#pragma once

#include <limits>
#include <vector>

#include "memory.h"
#include "registry.h"

namespace fastconv {

// Lanes of a vector.
inline int64_t vector_lanes() {
  return kernels().vector_bytes / static_cast<int64_t>(sizeof(float));
}

// Positions `to`, to + to_step ... of an axis of the result, `count` of them, made of as many taps
// each. The first one's first tap is `from` in the source, the next one's from_step further; the
// taps of each are tap_step apart. `place` is the first tap's place among the weights.
struct Stretch {
  int64_t count;
  int64_t to, to_step, from, from_step;
  int64_t taps, tap_step, place;
};

// One call; weights in C order, all else channels-last. bias may be null.
struct LastCall {
  const ConvProblem& p;
  bool input;  // the gradient of the input from that of the output
  const float *from, *weight, *bias;
  float lo, hi;
  float* to;
  int threads;

  const int64_t* in() const { return input ? p.out : p.in; }
  const int64_t* out() const { return input ? p.in : p.out; }
  int64_t depth() const { return input ? p.k : p.c; }
  int64_t channels() const { return input ? p.c : p.k; }
};

// The positions of an axis of the result.
std::vector<Stretch> stretches(const LastCall& call, int axis);

// Rows of the result as tasks: some of a stretch each.
class Bands {
 public:
  // `most`: rows of a band.
  Bands(const LastCall& call, int64_t most);
  int64_t count() const { return static_cast<int64_t>(bands_.size()); }
  int64_t most() const { return most_; }
  const Stretch& operator[](int64_t i) const { return bands_[static_cast<size_t>(i)]; }

 private:
  int64_t most_;
  std::vector<Stretch> bands_;
};

// Depthwise: sums a vector of channels at a time.
class LastSums {
 public:
  explicit LastSums(const LastCall& call);
  int64_t bands() const { return bands_.count(); }
  void run(int64_t image, int64_t band, int thread) const;

 private:
  LastCall call_;
  std::vector<Stretch> columns_;
  Bands bands_;
  int64_t line_;
  size_t listed_;  // bytes of a thread's list of taps
  Scratch scratch_;
  std::vector<const float*> weights_;  // of the columns
  const float* start_;                 // the bias
  char* lists_;
};

// All channels: products with panels of weights.
void multiply_last(const LastCall& call);

}  // namespace fastconv
