// Products of matrices, as the 1x1 convolutions that they are: a batch is that many groups.
#pragma once

#include <cstdint>

namespace fastconv {

// How a matrix lies in memory: by its rows, or by its columns (the transpose of one by its rows).
enum class Lies { rows, columns };

// out (batch, M, N) = a (batch, M, K) times b (batch, K, N), all extents at least 1; a and b not
// both by columns.
template <class T>
void matrix_product(const T* a, Lies a_lies, const T* b, Lies b_lies, int64_t batch, int64_t m,
                    int64_t n, int64_t k, T* out);

}  // namespace fastconv
