// Compiled once per instruction set; exports one table.
#include "plane.h"

#include "plane_dot.h"
#include "plane_lanes.h"
#include "plane_spread.h"

namespace fastconv {
namespace {

// x - x is NaN where x is not finite.
template <class T>
bool all_finite(const T* x, ptrdiff_t n) {
  constexpr int L = kLanes<T>;
  Vec<T> sum{};
  ptrdiff_t i = 0;
  for (; i + L <= n; i += L) {
    const Vec<T> v = load(x + i);
    sum += v - v;
  }
  if (i < n) {
    const Vec<T> v = load_part(x + i, static_cast<int>(n - i));
    sum += v - v;
  }
  bool finite = true;
  for (int l = 0; l < L; ++l) finite &= sum[l] == T(0);
  return finite;
}

// Doubles and the narrow vectors of SSE2 have less to gain than this code is large: their table is
// empty, its most_cols 0, and strips serve them.
template <class T>
constexpr PlaneKernels<T> plane_table() {
  if constexpr (sizeof(T) == 8 || (kVectorBytes == 16 && kRegisters == 16)) {
    return {};
  } else {
    return {kPlaneCols,
            kPlaneVectors * kLanes<T>,
            plane_sum<T>,
            plane_spread<T>,
            plane_lanes<T>,
            whole_planes<T>,
            plane_reach<T, PlaneSum>,
            plane_dot<T>,
            plane_reach<T, PlaneDots>,
            all_finite<T>};
  }
}

}  // namespace

extern const PlaneTable FASTCONV_TABLE(plane);
const PlaneTable FASTCONV_TABLE(plane) = {plane_table<float>(), plane_table<double>()};
}  // namespace fastconv
