// Compiled once per instruction set; exports one table.
#include "gemm.h"

#include "dot.h"
#include "pack.h"
#include "panel.h"
#include "strip_rows.h"
#include "turn.h"

namespace fastconv {
namespace {

template <class T>
constexpr GemmKernels<T> gemm_table() {
  return {kTileRows,         kTileLanes<T>, gemm_block<T>, pack_panel<T>, pack_halves<T>,
          fill_rows<T>,      spread<T>,     weave<T>,      sum<T>,        transpose<T>,
          transpose_rows<T>, turn<T>,       dot<T>,        fold<T>};
}

}  // namespace

extern const GemmTable FASTCONV_TABLE(gemm);
const GemmTable FASTCONV_TABLE(gemm) = {gemm_table<float>(), gemm_table<double>()};
}  // namespace fastconv
