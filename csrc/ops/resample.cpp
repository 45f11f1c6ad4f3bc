#include "resample.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "../isa.h"
#include "memory.h"
#include "parallel.h"
#include "strided.h"

namespace fastconv {
namespace {

constexpr int64_t kRowsPerTask = 32;
constexpr int64_t kWidestCell = 48;  // wider ones are not worth a pass of their own

// One axis with its weights in the type of the elements; an axis that stays is a table of ones.
template <class T>
struct Axis {
  std::vector<int64_t> start, source;
  std::vector<T> weight;
  int64_t most = 0;  // taps of an output

  explicit Axis(const ResampleAxis& a) {
    start.resize(static_cast<size_t>(a.out + 1));
    const int64_t taps = a.start ? a.start[a.out] : a.out;
    source.resize(static_cast<size_t>(taps));
    weight.resize(static_cast<size_t>(taps));
    for (int64_t i = 0; i <= a.out; ++i) start[static_cast<size_t>(i)] = a.start ? a.start[i] : i;
    for (int64_t k = 0; k < taps; ++k) {
      source[static_cast<size_t>(k)] = a.start ? a.source[k] : k;
      weight[static_cast<size_t>(k)] = a.start ? static_cast<T>(a.weight[k]) : T(1);
    }
    for (int64_t i = 0; i < a.out; ++i) most = std::max(most, end(i) - begin(i));
  }
  int64_t begin(int64_t i) const { return start[static_cast<size_t>(i)]; }
  int64_t end(int64_t i) const { return start[static_cast<size_t>(i + 1)]; }
  int64_t at(int64_t k) const { return source[static_cast<size_t>(k)]; }
  T by(int64_t k) const { return weight[static_cast<size_t>(k)]; }
  // Whether outputs i and j are the same sums.
  bool same(int64_t i, int64_t j) const {
    const int64_t n = end(i) - begin(i);
    return n == end(j) - begin(j) &&
           std::equal(&source[0] + begin(i), &source[0] + begin(i) + n, &source[0] + begin(j)) &&
           std::equal(&weight[0] + begin(i), &weight[0] + begin(i) + n, &weight[0] + begin(j));
  }
};

// The last axis in the form that the kernel reads, a vector of outputs at a time.
template <class T>
struct Groups {
  std::vector<RowGroup> groups;
  std::vector<Position<T>> index;
  std::vector<T> weights;

  Groups(const Axis<T>& a, int64_t out, int64_t lanes) {
    for (int64_t q = 0; q < out; q += lanes) {
      const int64_t count = std::min(lanes, out - q);
      int64_t base = INT64_MAX, last = 0, most = 0, least = INT64_MAX;
      for (int64_t i = q; i < q + count; ++i) {
        most = std::max(most, a.end(i) - a.begin(i));
        least = std::min(least, a.end(i) - a.begin(i));
        for (int64_t k = a.begin(i); k < a.end(i); ++k) {
          base = std::min(base, a.at(k));
          last = std::max(last, a.at(k));
        }
      }
      if (most == 0) base = last = 0;
      const size_t first = weights.size() / static_cast<size_t>(lanes);
      groups.push_back({base, static_cast<ptrdiff_t>(first), static_cast<int>(most),
                        last - base < 2 * lanes, least < most});
      index.resize(index.size() + static_cast<size_t>(most * lanes));
      weights.resize(index.size());
      for (int64_t l = 0; l < count; ++l) {
        for (int64_t k = a.begin(q + l); k < a.end(q + l); ++k) {
          const size_t at =
              (first + static_cast<size_t>(k - a.begin(q + l))) * static_cast<size_t>(lanes) +
              static_cast<size_t>(l);
          index[at] = static_cast<Position<T>>(a.at(k) - base);
          weights[at] = a.by(k);
        }
      }
    }
  }
};

// Axes that stay at the end belong to what lies inside.
void shift_identities(ResampleProblem* p) {
  for (int i = 0; i < 2 && !p->axis[2].start; ++i) {
    p->inner *= p->axis[2].in;
    p->axis[2] = p->axis[1];
    p->axis[1] = p->axis[0];
    p->axis[0] = ResampleAxis{};
  }
}

// A few values beside each other, the channels of a picture, are cheaper as a longer last axis: its
// table says the same for each of them.
struct Widened {
  std::vector<int64_t> start, source;
  std::vector<double> weight;

  explicit Widened(ResampleProblem* p) {
    const ResampleAxis a = p->axis[2];
    const int64_t few = p->inner;
    start.push_back(0);
    for (int64_t i = 0; i < a.out * few; ++i) {
      for (int64_t k = a.start[i / few]; k < a.start[i / few + 1]; ++k) {
        source.push_back(a.source[k] * few + i % few);
        weight.push_back(a.weight[k]);
      }
      start.push_back(static_cast<int64_t>(source.size()));
    }
    p->axis[2] = {a.in * few, a.out * few, start.data(), source.data(), weight.data()};
    p->inner = 1;
  }
};

// Narrow planes, turned some hundred at a time so that each is one of the values beside each other.
bool turns(const ResampleProblem& p, int64_t lanes) {
  constexpr int64_t kLargest = 512;  // elements of a plane
  const int64_t in = p.axis[0].in * p.axis[1].in * p.axis[2].in,
                out = p.axis[0].out * p.axis[1].out * p.axis[2].out;
  return p.inner == 1 && p.planes >= 2 * lanes && 2 * p.axis[2].out <= 3 * lanes &&
         std::max(in, out) <= kLargest;
}

template <class T>
void resample_turned(const ResampleProblem& p, const T* x, T* y, int threads) {
  constexpr int64_t kTogether = 256;
  const int64_t in = p.axis[0].in * p.axis[1].in * p.axis[2].in,
                out = p.axis[0].out * p.axis[1].out * p.axis[2].out;
  const Scratch scratch(static_cast<size_t>((in + out) * kTogether) * sizeof(T));
  T* const tx = reinterpret_cast<T*>(scratch.data());
  T* const ty = tx + in * kTogether;
  for (int64_t plane = 0; plane < p.planes; plane += kTogether) {
    const int64_t some = std::min(kTogether, p.planes - plane);
    const CopyAxis there[] = {{some, in, 1}, {in, 1, some}},
                   back[] = {{some, 1, out}, {out, some, 1}};
    copy_strided(there, 2, sizeof(T), x + plane * in, tx, threads);
    ResampleProblem wide = p;
    wide.planes = 1;
    wide.inner = some;
    resample(wide, static_cast<const T*>(tx), ty, threads);
    copy_strided(back, 2, sizeof(T), ty, y + plane * out, threads);
  }
}

// The taps of one output row, or of one output where elements are vectors.
template <class T>
struct Taps {
  ptrdiff_t* offset;
  T* weight;
  ptrdiff_t count;
};

}  // namespace

template <class T>
void resample(ResampleProblem p, const T* x, T* y, int threads) {
  const auto& kernels_ = of_type<T>(*kernels().resample);
  if (turns(p, kernels_.lanes)) return resample_turned(p, x, y, threads);
  shift_identities(&p);
  std::optional<Widened> widened;
  if (p.inner > 1 && p.inner < kernels_.lanes && p.axis[2].start) widened.emplace(&p);
  const Axis<T> a0(p.axis[0]), a1(p.axis[1]), a2(p.axis[2]);
  const int64_t lanes = kernels_.lanes;
  // Rows are summed first, then what is left along them: elements, or cells of a few vectors.
  const bool along = p.inner == 1, celled = !along && p.inner >= lanes && p.inner <= kWidestCell;
  std::vector<int64_t> cell_at;  // of the taps along a row
  for (const int64_t source : a2.source) cell_at.push_back(source * p.inner);
  const int64_t in_row = p.axis[2].in * p.inner, out_row = p.axis[2].out * p.inner,
                out1 = p.axis[1].out;
  const int64_t in_plane = p.axis[0].in * p.axis[1].in * in_row;
  const int64_t out_plane = p.axis[0].out * out1 * out_row;
  const Groups<T> groups(a2, along ? p.axis[2].out : 0, lanes);
  const size_t taps = static_cast<size_t>(std::max<int64_t>(a0.most * a1.most, 1)),
               all = taps * static_cast<size_t>(along ? 1 : std::max<int64_t>(a2.most, 1)),
               row = static_cast<size_t>(along || celled ? in_row + 2 * lanes : 0);
  const size_t each =
      2 * Carver::bytes<ptrdiff_t>(all) + 2 * Carver::bytes<T>(all) + Carver::bytes<T>(row);
  const int64_t blocks = (out1 + kRowsPerTask - 1) / kRowsPerTask;
  const Scratch scratch(each * static_cast<size_t>(std::max(threads, 1)));

  const auto rows_of = [&](const T* plane, T* out, int64_t z, int64_t from, int64_t to,
                           Carver carver) {
    Taps<T> rows{carver.take<ptrdiff_t>(all), carver.take<T>(all), 0};
    Taps<T> cell{carver.take<ptrdiff_t>(all), carver.take<T>(all), 0};
    T* line = carver.take<T>(row);
    if (along) std::fill_n(line + in_row, 2 * lanes, T(0));
    for (int64_t i = from; i < to; ++i, out += out_row) {
      if (i > from && a1.same(i, i - 1)) {  // repeated rows, as nearest neighbours make them
        std::memcpy(out, out - out_row, static_cast<size_t>(out_row) * sizeof(T));
        continue;
      }
      rows.count = 0;
      for (int64_t k = a0.begin(z); k < a0.end(z); ++k) {
        for (int64_t j = a1.begin(i); j < a1.end(i); ++j, ++rows.count) {
          rows.offset[rows.count] = (a0.at(k) * p.axis[1].in + a1.at(j)) * in_row;
          rows.weight[rows.count] = a0.by(k) * a1.by(j);
        }
      }
      if (along) {
        kernels_.combine(plane, rows.offset, rows.weight, rows.count, in_row, line);
        kernels_.along({line, out, p.axis[2].out, groups.groups.data(), groups.index.data(),
                        groups.weights.data()});
        continue;
      }
      if (celled) {
        const bool as_it_is = rows.count == 1 && rows.weight[0] == T(1);
        if (!as_it_is) {
          kernels_.combine(plane, rows.offset, rows.weight, rows.count, in_row, line);
        }
        kernels_.cells(as_it_is ? plane + rows.offset[0] : line, a2.start.data(), cell_at.data(),
                       a2.weight.data(), p.axis[2].out, p.inner, out);
        continue;
      }
      for (int64_t q = 0; q < p.axis[2].out; ++q) {
        cell.count = 0;
        for (ptrdiff_t r = 0; r < rows.count; ++r) {
          for (int64_t k = a2.begin(q); k < a2.end(q); ++k, ++cell.count) {
            cell.offset[cell.count] = rows.offset[r] + a2.at(k) * p.inner;
            cell.weight[cell.count] = rows.weight[r] * a2.by(k);
          }
        }
        kernels_.combine(plane, cell.offset, cell.weight, cell.count, p.inner, out + q * p.inner);
      }
    }
  };
  parallel_for(p.planes * p.axis[0].out * blocks, threads, [&](int64_t task, int thread) {
    const int64_t block = task % blocks, z = task / blocks % p.axis[0].out,
                  plane = task / blocks / p.axis[0].out;
    const int64_t from = block * kRowsPerTask, to = std::min(out1, from + kRowsPerTask);
    rows_of(x + plane * in_plane, y + plane * out_plane + (z * out1 + from) * out_row, z, from, to,
            Carver(scratch.data() + each * static_cast<size_t>(thread)));
  });
}

template void resample<float>(ResampleProblem, const float*, float*, int);
template void resample<double>(ResampleProblem, const double*, double*, int);

}  // namespace fastconv
