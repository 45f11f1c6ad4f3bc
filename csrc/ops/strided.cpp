#include "strided.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "../isa.h"
#include "parallel.h"
#include "row_copy.h"

namespace fastconv {
namespace {

// Axes of extent one gone, the fastest in the result last, and neighbours that are one axis in both
// arrays made one.
std::vector<CopyAxis> simplified(const CopyAxis* axes, int count) {
  std::vector<CopyAxis> sorted;
  for (int i = 0; i < count; ++i) {
    if (axes[i].extent != 1) sorted.push_back(axes[i]);
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const CopyAxis& a, const CopyAxis& b) { return a.to > b.to; });
  std::vector<CopyAxis> merged;
  for (const CopyAxis& axis : sorted) {
    if (!merged.empty() && merged.back().from == axis.from * axis.extent &&
        merged.back().to == axis.to * axis.extent) {
      merged.back() = {merged.back().extent * axis.extent, axis.from, axis.to};
    } else {
      merged.push_back(axis);
    }
  }
  if (merged.empty()) merged.push_back({1, 1, 1});
  return merged;
}

// ---- squares of 16-byte vectors: 4 x 4 floats, 2 x 2 doubles ----

template <class E>
constexpr int kSide = 16 / static_cast<int>(sizeof(E));

template <class E>
using Quad __attribute__((vector_size(16))) = E;

// The first n elements, n below a side: copies of fixed sizes, which are moves and no calls.
template <class E>
void copy_some(const E* from, E* to, int n) {
  if (n & 2) std::memcpy(to, from, 2 * sizeof(E));
  if (n & 1) to[n - 1] = from[n - 1];
}

inline void transpose_square(Quad<float>* v) {
  const auto low0 = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5);
  const auto high0 = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
  const auto low1 = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5);
  const auto high1 = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
  v[0] = __builtin_shufflevector(low0, low1, 0, 1, 4, 5);
  v[1] = __builtin_shufflevector(low0, low1, 2, 3, 6, 7);
  v[2] = __builtin_shufflevector(high0, high1, 0, 1, 4, 5);
  v[3] = __builtin_shufflevector(high0, high1, 2, 3, 6, 7);
}

inline void transpose_square(Quad<double>* v) {
  const auto low = __builtin_shufflevector(v[0], v[1], 0, 2);
  v[1] = __builtin_shufflevector(v[0], v[1], 1, 3);
  v[0] = low;
}

// Element i of row j of the input, at row_at[j] + i, goes to column_at[i] + j.
struct Turn {
  int64_t rows, columns;
  const int64_t *row_at, *column_at;
};

template <class E>
void turn_square(const E* from, const int64_t* row_at, int rows, const int64_t* column_at,
                 int columns, E* to) {
  constexpr int S = kSide<E>;
  Quad<E> v[S];
  if (rows == S && columns == S) {
    for (int j = 0; j < S; ++j) std::memcpy(&v[j], from + row_at[j], 16);
    transpose_square(v);
    for (int i = 0; i < S; ++i) std::memcpy(to + column_at[i], &v[i], 16);
    return;
  }
  E part[S][S];
  for (int j = 0; j < rows; ++j) {
    columns == S ? static_cast<void>(std::memcpy(part[j], from + row_at[j], 16))
                 : copy_some(from + row_at[j], part[j], columns);
  }
  for (int i = 0; i < columns; ++i) {
    for (int j = 0; j < rows; ++j) to[column_at[i] + j] = part[j][i];
  }
}

template <class E>
void turn(const Turn& t, const E* from, E* to) {
  constexpr int64_t S = kSide<E>, kLine = 64 / static_cast<int64_t>(sizeof(E));
  for (int64_t panel = 0; panel < t.columns; panel += kLine) {
    const int64_t end = std::min(t.columns, panel + kLine);
    for (int64_t j = 0; j < t.rows; j += S) {
      const int rows = static_cast<int>(std::min(S, t.rows - j));
      for (int64_t i = panel; i < end; i += S) {
        turn_square(from + i, t.row_at + j, rows, t.column_at + i,
                    static_cast<int>(std::min(S, end - i)), to + j);
      }
    }
  }
}

// Whether the entries of a table lie `step` apart.
bool spaced(const std::vector<int64_t>& at, int64_t step) {
  for (size_t i = 1; i < at.size(); ++i) {
    if (at[i] != at[i - 1] + step) return false;
  }
  return true;
}

// Whether there are two entries or more, all as far apart as the first two.
bool even(const std::vector<int64_t>& at) {
  return at.size() > 1 && spaced(at, at[1]);
}

// ---- the axes shared out: rows and columns of a turn, and all others ----

constexpr int64_t kMostTurned = 512;  // rows or columns in one go, so that tables stay small

struct Layout {
  std::vector<CopyAxis> outer;  // the last one varies fastest
  std::vector<int64_t> row_at, column_at;
};

// Offsets of the positions of some axes, the last one fastest; `stride` picks from or to.
std::vector<int64_t> offsets(const std::vector<CopyAxis>& axes, int64_t CopyAxis::* stride) {
  std::vector<int64_t> at(1, 0);
  for (const CopyAxis& axis : axes) {
    std::vector<int64_t> next;
    next.reserve(at.size() * static_cast<size_t>(axis.extent));
    for (const int64_t base : at) {
      for (int64_t i = 0; i < axis.extent; ++i) next.push_back(base + i * axis.*stride);
    }
    at.swap(next);
  }
  return at;
}

// Rows run along the axes that are dense in the result, columns along those dense in the input.
class Sharing {
 public:
  Sharing(std::vector<CopyAxis> axes, size_t columns_axis) : axes_(std::move(axes)) {
    rows_.push_back(axes_.back());
    columns_.push_back(axes_[columns_axis]);
    axes_.pop_back();
    axes_.erase(axes_.begin() + static_cast<std::ptrdiff_t>(columns_axis));
  }

  Layout layout() {
    // A few columns, the rows that far apart, are unravelled, a few rows woven.
    join_columns(4);
    const bool unravelled = wide() <= 4 && rows_.back().from == wide();
    if (!unravelled) join_rows(4);
    if (!unravelled && !(high() <= 4 && columns_.back().to == high())) {
      cut(&columns_.back());
      cut(&rows_.back());
      if (pieces_.empty()) {
        join_rows(64);
        join_columns(64);
      }
    }
    axes_.insert(axes_.end(), pieces_.begin(), pieces_.end());
    return {axes_, offsets(rows_, &CopyAxis::from), offsets(columns_, &CopyAxis::to)};
  }

 private:
  int64_t wide() const { return columns_.front().extent * columns_.front().from; }
  int64_t high() const { return rows_.front().extent * rows_.front().to; }

  // Neighbours in the result as more rows, and neighbours in the input as more columns.
  void join_rows(int64_t most) {
    while (!axes_.empty() && axes_.back().to == high() && high() * axes_.back().extent <= most) {
      rows_.insert(rows_.begin(), axes_.back());
      axes_.pop_back();
    }
  }

  void join_columns(int64_t most) {
    for (size_t i = axes_.size(); i-- > 0;) {
      if (axes_[i].from != wide() || wide() * axes_[i].extent > most) continue;
      columns_.insert(columns_.begin(), axes_[i]);
      axes_.erase(axes_.begin() + static_cast<std::ptrdiff_t>(i));
      i = axes_.size();
    }
  }

  // What is longer than a turn takes is left among the outer axes, a divisor of it being turned.
  void cut(CopyAxis* axis) {
    for (int64_t size = kMostTurned; axis->extent > kMostTurned && size >= 32; --size) {
      if (axis->extent % size) continue;
      pieces_.push_back({axis->extent / size, axis->from * size, axis->to * size});
      axis->extent = size;
    }
  }

  std::vector<CopyAxis> axes_, rows_, columns_, pieces_;
};

// body(from, to) at every position of the outer axes; `work` elements at each.
template <class E, class Body>
void each_position(const std::vector<CopyAxis>& outer, int64_t work, const E* from, E* to,
                   int threads, const Body& body) {
  int64_t positions = 1;
  for (const CopyAxis& axis : outer) positions *= axis.extent;
  constexpr int64_t kTask = 1 << 14;  // elements
  const int64_t some = std::max<int64_t>(1, kTask / work);
  parallel_for((positions + some - 1) / some, threads, [&](int64_t task, int) {
    int64_t at[64] = {}, rest = task * some;
    const E* f = from;
    E* t = to;
    for (size_t i = outer.size(); i-- > 0;) {
      at[i] = rest % outer[i].extent;
      rest /= outer[i].extent;
      f += at[i] * outer[i].from;
      t += at[i] * outer[i].to;
    }
    const int64_t end = std::min(positions, (task + 1) * some);
    for (int64_t n = task * some; n < end; ++n) {
      body(f, t);
      for (size_t i = outer.size(); i-- > 0;) {
        f += outer[i].from;
        t += outer[i].to;
        if (++at[i] < outer[i].extent) break;
        at[i] = 0;
        f -= outer[i].from * outer[i].extent;
        t -= outer[i].to * outer[i].extent;
      }
    }
  });
}

template <class E>
void copy(std::vector<CopyAxis> axes, const E* from, E* to, int threads) {
  const CopyAxis last = axes.back();
  size_t columns = axes.size();
  for (size_t i = 0; i + 1 < axes.size(); ++i) {
    if (axes[i].from == 1) columns = i;
  }
  if (last.from == 1 || columns == axes.size()) {
    axes.pop_back();
    each_position(axes, last.extent, from, to, threads, [&](const E* f, E* t) {
      if (last.from == 1) return copy_row(f, t, last.extent);
      for (int64_t i = 0; i < last.extent; ++i) t[i] = f[i * last.from];
    });
    return;
  }
  const Layout layout = Sharing(std::move(axes), columns).layout();
  const Turn t{static_cast<int64_t>(layout.row_at.size()),
               static_cast<int64_t>(layout.column_at.size()), layout.row_at.data(),
               layout.column_at.data()};
  const int64_t work = t.rows * t.columns;
  const auto& kernels_ = of_type<E>(*kernels().resample);
  if (t.rows > 1 && t.rows <= 4 && spaced(layout.column_at, t.rows)) {
    each_position(layout.outer, work, from, to, threads, [&](const E* f, E* to_) {
      const E* rows[4];
      for (int64_t j = 0; j < t.rows; ++j) rows[j] = f + t.row_at[j];
      kernels_.weave(static_cast<int>(t.rows), rows, t.columns, to_);
    });
    return;
  }
  if (t.columns > 1 && t.columns <= 4 && spaced(layout.row_at, t.columns)) {
    each_position(layout.outer, work, from, to, threads, [&](const E* f, E* to_) {
      E* rows[4];
      for (int64_t i = 0; i < t.columns; ++i) rows[i] = to_ + t.column_at[i];
      kernels_.unravel(static_cast<int>(t.columns), f, t.rows, rows);
    });
    return;
  }
  if (even(layout.row_at) && even(layout.column_at)) {
    const auto& gemm = of_type<E>(*kernels().gemm);
    each_position(layout.outer, work, from, to, threads, [&](const E* f, E* to_) {
      gemm.transpose(f, layout.row_at[1], t.rows, t.columns, to_, layout.column_at[1]);
    });
    return;
  }
  each_position(layout.outer, work, from, to, threads,
                [&](const E* f, E* to_) { turn(t, f, to_); });
}

}  // namespace

bool can_copy_strided(const CopyAxis* axes, int count, size_t item) {
  if ((item != 4 && item != 8) || count > 64) return false;
  bool one = true;
  for (int i = 0; i < count; ++i) {
    if (axes[i].extent == 1) continue;
    one = false;
    if (axes[i].to == 1) return true;
  }
  return one;
}

void copy_strided(const CopyAxis* axes, int count, size_t item, const void* from, void* to,
                  int threads) {
  std::vector<CopyAxis> simple = simplified(axes, count);
  if (item == 4) {
    copy(std::move(simple), static_cast<const float*>(from), static_cast<float*>(to), threads);
  } else {
    copy(std::move(simple), static_cast<const double*>(from), static_cast<double*>(to), threads);
  }
}

}  // namespace fastconv
