#include "pad.h"

#include <algorithm>
#include <cstring>

#include "parallel.h"
#include "row_copy.h"

namespace fastconv {
namespace {

constexpr int64_t kFilled = 64;  // elements of a row, at most, that are filled before the copy

// Consecutive outputs [at, at + count) of an axis that come from consecutive inputs, from the
// constant (source -1) or, singly, from anywhere.
struct Run {
  int64_t at, count, source;
};

std::vector<Run> runs_of(const PadAxis& axis) {
  std::vector<Run> runs;
  if (!axis.source) return {{0, axis.out, 0}};
  for (int64_t i = 0; i < axis.out; ++i) {
    const int64_t s = axis.source[i];
    if (!runs.empty()) {
      Run& last = runs.back();
      if (s < 0 ? last.source < 0 : last.source >= 0 && s == last.source + last.count) {
        ++last.count;
        continue;
      }
    }
    runs.push_back({i, 1, s});
  }
  return runs;
}

// Where each output of two axes, the last one and the one before, comes from: an offset, or -1.
std::vector<int64_t> joined(const PadAxis& rows, const PadAxis& axis) {
  std::vector<int64_t> source;
  source.reserve(static_cast<size_t>(rows.out * axis.out));
  for (int64_t i = 0; i < rows.out; ++i) {
    const int64_t row = rows.source ? rows.source[i] : i;
    for (int64_t j = 0; j < axis.out; ++j) {
      const int64_t s = axis.source ? axis.source[j] : j;
      source.push_back(row < 0 || s < 0 ? -1 : row * axis.in + s);
    }
  }
  return source;
}

// Elements of a fixed size: what their bits mean does not matter.
template <class E>
void pad_rows(std::vector<PadAxis> axes, const E* value, const E* x, E* y, int threads) {
  // The trailing axes that stay are one piece of memory.
  int64_t inner = 1;
  while (axes.size() > 1 && !axes.back().source) {
    inner *= axes.back().in;
    axes.pop_back();
  }
  // One copy between constants, as zeros around an image leave it: where rows are narrow they are
  // filled together, and the copy goes on top.
  const std::vector<Run> ends = runs_of(axes.back());
  const auto copied = [](const Run& run) { return run.source >= 0; };
  const bool simple = std::count_if(ends.begin(), ends.end(), copied) == 1;
  const bool filled = simple && axes.back().out * inner <= kFilled;
  // Other narrow rows are cheaper element by element, through a table for the whole plane.
  std::vector<int64_t> plane;
  constexpr int64_t kNarrow = 24, kLargestTable = 4096;
  if (axes.size() > 1 && !simple) {
    const PadAxis rows = axes[axes.size() - 2], last = axes.back();
    if (inner == 1 && last.out <= kNarrow && rows.out * last.out <= kLargestTable) {
      plane = joined(rows, last);
      axes.pop_back();
      axes.back() = {rows.in * last.in, rows.out * last.out, plane.data()};
    }
  }
  const PadAxis last = axes.back();
  axes.pop_back();
  const std::vector<Run> runs = plane.empty() ? runs_of(last) : std::vector<Run>{};
  const PadAxis rows = axes.empty() ? PadAxis{} : axes.back();
  if (!axes.empty()) axes.pop_back();
  const int64_t in_row = last.in * inner, out_row = last.out * inner;
  int64_t slabs = 1;
  for (const PadAxis& axis : axes) slabs *= axis.out;

  const E nothing{};
  const bool zeros = std::memcmp(value, &nothing, sizeof(E)) == 0;
  const auto fill = [&](E* to, int64_t n) {
    if (zeros) {
      std::memset(static_cast<void*>(to), 0, static_cast<size_t>(n) * sizeof(E));
    } else {
      std::fill_n(to, n, *value);
    }
  };
  const auto fill_row = [&](const E* row, E* to) {
    for (const int64_t s : plane) *to++ = s < 0 ? *value : row[s];
    for (const Run& run : runs) {
      if (run.source < 0) {
        fill(to + run.at * inner, run.count * inner);
      } else if (run.count * inner == 1) {
        to[run.at] = row[run.source];
      } else {
        copy_row(row + run.source * inner, to + run.at * inner, run.count * inner);
      }
    }
  };
  const bool empty_rows = rows.source && *std::min_element(rows.source, rows.source + rows.out) < 0;
  constexpr int64_t kRows = 64;
  const int64_t blocks = (rows.out + kRows - 1) / kRows;
  parallel_for(slabs * blocks, threads, [&](int64_t task, int) {
    int64_t rest = task / blocks, slab = 0, step = 1;
    bool inside = true;
    for (size_t i = axes.size(); i-- > 0;) {
      const int64_t at = rest % axes[i].out, s = axes[i].source ? axes[i].source[at] : at;
      rest /= axes[i].out;
      inside = inside && s >= 0;
      slab += s * step;
      step *= axes[i].in;
    }
    const int64_t from = task % blocks * kRows, to = std::min(rows.out, from + kRows);
    E* out = y + (task / blocks * rows.out + from) * out_row;
    if (filled) {
      const Run& run = *std::find_if(ends.begin(), ends.end(), copied);
      if (run.count < last.out || empty_rows || !inside) {
        fill(out, (to - from) * out_row);
      }
      out += run.at * inner;
      for (int64_t r = from; inside && r < to; ++r, out += out_row) {
        const int64_t s = rows.source ? rows.source[r] : r;
        if (s < 0) continue;
        copy_row(x + (slab * rows.in + s) * in_row + run.source * inner, out, run.count * inner);
      }
      return;
    }
    for (int64_t r = from; r < to; ++r, out += out_row) {
      const int64_t s = rows.source ? rows.source[r] : r;
      if (inside && s >= 0) {
        fill_row(x + (slab * rows.in + s) * in_row, out);
      } else {
        fill(out, out_row);
      }
    }
  });
}

struct Sixteen {
  uint64_t half[2];
};

}  // namespace

void pad(const std::vector<PadAxis>& axes, size_t item, const void* value, const void* x, void* y,
         int threads) {
  const auto run = [&](auto element) {
    using E = decltype(element);
    pad_rows(axes, static_cast<const E*>(value), static_cast<const E*>(x), static_cast<E*>(y),
             threads);
  };
  switch (item) {
    case 1:
      return run(uint8_t{});
    case 2:
      return run(uint16_t{});
    case 4:
      return run(uint32_t{});
    case 8:
      return run(uint64_t{});
    default:
      return run(Sixteen{});
  }
}

}  // namespace fastconv
