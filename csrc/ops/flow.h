// Programs that read what others wrote, as a network's branches do: planned once, all that lies
// between inputs and outputs in one piece of scratch, and run in one call.
#pragma once

#include <vector>

#include "program.h"

namespace fastconv {

class Flow {
 public:
  // Values are numbered: first the inputs, then the result of each step, in the order in which
  // they are added here. Shapes and programs must fit each other, which the caller has checked.
  int input(const Shape& shape, size_t item);
  // parts: one value, or several that are read side by side along the channels. residual: a value
  // or -1. The program must outlive the flow.
  int step(const Program& program, std::vector<int> parts, int residual);
  // These values side by side along the channels.
  int join(std::vector<int> parts);
  // After the last step: the results of steps that the caller wants, each at most once.
  void finish(const std::vector<int>& outputs);

  const Shape& shape(int value) const { return values_[static_cast<size_t>(value)].shape; }
  size_t item(int value) const { return values_[static_cast<size_t>(value)].item; }
  int inputs() const { return inputs_; }
  int values() const { return static_cast<int>(values_.size()); }
  const std::vector<int>& outputs() const { return outputs_; }

  // inputs, outputs: dense arrays in their orders.
  void run(const std::vector<const void*>& inputs, const std::vector<void*>& outputs) const;

 private:
  struct Value {
    Shape shape;
    size_t item;
    const Program* program;  // null: an input or a join
    std::vector<int> parts;
    int residual;
    int output = -1;    // its number among the outputs
    int inside = -1;    // the join in whose result it is written, or what it is written over
    size_t offset = 0;  // there or in the scratch
    size_t bytes() const;
  };
  int add(const Shape& shape, size_t item, const Program* program, std::vector<int> parts,
          int residual);
  void settle_parts(int join);
  void settle_sum(int v, int last);
  void place(const std::vector<int>& last);

  std::vector<Value> values_;
  std::vector<int> outputs_;
  int inputs_ = 0;
  size_t scratch_ = 0;
};

}  // namespace fastconv
