// The contracts between ops/ (compiled once) and kernels/ (compiled once per instruction set):
// plain structs and function pointers. Tile geometry travels with the kernels, so loops in ops/
// never ask which instruction set runs.
//
// A family of kernels is one header kernels/<family>.h (the code), one file kernels/<family>.cpp
// (exports the family's table) and one header contracts/<family>.h (what the table promises).
#pragma once

#include "contracts/broadcast.h"
#include "contracts/depthwise.h"
#include "contracts/gemm.h"
#include "contracts/last.h"
#include "contracts/loss.h"
#include "contracts/plane.h"
#include "contracts/pool.h"
#include "contracts/resample.h"
#include "contracts/rows.h"
#include "contracts/winograd.h"

// The name under which kernels/<family>.cpp exports its table for the instruction set it is
// compiled for, e.g. fastconv_gemm_avx2.
#define FASTCONV_JOIN2(family, isa) fastconv_##family##_##isa
#define FASTCONV_JOIN(family, isa) FASTCONV_JOIN2(family, isa)
#define FASTCONV_TABLE(family) FASTCONV_JOIN(family, FASTCONV_ISA_NAME)
