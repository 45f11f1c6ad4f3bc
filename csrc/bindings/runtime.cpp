// Threads, memory and what was built.
#include "../isa.h"
#include "../ops/accuracy.h"
#include "../ops/memory.h"
#include "../ops/parallel.h"
#include "../ops/peak.h"
#include "module.h"

namespace fastconv {
namespace {

PyObject* get_num_threads(PyObject*, PyObject* const*, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 0);
    return Ref(PyLong_FromLong(num_threads())).release();
  });
}

PyObject* py_set_num_threads(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 1);
    const int64_t n = parse_int("set_num_threads", "n", args[0]);
    if (n < 1 || n > 1024) {
      throw std::invalid_argument("set_num_threads: n must be between 1 and 1024, but got " +
                                  std::to_string(n));
    }
    set_num_threads(static_cast<int>(n));
    return Ref::borrow(Py_None).release();
  });
}

size_t parse_bytes(const char* fn, PyObject* o) {
  const int64_t n = parse_int(fn, "bytes", o);
  if (n < 0) {
    throw std::invalid_argument(std::string(fn) + ": bytes must not be negative, but got " +
                                std::to_string(n));
  }
  return static_cast<size_t>(n);
}

PyObject* py_set_workspace_limit(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 1);
    set_workspace_limit(parse_bytes("set_workspace_limit", args[0]));
    return Ref::borrow(Py_None).release();
  });
}

PyObject* get_workspace_limit(PyObject*, PyObject* const*, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 0);
    return Ref(PyLong_FromSize_t(workspace_limit())).release();
  });
}

PyObject* get_accuracy(PyObject*, PyObject* const*, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 0);
    return Ref(PyUnicode_FromString(high_accuracy() ? "high" : "default")).release();
  });
}

PyObject* set_accuracy(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 1);
    const std::string level = parse_text("set_accuracy", "level", args[0]);
    if (level != "default" && level != "high") {
      throw std::invalid_argument("set_accuracy: level must be 'default' or 'high', but got '" +
                                  level + "'");
    }
    set_high_accuracy(level == "high");
    return Ref::borrow(Py_None).release();
  });
}

PyObject* py_set_cache_limit(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 1);
    set_cache_limit(parse_bytes("set_cache_limit", args[0]));
    return Ref::borrow(Py_None).release();
  });
}

PyObject* py_empty_cache(PyObject*, PyObject* const*, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 0);
    empty_cache();
    return Ref::borrow(Py_None).release();
  });
}

PyObject* py_memory_stats(PyObject*, PyObject* const*, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 0);
    const MemoryStats s = memory_stats();
    return Ref(Py_BuildValue("{s:n,s:n,s:n,s:K,s:K}", "in_use", static_cast<Py_ssize_t>(s.in_use),
                             "cached", static_cast<Py_ssize_t>(s.cached), "limit",
                             static_cast<Py_ssize_t>(s.limit), "reused",
                             static_cast<unsigned long long>(s.reused), "fresh",
                             static_cast<unsigned long long>(s.fresh)))
        .release();
  });
}

PyObject* build_info(PyObject*, PyObject* const*, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 0);
    Ref isas(PyList_New(0));
    for (const std::string& isa : available_isas()) {
      const Ref name(PyUnicode_FromString(isa.c_str()));
      if (PyList_Append(isas.get(), name.get()) < 0) throw python_error{};
    }
    return Ref(Py_BuildValue("{s:s,s:N,s:i,s:s,s:s,s:s,s:n}", "isa", kernels().isa,
                             "available_isas", isas.release(), "vector_bytes",
                             kernels().vector_bytes, "compiler", FASTCONV_COMPILER, "flags",
                             FASTCONV_FLAGS, "openmp", "none", "l2_bytes",
                             static_cast<Py_ssize_t>(l2_bytes())))
        .release();
  });
}

PyObject* peak_flops(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return guarded([&] {
    expect_args(nargs, 1);
    const int64_t item = parse_int("peak_flops", "itemsize", args[0]);
    if (item != 4 && item != 8) throw std::invalid_argument("peak_flops: itemsize must be 4 or 8");
    double peak;
    {
      const WithoutGil free;
      peak = measure_peak(static_cast<size_t>(item));
    }
    return Ref(PyFloat_FromDouble(peak)).release();
  });
}

PyMethodDef kMethods[] = {
    FASTCONV_METHOD(get_num_threads),
    FASTCONV_METHOD_AS("set_num_threads", py_set_num_threads),
    FASTCONV_METHOD(get_workspace_limit),
    FASTCONV_METHOD_AS("set_workspace_limit", py_set_workspace_limit),
    FASTCONV_METHOD(get_accuracy),
    FASTCONV_METHOD(set_accuracy),
    FASTCONV_METHOD_AS("set_cache_limit", py_set_cache_limit),
    FASTCONV_METHOD_AS("empty_cache", py_empty_cache),
    FASTCONV_METHOD_AS("memory_stats", py_memory_stats),
    FASTCONV_METHOD(build_info),
    FASTCONV_METHOD(peak_flops),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_runtime(PyObject* module) {
  add_methods(module, kMethods);
}

}  // namespace fastconv
