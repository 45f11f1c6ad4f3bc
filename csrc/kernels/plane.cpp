// Compiled once per instruction set; exports one table.
#include "plane.h"

#include "plane_dot.h"
#include "plane_spread.h"

namespace fastconv {
namespace {

template <class T>
constexpr PlaneKernels<T> plane_table() {
  return {kPlaneCols,      kPlaneVectors * kLanes<T>, plane_sum<T>,
          plane_spread<T>, whole_planes<T>,           plane_reach<T, PlaneSum>,
          plane_dot<T>,    plane_reach<T, PlaneDots>, all_finite<T>};
}

}  // namespace

extern const PlaneTable FASTCONV_TABLE(plane);
const PlaneTable FASTCONV_TABLE(plane) = {plane_table<float>(), plane_table<double>()};
}  // namespace fastconv
