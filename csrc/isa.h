// Which instruction set runs: detected once at import, forced by FASTCONV_ISA.
#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace fastconv {

// Every family of kernels: the type of its table and its name. Adding one is a line here.
#define FASTCONV_FAMILIES(X, isa)   \
  X(BroadcastTable, broadcast, isa) \
  X(DepthwiseTable, depthwise, isa) \
  X(GemmTable, gemm, isa)           \
  X(LastTable, last, isa)           \
  X(LossTable, loss, isa)           \
  X(NormTable, norm, isa)           \
  X(PlaneTable, plane, isa)         \
  X(PointwiseTable, pointwise, isa) \
  X(PoolTable, pool, isa)           \
  X(ResampleTable, resample, isa)   \
  X(UpdateTable, update, isa)       \
  X(WinogradTable, winograd, isa)

// The tables of one instruction set.
struct Kernels {
  const char* isa;  // "baseline", "avx2", "avx512" or "neon"
  int vector_bytes;
#define FASTCONV_FIELD(type, family, isa) const type* family;
  FASTCONV_FAMILIES(FASTCONV_FIELD, )
#undef FASTCONV_FIELD
};

// The tables in use. Never changes after select_isa.
const Kernels& kernels();

// Instruction sets that were compiled in and that this processor and operating system support,
// best first.
std::vector<std::string> available_isas();

// Chooses the best, or the one named (nullptr or "" for the best). Throws std::invalid_argument
// listing the choices.
void select_isa(const char* name);

// The half of a family's table for an element type: of_type<float>(*kernels().gemm).block(...).
template <class T, class Table>
const auto& of_type(const Table& table) {
  if constexpr (sizeof(T) == 4) {
    return table.f32;
  } else {
    return table.f64;
  }
}

}  // namespace fastconv
