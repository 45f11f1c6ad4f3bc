// A prepared convolution: weights copied and brought into the form that the chosen algorithm likes,
// geometry checked, algorithm and scratch known for each input shape that came by. Prepare once,
// run many times, from any thread.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "memory.h"
#include "registry.h"

namespace fastconv {

// What a plan knows of one input shape.
struct PlanEntry {
  Shape input;
  bool high_accuracy;  // as it was set
  ConvProblem problem;
  const Algorithm* algorithm;
  const void* prepared;  // owned by the plan; null where the algorithm has no such form
};

class Plan {
 public:
  // args: geometry; args.input is filled per call. weight and bias are dense copies that the caller
  // keeps alive as long as the plan.
  Plan(const ConvArgs& args, std::string algorithm, Activation activation, size_t item,
       const void* weight, const void* bias);

  // The entry for this input shape, made if need be. Throws what make_conv_problem and choose
  // throw.
  std::shared_ptr<const PlanEntry> entry(const Shape& input);

  // input, residual (or null) and result are dense.
  template <class T>
  void run(const PlanEntry& e, const T* input, const T* residual, T* result) const;

  // Another form of weight and bias, which depends on them alone: made by `make`, once, and kept.
  // `kind` is an address that nobody else uses.
  const void* form(const void* kind, size_t bytes, const std::function<void(void*)>& make);

  const ConvArgs& args() const { return args_; }
  size_t item() const { return item_; }
  bool automatic() const { return algorithm_ == "auto"; }
  Activation activation() const { return activation_; }
  const void* weight() const { return weight_; }
  const void* bias() const { return bias_; }  // or null

 private:
  const void* prepare(const ConvProblem& p, const Algorithm& a);

  ConvArgs args_;
  std::string algorithm_;
  Activation activation_;
  size_t item_;
  const void* weight_;
  const void* bias_;
  std::mutex mutex_;
  std::list<std::shared_ptr<const PlanEntry>> entries_;       // most recent first, at most kShapes
  std::map<const void*, std::unique_ptr<Scratch>> prepared_;  // by algorithm or kind of form
};

}  // namespace fastconv
