#include "plan.h"

#include "accuracy.h"
#include "conv.h"
#include "parallel.h"

namespace fastconv {
namespace {
constexpr size_t kShapes = 16;
}

Plan::Plan(const ConvArgs& args, std::string algorithm, Activation activation, size_t item,
           const void* weight, const void* bias)
    : args_(args),
      algorithm_(std::move(algorithm)),
      activation_(activation),
      item_(item),
      weight_(weight),
      bias_(bias) {}

std::shared_ptr<const PlanEntry> Plan::entry(const Shape& input) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if ((*it)->input == input && (*it)->high_accuracy == high_accuracy()) {
      entries_.splice(entries_.begin(), entries_, it);
      return entries_.front();
    }
  }
  auto e = std::make_shared<PlanEntry>();
  e->input = input;
  e->high_accuracy = high_accuracy();
  ConvArgs args = args_;
  args.input = input;
  e->problem = make_conv_problem(args);
  const int threads = useful_threads(e->problem, num_threads());
  e->algorithm =
      &choose(e->problem, Direction::forward, algorithm_, item_, threads, true, args_.name);
  e->prepared = prepare(e->problem, *e->algorithm);
  entries_.push_front(std::move(e));
  if (entries_.size() > kShapes) entries_.pop_back();
  return entries_.front();
}

// The prepared form depends on the weight alone, so shapes share it.
const void* Plan::prepare(const ConvProblem& p, const Algorithm& a) {
  const size_t bytes = a.prepared_bytes(p, item_);
  if (bytes == 0) return nullptr;
  std::unique_ptr<Scratch>& kept = prepared_[&a];
  if (!kept) {
    auto fresh = std::make_unique<Scratch>(bytes);
    const int threads = num_threads();
    if (item_ == 4) {
      a.f32.prepare(p, static_cast<const float*>(weight_), fresh->data(), threads);
    } else {
      a.f64.prepare(p, static_cast<const double*>(weight_), fresh->data(), threads);
    }
    kept = std::move(fresh);
  }
  return kept->data();
}

const void* Plan::form(const void* kind, size_t bytes, const std::function<void(void*)>& make) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::unique_ptr<Scratch>& kept = prepared_[kind];
  if (!kept) {
    auto fresh = std::make_unique<Scratch>(bytes);
    make(fresh->data());
    kept = std::move(fresh);
  }
  return kept->data();
}

template <class T>
void Plan::run(const PlanEntry& e, const T* input, const T* residual, T* result) const {
  ConvCall<T> call;
  call.p = &e.problem;
  call.input = input;
  call.weight = static_cast<const T*>(weight_);
  call.bias = static_cast<const T*>(bias_);
  call.residual = residual;
  call.activation = activation_;
  call.result = result;
  call.prepared = e.prepared;
  call.threads = useful_threads(e.problem, num_threads());
  convolve(call, *e.algorithm);
}

template void Plan::run<float>(const PlanEntry&, const float*, const float*, float*) const;
template void Plan::run<double>(const PlanEntry&, const double*, const double*, double*) const;

}  // namespace fastconv
