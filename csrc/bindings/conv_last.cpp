#include "conv_last.h"

#include <utility>

#include "../ops/conv.h"
#include "../ops/last_conv.h"
#include "../ops/parallel.h"
#include "../ops/pixel_rows.h"

namespace fastconv {
namespace {

// 1x1 convolutions: one matrix product.
Ref product(const ConvProblem& p, PyArrayObject* input, PyArrayObject* weight, PyArrayObject* bias,
            PyArrayObject* residual, Activation activation) {
  const int type = PyArray_TYPE(input), rank = p.rank;
  Ref y = new_channels_last(p.output_shape(), rank, type);
  const Ref x = dense_channels_last(input, rank), w = dense(weight);
  const Ref b = bias ? dense(bias) : Ref();
  const Ref r = residual ? dense_channels_last(residual, rank) : Ref();
  typed(type, [&](auto zero) {
    using T = decltype(zero);
    rows_forward<T>(p, data<T>(x), data<T>(w), data<T>(b), data<T>(r), activation, data<T>(y),
                    useful_threads(p, num_threads()));
  });
  return y;
}

// Which gradients are computed so, of those needed.
struct Lying {
  bool rows, last, of[3];

  Lying(const ConvProblem& p, size_t item, const bool (&need)[3]) : rows(backs_as_rows(p)) {
    const bool depthwise = backs_last(p, item);
    last = depthwise || (!rows && weights_last(p, item));
    of[0] = need[0] && (rows || depthwise ||
                        (!last && inputs_last(p, item, useful_threads(p, num_threads()))));
    of[1] = need[1] && ((rows && weights_as_rows(p)) || last);
    of[2] = need[2] && of[1] == need[1];  // from copies it comes with the weight's
  }
};

}  // namespace

Ref forward_last(const ConvProblem& p, PyArrayObject* input, PyArrayObject* weight,
                 PyArrayObject* bias, PyArrayObject* residual, Activation activation) {
  if (!channels_last(input, p.rank)) return {};
  if (runs_as_rows(p)) return product(p, input, weight, bias, residual, activation);
  const int type = PyArray_TYPE(input);
  const int threads = useful_threads(p, num_threads());
  if (residual || !runs_last(p, item_of(type), threads)) return {};
  Ref y = new_channels_last(p.output_shape(), p.rank, type);
  const Ref x = dense_channels_last(input, p.rank), w = dense(weight);
  const Ref b = bias ? dense(bias) : Ref();
  bool done;
  {
    const WithoutGil free;
    done = last_forward(p, data<float>(x), data<float>(w), data<float>(b), activation,
                        data<float>(y), threads);
  }
  return done ? std::move(y) : Ref();
}

void backward_last(const ConvProblem& p, PyArrayObject* grad, PyArrayObject* input,
                   PyArrayObject* weight, bool (&need)[3], Ref (&grads)[3]) {
  const int type = PyArray_TYPE(grad), rank = p.rank;
  const Lying lying(p, item_of(type), need);
  if (!lying.of[0] && !lying.of[1] && !lying.of[2]) return;
  const Ref g = dense_channels_last(grad, rank), x = dense_channels_last(input, rank);
  const Ref w = dense(weight);
  if (lying.of[0]) grads[0] = new_channels_last(p.input_shape(), rank, type);
  if (lying.of[1]) grads[1] = new_array(p.weight_shape(), type);
  if (lying.of[2]) grads[2] = new_array(Shape(p.k, 1), type);
  typed(type, [&](auto zero) {
    using T = decltype(zero);
    const int threads = useful_threads(p, num_threads());
    T *dx = data<T>(grads[0]), *dw = data<T>(grads[1]), *db = data<T>(grads[2]);
    if constexpr (sizeof(T) == sizeof(float)) {
      if (lying.last) {
        return last_backward(p, data<T>(g), data<T>(x), data<T>(w), dx, dw, db, threads);
      }
      if (dx && !lying.rows) last_input(p, data<T>(g), data<T>(w), dx, threads);
    }
    if (lying.rows) rows_backward(p, data<T>(g), data<T>(x), data<T>(w), dx, dw, threads);
    if (db) rows_bias(p, data<T>(g), db);
  });
  for (int i = 0; i < 3; ++i) need[i] = need[i] && !lying.of[i];
}

}  // namespace fastconv
