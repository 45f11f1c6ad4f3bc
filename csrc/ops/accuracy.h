// Whether algorithms that lose accuracy may be chosen: a setting of the whole process.
#pragma once

namespace fastconv {

// F(4x4, 3x3), several times less accurate than plain sums, is then never the automatic choice.
bool high_accuracy();
void set_high_accuracy(bool high);

}  // namespace fastconv
