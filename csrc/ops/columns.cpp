#include "columns.h"

#include <algorithm>

#include "memory.h"
#include "parallel_batches.h"
#include "row_copy.h"

namespace fastconv {
namespace {

// Windows [first, last) along an axis whose tap k meets the image, and where that of window 0 is.
struct Met {
  int64_t at, first, last;
};

Met met(const ColumnsProblem& p, int axis, int64_t k) {
  const int64_t at = k * p.dil[axis] - p.pad[axis], s = p.stride[axis], n = p.in[axis];
  const int64_t first = at < 0 ? (-at + s - 1) / s : 0;
  const int64_t last = at < n ? std::min(p.blocks[axis], (n - at + s - 1) / s) : 0;
  return {at, std::min(first, p.blocks[axis]), std::max(last, std::min(first, p.blocks[axis]))};
}

// body(tap, rows of windows, columns of windows) for every tap of the kernel.
template <class Body>
void each_tap(const ColumnsProblem& p, const Body& body) {
  for (int64_t r = 0; r < p.ker[0]; ++r) {
    for (int64_t c = 0; c < p.ker[1]; ++c) body(r * p.ker[1] + c, met(p, 0, r), met(p, 1, c));
  }
}

// Whether the windows of each tap are the image itself, moved.
bool moved_only(const ColumnsProblem& p) {
  return p.stride[0] == 1 && p.stride[1] == 1 && p.blocks[0] == p.in[0] && p.blocks[1] == p.in[1];
}

// Zeros in the columns of rows [h.first, h.last) whose windows do not meet the image.
template <class T>
void clear_sides(const Met& h, const Met& w, int64_t width, T* plane) {
  for (int64_t i = h.first; i < h.last; ++i) {
    for (int64_t j = 0; j < w.first; ++j) plane[i * width + j] = T(0);
    for (int64_t j = w.last; j < width; ++j) plane[i * width + j] = T(0);
  }
}

// The stretch [first, last) of windows in memory that a moved image covers: rows run on into each
// other, and what that brings to the sides is cleared.
Met stretch(const ColumnsProblem& p, const Met& h, const Met& w) {
  const int64_t width = p.in[1], size = p.in[0] * width, by = h.at * width + w.at;
  const int64_t first = std::max(h.first * width, -by);
  return {by, first, std::max(first, std::min(h.last * width, size - by))};
}

template <class T>
void moved_columns(const ColumnsProblem& p, const Met& h, const Met& w, const T* image, T* to) {
  const int64_t size = p.in[0] * p.in[1];
  const Met s = stretch(p, h, w);
  std::fill_n(to, s.first, T(0));
  copy_row(image + s.first + s.at, to + s.first, s.last - s.first);
  std::fill_n(to + s.last, size - s.last, T(0));
  clear_sides(h, w, p.in[1], to);
}

}  // namespace

template <class T>
void unfold(const ColumnsProblem& p, const T* image, T* columns, int threads) {
  const int64_t in = p.in[0] * p.in[1], out = p.blocks[0] * p.blocks[1];
  const bool moved = moved_only(p);
  parallel_batches(p.planes, p.ker[0] * p.ker[1] * out, threads, [&](int64_t plane, int) {
    const T* x = image + plane * in;
    T* y = columns + plane * p.ker[0] * p.ker[1] * out;
    each_tap(p, [&](int64_t tap, const Met& h, const Met& w) {
      T* to = y + tap * out;
      if (h.first >= h.last || w.first >= w.last) {
        std::fill_n(to, out, T(0));
        return;
      }
      if (moved) return moved_columns(p, h, w, x, to);
      std::fill_n(to, h.first * p.blocks[1], T(0));
      std::fill_n(to + h.last * p.blocks[1], (p.blocks[0] - h.last) * p.blocks[1], T(0));
      for (int64_t i = h.first; i < h.last; ++i) {
        const T* from = x + (h.at + i * p.stride[0]) * p.in[1] + w.at;
        T* row = to + i * p.blocks[1];
        for (int64_t j = 0; j < w.first; ++j) row[j] = T(0);
        if (p.stride[1] == 1) {
          copy_row(from + w.first, row + w.first, w.last - w.first);
        } else {
          for (int64_t j = w.first; j < w.last; ++j) row[j] = from[j * p.stride[1]];
        }
        for (int64_t j = w.last; j < p.blocks[1]; ++j) row[j] = T(0);
      }
    });
  });
}

template <class T>
void fold(const ColumnsProblem& p, const T* columns, T* image, int threads) {
  const int64_t in = p.in[0] * p.in[1], out = p.blocks[0] * p.blocks[1];
  const bool moved = moved_only(p);
  const size_t each = Carver::bytes<T>(moved ? static_cast<size_t>(out) : 0);
  const Scratch scratch(each * static_cast<size_t>(threads));
  parallel_batches(p.planes, p.ker[0] * p.ker[1] * out, threads, [&](int64_t plane, int thread) {
    T* x = image + plane * in;
    T* own = reinterpret_cast<T*>(scratch.data() + each * static_cast<size_t>(thread));
    const T* y = columns + plane * p.ker[0] * p.ker[1] * out;
    std::fill_n(x, in, T(0));
    each_tap(p, [&](int64_t tap, const Met& h, const Met& w) {
      const T* from = y + tap * out;
      if (h.first >= h.last || w.first >= w.last) return;
      if (moved) {
        const Met s = stretch(p, h, w);
        if (w.first > 0 || w.last < p.in[1]) {
          copy_row(from + s.first, own + s.first, s.last - s.first);
          clear_sides(h, w, p.in[1], own);
          from = own;
        }
        T* to = x + s.at;
        for (int64_t i = s.first; i < s.last; ++i) to[i] += from[i];
        return;
      }
      for (int64_t i = h.first; i < h.last; ++i) {
        T* to = x + (h.at + i * p.stride[0]) * p.in[1] + w.at;
        const T* row = from + i * p.blocks[1];
        if (p.stride[1] == 1) {
          for (int64_t j = w.first; j < w.last; ++j) to[j] += row[j];
        } else {
          for (int64_t j = w.first; j < w.last; ++j) to[j * p.stride[1]] += row[j];
        }
      }
    });
  });
}

#define FASTCONV_INSTANTIATE(T)                                      \
  template void unfold<T>(const ColumnsProblem&, const T*, T*, int); \
  template void fold<T>(const ColumnsProblem&, const T*, T*, int);
FASTCONV_INSTANTIATE(float)
FASTCONV_INSTANTIATE(double)

}  // namespace fastconv
