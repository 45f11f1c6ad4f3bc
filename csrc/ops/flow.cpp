#include "flow.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "memory.h"

namespace fastconv {
namespace {

size_t at(int value) {
  return static_cast<size_t>(value);
}

// Bytes of a shape without its first axis.
size_t image_bytes(const Shape& shape, size_t item) {
  size_t bytes = item;
  for (int i = 1; i < shape.n; ++i) bytes *= static_cast<size_t>(shape[i]);
  return bytes;
}

}  // namespace

size_t Flow::Value::bytes() const {
  return static_cast<size_t>(shape[0]) * image_bytes(shape, item);
}

int Flow::add(const Shape& shape, size_t item, const Program* program, std::vector<int> parts,
              int residual) {
  checked_mul(checked_product(shape), static_cast<int64_t>(item));
  values_.push_back({shape, item, program, std::move(parts), residual});
  return values() - 1;
}

int Flow::input(const Shape& shape, size_t item) {
  ++inputs_;
  return add(shape, item, nullptr, {}, -1);
}

int Flow::step(const Program& program, std::vector<int> parts, int residual) {
  return add(program.output_shape(), program.item(), &program, std::move(parts), residual);
}

int Flow::join(std::vector<int> parts) {
  Shape together = shape(parts[0]);
  together[1] = 0;
  for (const int part : parts) together[1] += shape(part)[1];
  const size_t own = item(parts[0]);
  return add(together, own, nullptr, std::move(parts), -1);
}

// Of one image the parts of a join are written where they shall stand.
void Flow::settle_parts(int join) {
  Value& whole = values_[at(join)];
  size_t offset = 0;
  for (const int p : whole.parts) {
    Value& part = values_[at(p)];
    if (whole.shape[0] == 1 && part.program && part.output < 0 && part.inside < 0) {
      part.inside = join;
      part.offset = offset;
    }
    offset += part.bytes();
  }
}

// A residual that nobody reads after `last` is where the sum with it shall stand.
void Flow::settle_sum(int v, int last) {
  Value& sum = values_[at(v)];
  if (!sum.program || sum.residual < inputs_ || last != v || !sum.program->adds_in_place()) return;
  const Value& added = values_[at(sum.residual)];
  const bool joined = added.inside >= 0 && !values_[at(added.inside)].program;
  const bool wanted = sum.output >= 0 || sum.inside >= 0 || added.output >= 0;
  if (!added.program || joined || wanted) return;
  sum.inside = added.inside < 0 ? sum.residual : added.inside;
}

// last[v]: the last step that reads value v. Every value gets the first gap in the scratch that
// is free from the step that writes it to that one.
void Flow::place(const std::vector<int>& last) {
  struct Block {
    size_t begin, end;
    int last;
  };
  std::vector<int> until = last, since(values_.size());
  for (int v = inputs_; v < values(); ++v) since[at(v)] = v;
  for (int v = inputs_; v < values(); ++v) {
    const int whole = values_[at(v)].inside;
    if (whole < 0) continue;
    since[at(whole)] = std::min(since[at(whole)], v);
    until[at(whole)] = std::max(until[at(whole)], until[at(v)]);
  }
  std::vector<Block> taken;  // by their places
  for (int now = inputs_; now < values(); ++now) {
    for (size_t i = taken.size(); i-- > 0;) {
      if (taken[i].last < now) taken.erase(taken.begin() + static_cast<std::ptrdiff_t>(i));
    }
    for (int v = now; v < values(); ++v) {
      Value& value = values_[at(v)];
      if (since[at(v)] != now || value.inside >= 0 || value.output >= 0) continue;
      const size_t bytes = Carver::bytes<char>(value.bytes());
      auto next = taken.begin();
      for (; next != taken.end() && next->begin < value.offset + bytes; ++next) {
        value.offset = next->end;
      }
      scratch_ = std::max(scratch_, value.offset + bytes);
      taken.insert(next, {value.offset, value.offset + bytes, until[at(v)]});
    }
  }
}

void Flow::finish(const std::vector<int>& outputs) {
  outputs_ = outputs;
  for (size_t i = 0; i < outputs.size(); ++i) {
    values_[at(outputs[i])].output = static_cast<int>(i);
  }
  std::vector<int> last(values_.size());
  for (int v = inputs_; v < values(); ++v) {
    Value& value = values_[at(v)];
    last[at(v)] = v;
    for (const int p : value.parts) last[at(p)] = v;
    if (value.residual >= 0) last[at(value.residual)] = v;
    if (!value.program) settle_parts(v);
  }
  for (int v = inputs_; v < values(); ++v) {
    const int residual = values_[at(v)].residual;
    if (residual >= 0) settle_sum(v, last[at(residual)]);
  }
  place(last);
}

void Flow::run(const std::vector<const void*>& inputs, const std::vector<void*>& outputs) const {
  const Scratch scratch(scratch_);
  std::vector<char*> where(values_.size());
  for (int v = inputs_; v < values(); ++v) {
    const Value& value = values_[at(v)];
    where[at(v)] = value.output >= 0 ? static_cast<char*>(outputs[at(value.output)])
                                     : scratch.data() + value.offset;
  }
  for (int v = inputs_; v < values(); ++v) {
    const Value& value = values_[at(v)];
    if (value.inside >= 0) where[at(v)] = where[at(value.inside)] + value.offset;
  }
  const auto data = [&](int v) -> const void* {
    return v < inputs_ ? inputs[at(v)] : where[at(v)];
  };
  std::vector<Part> parts;
  for (int v = inputs_; v < values(); ++v) {
    const Value& value = values_[at(v)];
    if (value.program) {
      parts.clear();
      for (const int p : value.parts) parts.push_back({data(p), shape(p)[1]});
      value.program->run(parts, value.residual < 0 ? nullptr : data(value.residual), where[at(v)]);
      continue;
    }
    const size_t stride = image_bytes(value.shape, value.item);
    size_t offset = 0;
    for (const int p : value.parts) {
      const size_t bytes = image_bytes(shape(p), value.item);
      const char* from = static_cast<const char*>(data(p));
      char* to = where[at(v)] + offset;
      for (int64_t n = 0; from != to && n < value.shape[0]; ++n) {
        std::memcpy(to + static_cast<size_t>(n) * stride, from + static_cast<size_t>(n) * bytes,
                    bytes);
      }
      offset += bytes;
    }
  }
}

}  // namespace fastconv
