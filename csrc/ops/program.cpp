#include "program.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "accuracy.h"
#include "memory.h"
#include "parallel.h"
#include "pointwise.h"
#include "tap_cut.h"

namespace fastconv {
namespace {

// Calls body(float{}) or body(double{}).
template <class Body>
void of_item(size_t item, const Body& body) {
  if (item == 4) {
    body(float{});
  } else {
    body(double{});
  }
}

// Pools are bound by memory: their work is what they read and write, many operations an element.
int pool_threads(const PoolProblem& p) {
  const double elements =
      static_cast<double>(p.planes()) * static_cast<double>(p.in_plane() + p.out_plane());
  return useful_threads(20 * elements, num_threads());
}

// Elements of one channel of one image.
int64_t plane_of(const Shape& shape) {
  int64_t plane = 1;
  for (int i = 2; i < shape.n; ++i) plane *= shape[i];
  return plane;
}

// Whether each result is written once, after its residual was read.
bool sums_at_once(const PlanEntry& e) {
  const ConvProblem& p = e.problem;
  return std::string(e.algorithm->name) == "im2col" && p.taps() == 1 && p.unit_stride() &&
         !p.padded() && p.reduction() <= kTapDepth;
}

}  // namespace

Program::Program(const Shape& input, size_t item) : input_(input), shape_(input), item_(item) {
  checked_product(input);
}

void Program::add(Step step, const Shape& output) {
  step.input = shape_;
  shape_ = output;
  step.bytes = static_cast<size_t>(checked_mul(checked_product(output), item_));
  steps_.push_back(std::move(step));
}

void Program::convolve(Plan& plan) {
  const std::shared_ptr<const PlanEntry> entry = plan.entry(shape_);
  Plan* p = &plan;
  Step step;
  step.takes_residual = true;
  step.adds_in_place = sums_at_once(*entry);
  step.plan = p;
  of_item(item_, [&](auto zero) {
    using T = decltype(zero);
    step.run = [p, entry](const void* x, const void* residual, void* y) {
      const bool holds = entry->high_accuracy == high_accuracy();
      const auto now = holds ? entry : p->entry(entry->input);
      const auto* from = static_cast<const T*>(x);
      const auto* more = static_cast<const T*>(residual);
      T* const to = static_cast<T*>(y);
      if (!residual || residual != y || sums_at_once(*now)) return p->run(*now, from, more, to);
      const int64_t count = checked_product(now->problem.output_shape());
      const Scratch copy(static_cast<size_t>(count) * sizeof(T));
      std::copy_n(more, count, reinterpret_cast<T*>(copy.data()));
      p->run(*now, from, reinterpret_cast<const T*>(copy.data()), to);
    };
  });
  add(std::move(step), entry->problem.output_shape());
}

void Program::outline(ConvArgs args) {
  args.input = shape_;
  shape_ = make_conv_problem(args).output_shape();
  runnable_ = false;
}

void Program::linear(Plan& plan) {
  if (shape_.n != 2) {
    throw std::invalid_argument("linear: expected an array (N, C), got " + shape_text(shape_));
  }
  shape_.push_back(1);
  convolve(plan);
  shape_.n = 2;
}

void Program::max_pool(PoolArgs args) {
  args.input = shape_;
  const PoolProblem p = make_pool_problem(args);
  Step step;
  of_item(item_, [&](auto zero) {
    using T = decltype(zero);
    step.run = [p](const void* x, const void*, void* y) {
      fastconv::max_pool<T>(p, static_cast<const T*>(x), static_cast<T*>(y), {}, pool_threads(p));
    };
  });
  add(std::move(step), p.output_shape());
}

void Program::average_pool(PoolArgs args, const AverageRule& rule) {
  args.input = shape_;
  const PoolProblem p = make_pool_problem(args);
  Step step;
  of_item(item_, [&](auto zero) {
    using T = decltype(zero);
    step.run = [p, rule](const void* x, const void*, void* y) {
      fastconv::average_pool<T>(p, rule, static_cast<const T*>(x), static_cast<T*>(y),
                                pool_threads(p));
    };
  });
  add(std::move(step), p.output_shape());
}

void Program::adaptive_average_pool(const Shape& sizes) {
  PoolArgs args;
  args.rank = sizes.n;
  args.name = "adaptive_avg_pool";
  for (int i = 0; i < sizes.n; ++i) {
    const int64_t extent = shape_.n == sizes.n + 2 ? shape_[i + 2] : 0;
    const int64_t size = sizes[i] == 0 ? extent : sizes[i];
    if (size < 1 || extent < 1 || extent % size) {
      throw std::invalid_argument("adaptive_avg_pool: windows of one size do not fit " +
                                  shape_text(shape_));
    }
    args.kernel.push_back(extent / size);
  }
  args.stride = args.kernel;
  args.dilation = Shape(1, sizes.n);
  args.padding.before = args.padding.after = Shape(0, sizes.n);
  average_pool(args, AverageRule());
}

template <class T>
void Program::add_normalize(const std::vector<double>& scale, const std::vector<double>& shift,
                            Activation activation) {
  const int64_t channels = shape_[1], plane = plane_of(shape_);
  const std::vector<T> a(scale.begin(), scale.end()), b(shift.begin(), shift.end());
  T lo, hi;
  clamp_range(activation, &lo, &hi);
  Step step;
  step.in_place = true;
  step.norm = [a, b, lo, hi](const void* x, int64_t c, int64_t count, void* y) {
    const auto at = static_cast<size_t>(c);
    of_type<T>(*kernels().norm)
        .affine(static_cast<const T*>(x), nullptr, static_cast<T*>(y), count, a[at], b[at], lo, hi);
  };
  step.scattered = [norm = step.norm, channels, plane](const Rows& x, const void*, void* y) {
    const auto count = static_cast<int64_t>(x.size());
    const int threads =
        memory_threads(2.0 * sizeof(T) * static_cast<double>(count * plane), num_threads());
    parallel_for(count, threads, [&](int64_t i, int) {
      norm(x[static_cast<size_t>(i)], i % channels, plane, static_cast<T*>(y) + i * plane);
    });
  };
  add(std::move(step), shape_);
}

void Program::normalize(const std::vector<double>& scale, const std::vector<double>& shift,
                        Activation activation) {
  if (shape_.n < 2 || static_cast<int64_t>(scale.size()) != shape_[1] ||
      scale.size() != shift.size() || activation > Activation::relu6) {
    throw std::invalid_argument("batch_norm: the input must have one channel for each scale, got " +
                                shape_text(shape_));
  }
  of_item(item_, [&](auto zero) { this->add_normalize<decltype(zero)>(scale, shift, activation); });
}

void Program::unary(int index, double a, double b) {
  const int64_t n = checked_product(shape_);
  Step step;
  step.in_place = true;
  of_item(item_, [&](auto zero) {
    using T = decltype(zero);
    step.run = [index, a, b, n](const void* x, const void*, void* y) {
      const int threads = memory_threads(2.0 * sizeof(T) * static_cast<double>(n), num_threads());
      unary_forward(index, static_cast<const T*>(x), static_cast<T*>(y), n, a, b, threads);
    };
  });
  add(std::move(step), shape_);
}

void Program::flatten(int first, int last) {
  if (first < 0 || last < first || last >= shape_.n) {
    throw std::invalid_argument("flatten: no axes " + std::to_string(first) + " to " +
                                std::to_string(last) + " in shape " + shape_text(shape_));
  }
  Shape flat;
  for (int i = 0; i < shape_.n; ++i) {
    if (i <= first || i > last) {
      flat.push_back(shape_[i]);
    } else {
      flat[first] *= shape_[i];
    }
  }
  shape_ = flat;
}

void Program::excite(std::shared_ptr<const Program> gate) {
  Shape means(1, shape_.n);
  if (shape_.n > 1) means[1] = shape_[1];
  if (shape_.n < 3 || !(gate->input_shape() == means) || !(gate->output_shape() == means)) {
    throw std::invalid_argument("excite: the gate must take and give shape " + shape_text(means));
  }
  const int64_t channels = shape_[1], planes = shape_[0] * channels, plane = plane_of(shape_);
  Step step;
  step.in_place = true;
  step.gate = gate;
  of_item(item_, [&](auto zero) {
    using T = decltype(zero);
    step.run = [gate, planes, plane, channels](const void* x, const void*, void* y) {
      const Scratch scratch(2 * Carver::bytes<T>(static_cast<size_t>(planes)));
      Carver carver(scratch.data());
      T* means = carver.take<T>(static_cast<size_t>(planes));
      T* scale = carver.take<T>(static_cast<size_t>(planes));
      const T* from = static_cast<const T*>(x);
      T* to = static_cast<T*>(y);
      const T infinity = std::numeric_limits<T>::infinity();
      const int threads =
          memory_threads(2.0 * sizeof(T) * static_cast<double>(planes * plane), num_threads());
      parallel_for(planes, threads, [&](int64_t i, int) {
        means[i] = of_type<T>(*kernels().gemm).sum(from + i * plane, plane) / static_cast<T>(plane);
      });
      for (int64_t i = 0; i < planes; i += channels) {
        gate->run({{means + i, channels}}, nullptr, scale + i);
      }
      parallel_for(planes, threads, [&](int64_t i, int) {
        of_type<T>(*kernels().norm)
            .affine(from + i * plane, nullptr, to + i * plane, plane, scale[i], T(0), -infinity,
                    infinity);
      });
    };
  });
  add(std::move(step), shape_);
}

void Program::fuse() {
  std::vector<Step> fused;
  for (size_t i = 0; i < steps_.size();) {
    size_t used = 0;
    Step step;
    step.input = steps_[i].input;
    step.takes_residual = true;
    if (const std::shared_ptr<const Inverted> block = inverted_at(i, &used)) {
      step.run = [block](const void* x, const void* residual, void* y) {
        block->run(x, residual, y);
      };
    } else if (const std::shared_ptr<const NormConv> pair = norm_conv_at(i)) {
      used = 2;
      step.scattered = [pair](const Rows& x, const void* residual, void* y) {
        pair->run(x, residual, y);
      };
    } else if (const std::shared_ptr<const FewPixels> few = few_at(i)) {
      used = 1;
      step.adds_in_place = true;
      step.run = [few](const void* x, const void* residual, void* y) { few->run(x, residual, y); };
    } else if (const std::shared_ptr<const NormConv> alone = conv_at(i)) {
      used = 1;
      step.adds_in_place = steps_[i].adds_in_place;
      step.run = [alone](const void* x, const void* residual, void* y) {
        alone->run({static_cast<const char*>(x)}, residual, y);
      };
    } else {
      fused.push_back(std::move(steps_[i++]));
      continue;
    }
    i += used;
    step.bytes = steps_[i - 1].bytes;
    fused.push_back(std::move(step));
  }
  steps_ = std::move(fused);
}

// A convolution of few pixels; or null.
std::shared_ptr<const FewPixels> Program::few_at(size_t i) const {
  return steps_[i].plan ? FewPixels::of(*steps_[i].plan, steps_[i].input) : nullptr;
}

// A convolution that does better by shares of the pixels; or null.
std::shared_ptr<const NormConv> Program::conv_at(size_t i) const {
  if (!steps_[i].plan) return nullptr;
  return NormConv::of(nullptr, *steps_[i].plan, steps_[i].input);
}

// The norm that is step i with the convolution behind it; or null.
std::shared_ptr<const NormConv> Program::norm_conv_at(size_t i) const {
  if (!steps_[i].norm || i + 1 == steps_.size() || !steps_[i + 1].plan) return nullptr;
  return NormConv::of(steps_[i].norm, *steps_[i + 1].plan, steps_[i].input);
}

// The block that begins with step i, and how many steps it has; or null.
std::shared_ptr<const Inverted> Program::inverted_at(size_t i, size_t* used) const {
  size_t at = i;
  const auto next = [&](Plan** plan) {
    if (at == steps_.size() || !steps_[at].plan || !steps_[at].plan->automatic()) return false;
    *plan = steps_[at++].plan;
    return true;
  };
  InvertedPlans plans;
  if (!next(&plans.expand) || !next(&plans.depthwise)) return nullptr;
  if (at < steps_.size() && steps_[at].gate) plans.gate = steps_[at++].gate;
  if (!next(&plans.project)) return nullptr;
  *used = at - i;
  return Inverted::of(plans, steps_[i].input);
}

// Where the channels of each image lie, `plane` bytes each.
Program::Rows Program::rows_of(const std::vector<Part>& parts, int64_t images, size_t plane) {
  Rows rows;
  for (int64_t n = 0; n < images; ++n) {
    for (const Part& part : parts) {
      const char* x = static_cast<const char*>(part.data);
      for (int64_t c = 0; c < part.channels; ++c) {
        rows.push_back(x + static_cast<size_t>(n * part.channels + c) * plane);
      }
    }
  }
  return rows;
}

void Program::run(const std::vector<Part>& parts, const void* residual, void* y) const {
  const size_t steps = steps_.size();
  const bool gather = parts.size() > 1 && !steps_[0].scattered;
  size_t half = gather ? static_cast<size_t>(checked_product(input_)) * item_ : 0;
  for (size_t i = 0; i + 1 < steps; ++i) half = std::max(half, steps_[i].bytes);
  half = Carver::bytes<char>(half);
  const Scratch scratch(half ? common_size(2 * half) : 0);
  char* const halves[2] = {scratch.data(), scratch.data() + half};

  std::vector<Part> at = parts;  // the latest result
  size_t next = 0;               // the half that it is not in
  const auto rows_at = [&](const Shape& shape) {
    return rows_of(at, shape[0], static_cast<size_t>(plane_of(shape)) * item_);
  };
  if (gather) {
    const size_t plane = static_cast<size_t>(plane_of(input_)) * item_;
    char* to = halves[next];
    for (const char* row : rows_at(input_)) {
      std::memcpy(to, row, plane);
      to += plane;
    }
    at = {{halves[next], input_[1]}};
    next ^= 1;
  }
  for (size_t i = 0; i < steps; ++i) {
    const Step& step = steps_[i];
    const bool last = i + 1 == steps;
    const bool stay = step.in_place && at.size() == 1 && at[0].data == halves[next ^ 1];
    void* const to = last ? y : halves[stay ? next ^ 1 : next];
    const void* const more = last ? residual : nullptr;
    if (step.scattered) {
      step.scattered(rows_at(step.input), more, to);
    } else {
      step.run(at[0].data, more, to);
    }
    if (!stay) next ^= 1;
    at = {{to, last ? 0 : steps_[i + 1].input[1]}};
  }
}

}  // namespace fastconv
