// Compiled once per instruction set; exports one table.
#include "update.h"

namespace fastconv {
extern const UpdateTable FASTCONV_TABLE(update);
const UpdateTable FASTCONV_TABLE(update) = {update_table<float>(), update_table<double>()};
}  // namespace fastconv
