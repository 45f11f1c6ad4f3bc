#include "registry.h"

#include <stdexcept>

#include "accuracy.h"
#include "memory.h"
#include "rows.h"

namespace fastconv {

const std::vector<const Algorithm*>& algorithms() {
  // Adding an algorithm: one file in ops/, one declaration in rows.h, its rows here.
  static const std::vector<const Algorithm*> rows = {
      &kIm2colForward,  &kIm2colInput,     &kIm2colWeight,     &kDirectForward,  &kDirectInput,
      &kDirectWeight,   &kWinogradForward, &kWinogradInput,    &kWinogradWeight, &kWinograd2Forward,
      &kWinograd2Input, &kWinograd2Weight, &kDepthwiseForward, &kDepthwiseInput, &kDepthwiseWeight,
      &kGroupedForward, &kGroupedInput,    &kGroupedWeight,    &kDenseForward,   &kDenseInput,
      &kDenseWeight,    &kPieces.forward,  &kPieces.input,     &kPieces.weight,  &kPieces2.forward,
      &kPieces2.input,  &kPieces2.weight,  &kBroadcastForward, &kBroadcastInput, &kTransposedInput,
      &kSlabs.forward,  &kSlabs.input,     &kSlabs.weight,     &kSlabs2.forward, &kSlabs2.input,
      &kSlabs2.weight,  &kImagesForward,   &kImagesInput,      &kImagesWeight,   &kLines.forward,
      &kLines.input,    &kLines.weight,
  };
  return rows;
}

std::vector<std::string> algorithm_names(Direction direction) {
  std::vector<std::string> names;
  for (const Algorithm* a : algorithms()) {
    if (a->direction == direction) names.push_back(a->name);
  }
  return names;
}

namespace {

// What a choice depends on beside the problem.
struct Question {
  Direction direction;
  size_t item;
  int threads;
  bool prepared, high_accuracy;
  size_t limit;
  bool operator==(const Question& o) const {
    return direction == o.direction && item == o.item && threads == o.threads &&
           prepared == o.prepared && high_accuracy == o.high_accuracy && limit == o.limit;
  }
};

// The latest choices of a thread: predicting the costs of all rows takes as long as a small layer.
struct Choice {
  ConvProblem problem;
  Question question;
  const Algorithm* algorithm = nullptr;
};
constexpr int kChoices = 4;
thread_local Choice latest[kChoices];
thread_local int oldest = 0;

bool same(const ConvProblem& a, const ConvProblem& b) {
  const auto equal = [](const Dims& x, const Dims& y) {
    return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
  };
  return a.n == b.n && a.c == b.c && a.k == b.k && a.groups == b.groups && equal(a.in, b.in) &&
         equal(a.ker, b.ker) && equal(a.out, b.out) && equal(a.stride, b.stride) &&
         equal(a.dil, b.dil) && equal(a.pad_lo, b.pad_lo) && equal(a.pad_hi, b.pad_hi);
}

const Algorithm* recall(const ConvProblem& p, const Question& question) {
  for (const Choice& c : latest) {
    if (c.algorithm && c.question == question && same(c.problem, p)) return c.algorithm;
  }
  return nullptr;
}

void remember(const ConvProblem& p, const Question& question, const Algorithm* algorithm) {
  latest[oldest] = {p, question, algorithm};
  oldest = (oldest + 1) % kChoices;
}

}  // namespace

const Algorithm& choose(const ConvProblem& p, Direction direction, const std::string& name,
                        size_t item, int threads, bool prepared, const char* caller) {
  const bool automatic = name == "auto";
  const Question question{direction, item, threads, prepared, high_accuracy(), workspace_limit()};
  if (automatic) {
    if (const Algorithm* known = recall(p, question)) return *known;
  }
  const Algorithm* best = nullptr;
  double best_cost = 0;
  std::string fitting, all;
  for (const Algorithm* a : algorithms()) {
    if (a->direction != direction) continue;
    const bool fits = a->supports(p);
    if (!automatic) {
      if (name == a->name && fits) return *a;
      all += (all.empty() ? "" : ", ") + std::string(a->name);
      if (fits) fitting += (fitting.empty() ? "" : ", ") + std::string(a->name);
      continue;
    }
    if (!fits) continue;
    const double cost = a->cost(p, item, prepared);
    if (best && cost >= best_cost) continue;
    if (best && a->workspace(p, item, threads, prepared) > workspace_limit()) continue;
    best = a;
    best_cost = cost;
  }
  if (best) {
    remember(p, question, best);
    return *best;
  }
  const bool known = (", " + all + ",").find(", " + name + ",") != std::string::npos;
  throw std::invalid_argument(std::string(caller) + ": algorithm " +
                              (known
                                   ? "'" + name + "' does not support this problem; these do: "
                                   : "must be 'auto' or one of those that support this problem: ") +
                              fitting + (known ? "" : "; got '" + name + "'"));
}

}  // namespace fastconv
