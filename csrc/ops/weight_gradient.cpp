#include "weight_gradient.h"

#include "../isa.h"

namespace fastconv {
PixelCut cut_pixels(const ConvProblem& p, int64_t most) {
  PixelCut c;
  c.taps.reserve(p.taps());
  for (int64_t z = 0; z < p.ker[0]; ++z) {
    for (int64_t r = 0; r < p.ker[1]; ++r) {
      for (int64_t s = 0; s < p.ker[2]; ++s) {
        c.taps.push_back(
            {{z * p.dil[0] - p.pad_lo[0], r * p.dil[1] - p.pad_lo[1], s * p.dil[2] - p.pad_lo[2]}});
      }
    }
  }
  for (int i = 0; i < 3; ++i) c.step[i] = p.out[i] > 1 ? p.stride[i] : 1;
  const int64_t z = p.out[0], h = p.out[1], q = p.out[2];
  c.block[0] = c.block[1] = 1;
  c.block[2] = q;
  c.images = 1;
  if (q > most) {
    c.block[2] = ceil_div(q, ceil_div(q, most));
  } else if (h * q > most) {
    c.block[1] = ceil_div(h, ceil_div(h, most / q));
  } else {
    c.block[1] = h;
    c.block[0] = std::min(z, std::max<int64_t>(1, most / (h * q)));
    if (c.block[0] == z) {
      const int64_t all = std::max<int64_t>(1, p.n);
      c.images = std::max<int64_t>(1, std::min(all, most / (z * h * q)));
      c.images = ceil_div(all, ceil_div(all, c.images));
    }
  }
  c.blocks[0] = ceil_div(p.n, c.images);
  for (int i = 0; i < 3; ++i) c.blocks[i + 1] = ceil_div(p.out[i], c.block[i]);
  c.shape = strip_shape(c.taps, c.step, c.block);
  c.strip = p.padded() || c.step[2] != 1;
  return c;
}

Block pixel_block(const ConvProblem& p, const PixelCut& c, int64_t index) {
  Block b;
  for (int i = 2; i >= 0; --i) {
    b.lo[i] = index % c.blocks[i + 1] * c.block[i];
    b.hi[i] = std::min(b.lo[i] + c.block[i], p.out[i]);
    index /= c.blocks[i + 1];
  }
  b.image = index * c.images;
  b.images = std::min(c.images, p.n - b.image);
  return b;
}

PixelView::PixelView(const ConvProblem& p, const PixelCut& c, int64_t channels)
    : row(c.strip ? c.shape.pitch : c.step[1] * p.in[2]),
      slab(c.step[0] * (c.strip ? c.shape.slab() : p.in[1] * p.in[2])),
      plane(c.strip ? c.shape.plane() : p.in_plane()),
      image(c.strip ? channels * plane : p.c * p.in_plane()) {}

template <class T>
void add_parts(const T* parts, int64_t number, ptrdiff_t step, int64_t count, T* to) {
  constexpr int64_t kSome = 32;  // sums that the compiler keeps in registers
  int64_t i = 0;
  for (; i + kSome <= count; i += kSome) {
    T sums[kSome];
    for (int64_t j = 0; j < kSome; ++j) sums[j] = parts[i + j];
    for (int64_t part = 1; part < number; ++part) {
      for (int64_t j = 0; j < kSome; ++j) sums[j] += parts[part * step + i + j];
    }
    for (int64_t j = 0; j < kSome; ++j) to[i + j] = sums[j];
  }
  for (; i < count; ++i) {
    T sum = parts[i];
    for (int64_t part = 1; part < number; ++part) sum += parts[part * step + i];
    to[i] = sum;
  }
}

template <class T>
void sum_rows(const ConvProblem& p, const T* grad, const Block& b, int64_t rows, bool add,
              T* sums) {
  const auto& gemm = of_type<T>(*kernels().gemm);
  // Whole rows follow each other, and so do whole slabs.
  int64_t width = b.extent(2), height = b.extent(1), depth = b.extent(0);
  if (width == p.out[2]) width *= height, height = 1;
  if (width == p.out[1] * p.out[2]) width *= depth, depth = 1;
  for (int64_t k = 0; k < rows; ++k) {
    T sum = add ? sums[k] : T(0);
    for (int64_t n = 0; n < b.images; ++n) {
      const T* plane = grad + (n * p.k + k) * p.out_plane();
      for (int64_t z = 0; z < depth; ++z) {
        for (int64_t h = 0; h < height; ++h) {
          sum += gemm.sum(plane + (z * p.out[1] + h) * p.out[2], width);
        }
      }
    }
    sums[k] = sum;
  }
}

template void sum_rows<float>(const ConvProblem&, const float*, const Block&, int64_t, bool,
                              float*);
template void sum_rows<double>(const ConvProblem&, const double*, const Block&, int64_t, bool,
                               double*);
template void add_parts<float>(const float*, int64_t, ptrdiff_t, int64_t, float*);
template void add_parts<double>(const double*, int64_t, ptrdiff_t, int64_t, double*);

}  // namespace fastconv
