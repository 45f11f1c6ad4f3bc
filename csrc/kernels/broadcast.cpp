// Compiled once per instruction set; exports one table.
#include "broadcast.h"

namespace fastconv {
namespace {

template <class T>
constexpr BroadcastKernels<T> broadcast_table() {
  return {kLanes<T>, tile_pixels<T, 2>(), broadcast_tiles<T>, broadcast_store<T>};
}

}  // namespace

extern const BroadcastTable FASTCONV_TABLE(broadcast);
const BroadcastTable FASTCONV_TABLE(broadcast) = {broadcast_table<float>(),
                                                  broadcast_table<double>()};
}  // namespace fastconv
