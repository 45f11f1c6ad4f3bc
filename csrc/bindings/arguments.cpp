#include "arguments.h"

namespace fastconv {

void wrong_type(const char* fn, const char* what, const char* expected, const std::string& got) {
  throw type_error(std::string(fn) + ": " + what + " must be " + expected + ", but got " + got);
}

std::string type_name(PyObject* o) {
  return Py_TYPE(o)->tp_name;
}

int parse_rank(PyObject* o) {
  const int64_t rank = parse_int("fastconv._core", "rank", o);
  if (rank < 1 || rank > 3) throw std::invalid_argument("fastconv._core: rank must be 1, 2 or 3");
  return static_cast<int>(rank);
}

int64_t parse_int(const char* fn, const char* what, PyObject* o) {
  if (PyBool_Check(o) || !PyIndex_Check(o) || PyArray_IsScalar(o, Bool)) {
    wrong_type(fn, what, "an int", type_name(o));
  }
  const Ref index(PyNumber_Index(o));
  int overflow = 0;
  const long long v = PyLong_AsLongLongAndOverflow(index.get(), &overflow);
  if (overflow) {
    throw std::invalid_argument(std::string(fn) + ": " + what + " is too large for 64 bits");
  }
  if (v == -1 && PyErr_Occurred()) throw python_error{};
  return v;
}

namespace {

// The items of a list, a tuple or another sequence that is not text.
Ref sequence(const char* fn, const char* what, PyObject* o, int rank) {
  const std::string expected = "an int or a sequence of " + std::to_string(rank) + " ints";
  if (PyUnicode_Check(o) || PyBytes_Check(o) || !PySequence_Check(o)) {
    wrong_type(fn, what, expected.c_str(), type_name(o));
  }
  return Ref(PySequence_Fast(o, "not a sequence"));
}

void check_length(const char* fn, const char* what, Py_ssize_t n, int rank) {
  if (n == rank || n == 1) return;
  throw std::invalid_argument(std::string(fn) + ": " + what + " must be an int or " +
                              std::to_string(rank) + " ints, but got " + std::to_string(n) +
                              " values");
}

}  // namespace

Shape parse_ints(const char* fn, const char* what, PyObject* o, int rank) {
  if (PyLong_CheckExact(o) || (PyIndex_Check(o) && !PyArray_Check(o)) || PyBool_Check(o) ||
      PyFloat_Check(o)) {
    return Shape(parse_int(fn, what, o), rank);
  }
  const Ref items = sequence(fn, what, o, rank);
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(items.get());
  check_length(fn, what, n, rank);
  Shape s;
  for (int i = 0; i < rank; ++i) {
    s.push_back(parse_int(fn, what, PySequence_Fast_GET_ITEM(items.get(), n == 1 ? 0 : i)));
  }
  return s;
}

Padding parse_padding(const char* fn, PyObject* o, int rank, bool named) {
  Padding p;
  if (PyUnicode_Check(o)) {
    const std::string text = parse_text(fn, "padding", o);
    p.before = p.after = Shape(0, rank);
    if (named && text == "valid") return p;
    if (named && text == "same") {
      p.mode = Padding::same;
    } else if (named && text == "same_upper") {
      p.mode = Padding::same_upper;
    } else if (named && text == "same_lower") {
      p.mode = Padding::same_lower;
    } else {
      throw std::invalid_argument(std::string(fn) + ": padding must be an int, ints, pairs" +
                                  (named ? ", 'valid', 'same', 'same_upper' or 'same_lower'" : "") +
                                  ", but got '" + text + "'");
    }
    return p;
  }
  if (!PyLong_CheckExact(o) && PySequence_Check(o) && PySequence_Size(o) > 0) {
    const Ref first(PySequence_GetItem(o, 0));
    if (!PyIndex_Check(first.get()) && PySequence_Check(first.get()) &&
        !PyUnicode_Check(first.get())) {
      const Ref pairs = sequence(fn, "padding", o, rank);
      const Py_ssize_t n = PySequence_Fast_GET_SIZE(pairs.get());
      check_length(fn, "padding", n, rank);
      p.pairs = true;
      for (int i = 0; i < rank; ++i) {
        PyObject* item = PySequence_Fast_GET_ITEM(pairs.get(), n == 1 ? 0 : i);
        const Ref pair = sequence(fn, "padding", item, 2);
        if (PySequence_Fast_GET_SIZE(pair.get()) != 2) {
          throw std::invalid_argument(std::string(fn) +
                                      ": padding must give one (before, after) pair per axis");
        }
        p.before.push_back(parse_int(fn, "padding", PySequence_Fast_GET_ITEM(pair.get(), 0)));
        p.after.push_back(parse_int(fn, "padding", PySequence_Fast_GET_ITEM(pair.get(), 1)));
      }
      return p;
    }
  }
  p.before = p.after = parse_ints(fn, "padding", o, rank);
  return p;
}

bool parse_bool(const char* fn, const char* what, PyObject* o) {
  if (!PyBool_Check(o) && !PyArray_IsScalar(o, Bool)) wrong_type(fn, what, "a bool", type_name(o));
  return PyObject_IsTrue(o) == 1;
}

const char* parse_text(const char* fn, const char* what, PyObject* o) {
  if (!PyUnicode_Check(o)) wrong_type(fn, what, "a str", type_name(o));
  const char* text = PyUnicode_AsUTF8(o);
  if (!text) throw python_error{};
  return text;
}

Shape parse_shape(const char* fn, const char* what, PyObject* o) {
  if (PyUnicode_Check(o) || !PySequence_Check(o)) {
    wrong_type(fn, what, "a sequence of ints", type_name(o));
  }
  const Ref items(PySequence_Fast(o, "not a sequence"));
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(items.get());
  Shape s;
  if (n > 64) throw std::invalid_argument(std::string(fn) + ": " + what + " has too many axes");
  for (Py_ssize_t i = 0; i < n; ++i) {
    s.push_back(parse_int(fn, what, PySequence_Fast_GET_ITEM(items.get(), i)));
    if (s[s.n - 1] < 0) {
      throw std::invalid_argument(std::string(fn) + ": " + what +
                                  " must not be negative, but got " + shape_text(s));
    }
  }
  return s;
}

Ref shape_tuple(const Shape& s) {
  Ref t(PyTuple_New(s.n));
  for (int i = 0; i < s.n; ++i) PyTuple_SET_ITEM(t.get(), i, PyLong_FromLongLong(s[i]));
  return t;
}

}  // namespace fastconv
