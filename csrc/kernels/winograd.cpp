// Compiled once per instruction set; exports one table.
#include "winograd.h"

namespace fastconv {
extern const WinogradTable FASTCONV_TABLE(winograd);
const WinogradTable FASTCONV_TABLE(winograd) = {winograd_table<float>(), winograd_table<double>()};
}  // namespace fastconv
