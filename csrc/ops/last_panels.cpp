#include "last_panels.h"

namespace fastconv {

using T = float;

const T* panels_of(Plan& plan, int64_t c, int64_t k) {
  static const char kind = 0;
  const int64_t nr = kernels().last->lanes, lanes = ceil_div(k, nr) * nr;
  return static_cast<const T*>(
      plan.form(&kind, static_cast<size_t>(lanes * (c + 1)) * sizeof(T), [&](void* to) {
        const T *w = static_cast<const T*>(plan.weight()), *b = static_cast<const T*>(plan.bias());
        T* out = static_cast<T*>(to);
        for (int64_t panel = 0; panel < lanes; panel += nr) {
          for (int64_t i = 0; i < c; ++i) {
            for (int64_t j = panel; j < panel + nr; ++j) *out++ = j < k ? w[j * c + i] : T(0);
          }
        }
        for (int64_t j = 0; j < lanes; ++j) *out++ = b && j < k ? b[j] : T(0);
      }));
}

LastProduct last_product(Plan& plan, int64_t depth, int64_t outputs) {
  static constexpr LastPiece whole{0, 0};
  const int64_t lanes = kernels().last->lanes;
  LastProduct g{};
  g.pieces = &whole;
  g.count = 1;
  g.b = panels_of(plan, depth, outputs);
  g.b_panel = depth * lanes;
  g.bias = g.b + ceil_div(outputs, lanes) * g.b_panel;
  g.depth = depth;
  g.outputs = outputs;
  return g;
}

}  // namespace fastconv
