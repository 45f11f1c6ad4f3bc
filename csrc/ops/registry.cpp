#include "registry.h"

#include <stdexcept>

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
      &kDenseWeight,    &kDilatedForward,  &kDilatedInput,     &kDilatedWeight,  &kDilated2Forward,
      &kDilated2Input,  &kDilated2Weight,  &kBroadcastForward, &kBroadcastInput, &kTransposedInput,
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

const Algorithm& choose(const ConvProblem& p, Direction direction, const std::string& name,
                        size_t item, int threads, bool prepared, const char* caller) {
  const Algorithm* best = nullptr;
  double best_cost = 0;
  std::string fitting, all;
  const bool automatic = name == "auto";
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
  if (best) return *best;
  const bool known = (", " + all + ",").find(", " + name + ",") != std::string::npos;
  throw std::invalid_argument(std::string(caller) + ": algorithm " +
                              (known
                                   ? "'" + name + "' does not support this problem; these do: "
                                   : "must be 'auto' or one of those that support this problem: ") +
                              fitting + (known ? "" : "; got '" + name + "'"));
}

}  // namespace fastconv
