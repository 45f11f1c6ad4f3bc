"""Less frequent functions: curves, bits, scattering, counting, stacking, diagonals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .rows import Drawn, Fixed, Row, a, bad, call, classes, distinct, positive, unit, wide

X, Y, D = a(3, 4), positive(3, 4), distinct(3, 4)
WHOLE, OTHERS = classes(9, 3, 4), Fixed(np.arange(12).reshape(3, 4))
MASK = Fixed(np.random.default_rng(2).random((3, 4)) > 0.5)
TWICE = Fixed(np.array([[0, 2, 1, 0], [1, 1, 2, 0]]))
ONCE = Fixed(np.array([[0, 2, 1, 0], [1, 1, 2, 2]]))
ROWS_AT = Fixed(np.array([2, 0]))


def _one(name: str, truth: Any, drawn: Any = X, **more: Any) -> Row:
    return Row(name, truth, [call(drawn)], **more)


def _two(name: str, truth: Any, first: Any = X, second: Any = Y, **more: Any) -> Row:
    calls = [call(first, second), call(first, positive(4)), call(a(3, 1), positive(2, 1, 4))]
    return Row(name, truth, calls, half=False, **more)


def _bits(name: str, truth: Any) -> Row:
    refused = [bad(TypeError, "whole numbers or bools, got float64", a(2), np.ones(2, int))]
    return Row(name, truth, [call(WHOLE, OTHERS), call(MASK, MASK)], gradient=False, bad=refused)


def _places(x: Any, dim: int, index: Any) -> Any:
    places = list(np.indices(index.shape))
    places[dim] = index
    return tuple(places)


def _scatter(x: Any, dim: int, index: Any, src: Any = None, value: Any = None) -> Any:
    y, places = x.copy(), _places(x, dim, index)
    y[places] = value if src is None else src
    return y


def _scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    y = x.copy()
    np.add.at(y, _places(x, dim, index), src)
    return y


def _index_add(x: Any, dim: int, index: Any, source: Any, alpha: float = 1) -> Any:
    y = np.moveaxis(x, dim, 0).copy()
    for i, values in zip(index, np.moveaxis(source, dim, 0), strict=True):
        y[i] += alpha * values
    return np.moveaxis(y, 0, dim)


def _set(x: Any, dim: int, index: Any, values: Any) -> Any:
    y = x.copy()
    np.moveaxis(y, dim, 0)[index] = (
        np.moveaxis(np.asarray(values), dim, 0) if np.ndim(values) else values
    )
    return y


def _median(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    if dim is None:
        return np.sort(x, None)[(x.size - 1) // 2]
    at = np.take(np.argsort(x, dim), [(x.shape[dim] - 1) // 2], dim)
    values = np.take_along_axis(x, at, dim)
    return (values, at) if keepdim else (values.squeeze(dim), at.squeeze(dim))


def _unique(x: Any, sorted: bool = True, inverse: bool = False, counts: bool = False,
            dim: Any = None) -> Any:  # fmt: skip
    y, i, n = np.unique(x, return_inverse=True, return_counts=True, axis=dim)
    return (y, i.reshape(x.shape), n) if inverse else y


def _bad_places(name: str) -> Any:
    source = () if name == "index_fill" else (a(2, 4),)
    last = (0.5,) if name == "index_fill" else source
    refused = [bad(TypeError, "index must be a row of integers", X, 0, np.ones(2), *last),
               bad(IndexError, "index must lie below 3", X, 0, np.array([0, 3]), *last),
               bad(IndexError, "dim must lie in", X, 5, np.array([0]), *last)]  # fmt: skip
    if name != "index_fill":
        refused.append(bad(ValueError, "source must have shape (2, 4), got (2, 3)", X, 0,
                           np.array([0, 1]), a(2, 3)))  # fmt: skip
    return refused


def _bad_scatter(*src: Any) -> Any:
    return [
        bad(TypeError, "index must be integers", X, 0, np.ones((1, 4)), *src),
        bad(IndexError, "index 3 is out of bounds for extent 3", X, 0, np.full((1, 4), 3), *src),
        bad(ValueError, "index must have the axes of input", X, 0, np.zeros(4, int), *src),
        bad(ValueError, "src must be at least as large", X, 0, np.zeros((2, 4), int), a(1, 4)),
    ]


ROWS = [
    _one("asin", np.vectorize(math.asin), unit(3, 4)),
    _one("acos", np.vectorize(math.acos), unit(3, 4)),
    _one("atan", np.vectorize(math.atan)),
    _one("sinh", lambda x: (np.exp(x) - np.exp(-x)) / 2),
    _one("cosh", lambda x: (np.exp(x) + np.exp(-x)) / 2),
    _one("asinh", np.vectorize(math.asinh)),
    _one("acosh", np.vectorize(math.acosh), Drawn((3, 4), lambda rng, s: rng.uniform(1.5, 4, s))),
    _one("atanh", np.vectorize(math.atanh), unit(3, 4)),
    _one("exp2", lambda x: 2.0**x),
    _one("erfinv", lambda x: np.vectorize(_erfinv)(x), unit(3, 4)),
    _one("frac", lambda x: np.modf(x)[0], wide(3, 4)),
    Row("logit", lambda x, eps=0: np.log(np.clip(x, eps, 1 - eps) / (1 - np.clip(x, eps, 1 - eps))),
        [call(unit(3, 4)), call(unit(3, 4), 0.2)]),
    _two("atan2", np.vectorize(math.atan2)),
    _two("hypot", lambda x, y: np.sqrt(x * x + y * y)),
    _two("logaddexp", lambda x, y: np.log(np.exp(x) + np.exp(y))),
    _two("fmod", lambda x, y: x - y * np.trunc(x / y)),
    _two("floor_divide", lambda x, y: np.floor(x / y), gradient=False),
    Row("isclose", lambda x, y, rtol=1e-5, atol=1e-8: abs(x - y) <= atol + rtol * abs(y),
        [call(X, X), call(X, Y, 0.5, 0.1)], gradient=False),
    Row("addcmul", lambda x, y, z, value=1: x + value * y * z,
        [call(X, Y, a(4)), call(X, Y, a(3, 1), value=0.5)], half=False),
    Row("addcdiv", lambda x, y, z, value=1: x + value * y / z,
        [call(X, X, Y), call(X, a(4), Y, value=0.5)], half=False),
    Row("mv", lambda x, y: (x * y).sum(1), [call(X, a(4))],
        bad=[bad(ValueError, "1 axes", X, a(4, 1))]),
    Row("baddbmm",
        lambda x, y, z, beta=1, alpha=1: beta * x + alpha * np.einsum("bij,bjk->bik", y, z),
        [call(a(2, 3, 2), a(2, 3, 4), a(2, 4, 2)),
         call(a(2), a(2, 3, 4), a(2, 4, 2), beta=0.5, alpha=2)]),
    Row("clamp_min", np.maximum, [call(wide(3, 4), 0.5)]),
    Row("clamp_max", np.minimum, [call(wide(3, 4), 0.5)]),
    # ---- whole numbers
    _bits("bitwise_and", lambda x, y: x & y),
    _bits("bitwise_or", lambda x, y: x | y),
    _bits("bitwise_xor", lambda x, y: x ^ y),
    Row("bitwise_not", lambda x: ~x, [call(WHOLE), call(MASK)], gradient=False,
        bad=[bad(TypeError, "whole numbers or bools", a(2))]),
    Row("logical_xor", lambda x, y: (x != 0) ^ (y != 0), [call(MASK, X)], gradient=False),
    # ---- writing to places
    Row("scatter", _scatter,
        [call(X, 1, Fixed(np.array([[0, 2], [3, 1]])), a(2, 2)), call(X, 0, ONCE, 2.5),
         call(a(3), 0, ROWS_AT, value=1.0)],
        bad=[*_bad_scatter(1.0), bad(ValueError, "reduce must be", X, 0, np.zeros((1, 4), int), 1.0,
                                     reduce="mean"),
             bad(TypeError, "give src or value", X, 0, np.zeros((1, 4), int))], half=False),
    Row("scatter_add", _scatter_add, [call(X, 0, TWICE, a(2, 4)), call(X, 1, TWICE, a(2, 4))],
        bad=_bad_scatter(a(3, 4)), half=False),
    Row("index_add", _index_add,
        [call(X, 0, Fixed(np.array([2, 0, 2])), a(3, 4)),
         call(X, 1, ROWS_AT, a(3, 2), alpha=0.5)],
        bad=_bad_places("index_add"), half=False),
    Row("index_copy", _set, [call(X, 0, ROWS_AT, a(2, 4)), call(X, 1, ROWS_AT, a(3, 2))],
        bad=_bad_places("index_copy"), half=False),
    Row("index_fill", _set, [call(X, 0, ROWS_AT, 0.5), call(X, 1, ROWS_AT, 2.0)],
        bad=_bad_places("index_fill"), half=False),
    # ---- counting
    Row("median", _median, [call(D), call(D, 1), call(distinct(2, 5, 3), 1, True)],
        bad=[bad(IndexError, "dim must lie in", X, 3), bad(ValueError, "of none", a(0))]),
    Row("unique", _unique, [call(WHOLE), call(WHOLE, True, True, True), call(WHOLE, dim=0)],
        gradient=False),
    Row("bincount", lambda x, w=None, least=0: np.bincount(x, w, least),
        [call(classes(5, 9)), call(classes(5, 9), None, 8)], gradient=False,
        bad=[bad(TypeError, "whole numbers", a(3)), bad(ValueError, "one row", np.array([-1])),
             bad(ValueError, "weights must have shape (2,)", np.array([0, 1]), np.ones(3))]),
    Row("histc", lambda x, bins=100, low=0, high=0: np.histogram(
        x, bins, (low, high) if low < high else None)[0].astype(x.dtype),
        [call(X, 5), call(X, 4, -1, 1)], gradient=False, half=False,
        bad=[bad(ValueError, "bins must be positive", X, 0),
             bad(ValueError, "max must not be less", X, 3, 1, 0)]),
    Row("cumprod", lambda x, dim: np.cumprod(x, dim), [call(X, 1), call(X, 0)],
        bad=[bad(IndexError, "dim must lie in", X, 2)]),
    # ---- rows, columns, diagonals
    Row("hstack", lambda xs: np.hstack(xs), [call([X, a(3, 2)]), call([a(3), a(2)])], half=False),
    Row("vstack", lambda xs: np.vstack(xs), [call([X, a(2, 4)]), call([a(3), a(3)])], half=False),
    Row("tensor_split", lambda x, n, dim=0: tuple(np.array_split(x, n, dim)),
        [call(X, 3, 1), call(X, (1, 3), 1), call(X, 2)],
        bad=[bad(ValueError, "sections must be positive", X, 0)]),
    Row("fliplr", lambda x: x[:, ::-1], [call(X)]),
    Row("flipud", lambda x: x[::-1], [call(X)]),
    Row("rot90", lambda x, k=1, dims=(0, 1): np.rot90(x, k, dims),
        [call(X), call(X, 2), call(a(2, 3, 4), -1, (1, 2)), call(X, 4)],
        bad=[bad(ValueError, "dims must be two axes", X, 1, (1, 1))]),
    Row("ravel", lambda x: x.reshape(-1), [call(X)]),
    Row("diagonal", lambda x, *at: np.diagonal(x, *at),
        [call(X), call(X, 1), call(a(2, 3, 4), -1, 0, 2)],
        bad=[bad(ValueError, "dim1 and dim2 must be two axes", X, 0, 1, 1)]),
    Row("diag", lambda x, k=0: np.diag(x, k), [call(X, 1), call(a(3)), call(a(3), -1)],
        bad=[bad(ValueError, "one axis or two", a(2, 2, 2))]),
    Row("trace", lambda x: sum(x[i, i] for i in range(3)), [call(X)],
        bad=[bad(ValueError, "input must be a matrix", a(3))]),
]  # fmt: skip


def _erfinv(x: float) -> float:
    """By bisection."""
    low, high = -6.0, 6.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < x else (low, middle)
    return low
