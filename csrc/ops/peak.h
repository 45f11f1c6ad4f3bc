// The fused multiply-adds that one core of this machine reaches, measured: the yardstick of
// explain() and of the benches.
#pragma once

#include <cstddef>

namespace fastconv {

// Floating-point operations a second of the register tile on data in the first-level cache; item is
// 4 (float) or 8 (double). Takes a few milliseconds.
double measure_peak(size_t item);

}  // namespace fastconv
