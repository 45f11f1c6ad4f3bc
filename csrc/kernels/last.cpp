// Compiled once per instruction set; exports one table.
#include "last.h"

namespace fastconv {
extern const LastTable FASTCONV_TABLE(last);
const LastTable FASTCONV_TABLE(last) = {kPanelVectors * kLanes<float>, last_product, last_sum,
                                        last_dot<false>, last_dot<true>};

}  // namespace fastconv
