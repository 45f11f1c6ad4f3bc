"""Sums, extrema, order, and other functions that take axes away."""

from __future__ import annotations

from typing import Any

import numpy as np

from .rows import Fixed, Row, a, bad, call, distinct, positive

X = a(3, 4, 2)
D = distinct(3, 4, 2)
MASK = Fixed(np.random.default_rng(1).random((3, 4)) > 0.5)


def _reduction(name: str, truth: Any, drawn: Any = X, **more: Any) -> Row:
    """A reduction over all, an axis, and several, which stay or go."""
    calls = more.pop("calls", None) or [
        call(drawn), call(drawn, 1), call(drawn, (0, 2)), call(drawn, -1, keepdim=True)
    ]  # fmt: skip
    refused = [bad(IndexError, "dim must lie in [-2, 1]", a(2, 3), dim=2)]
    return Row(name, truth, calls, bad=refused, **more)


def _plain(function: Any) -> Any:
    return lambda x, dim=None, keepdim=False: function(x, axis=dim, keepdims=keepdim)


def _variance(x: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False) -> Any:
    return x.var(dim, ddof=int(unbiased), keepdims=keepdim)


_SPREADS = [call(X), call(X, 1), call(X, (0, 2), False), call(X, -1, True, True)]


def _extremum(pick: Any, where: Any) -> Any:
    def truth(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if dim is None:
            return pick(x)
        return pick(x, axis=dim, keepdims=keepdim), where(x, axis=dim, keepdims=keepdim)

    return truth


def _norm(x: Any, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Any:
    if p == float("inf"):
        return abs(x).max(dim, keepdims=keepdim)
    p = 2 if p == "fro" else p
    return (abs(x) ** p).sum(dim, keepdims=keepdim) ** (1 / p)


def _sorted(x: Any, dim: int = -1, descending: bool = False) -> Any:
    order = np.argsort(-x if descending else x, dim)
    return np.take_along_axis(x, order, dim), order


def _topk(x: Any, k: int, dim: int = -1, largest: bool = True) -> Any:
    return tuple(np.take(v, range(k), dim) for v in _sorted(x, dim, largest))


def _standard(values: Any) -> Any:
    return lambda *args: (np.sqrt(_variance(*args)), values(*args[:2], *args[3:]))


_ALONG = [call(D), call(D, 1), call(D, -1, True)]
_PLACES = [call(D), call(D, 1), call(D, -1, keepdim=True)]

ROWS = [
    _reduction("sum", _plain(np.sum)),
    _reduction("mean", _plain(np.mean)),
    _reduction("prod", _plain(np.prod), calls=[call(X), call(X, 1), call(X, -1, keepdim=True)]),
    _reduction("amax", _plain(np.max), D),
    _reduction("amin", _plain(np.min), D),
    _reduction("var", _variance, calls=_SPREADS),
    _reduction("std", lambda *args: np.sqrt(_variance(*args)), calls=_SPREADS),
    _reduction("var_mean", lambda *args: (_variance(*args), _plain(np.mean)(*args[:2], *args[3:])),
               calls=_SPREADS),
    _reduction("std_mean", _standard(_plain(np.mean)), calls=_SPREADS),
    _reduction("logsumexp", lambda x, dim, keepdim=False: np.log(
        np.exp(x).sum(dim, keepdims=keepdim)),
        calls=[call(X, 1), call(X, (0, 2)), call(X, -1, True)]),
    _reduction("norm", _norm, calls=[call(X), call(X, 1, 1), call(positive(3, 4), 3.0, 0, True),
                                     call(D, float("inf"), 0), call(X, "fro", (0, 1))]),
    _reduction("max", _extremum(np.max, np.argmax), calls=_ALONG),
    _reduction("min", _extremum(np.min, np.argmin), calls=_ALONG),
    _reduction("argmax", _plain(np.argmax), calls=_PLACES, gradient=False),
    _reduction("argmin", _plain(np.argmin), calls=_PLACES, gradient=False),
    _reduction("all", _plain(np.all), gradient=False, calls=[call(MASK), call(MASK, 1)]),
    _reduction("any", _plain(np.any), gradient=False, calls=[call(MASK), call(MASK, 1)]),
    _reduction("count_nonzero", lambda x, dim=None: (x != 0).sum(dim), gradient=False,
               calls=[call(MASK), call(X, 1), call(X, (0, 1))]),
    _reduction("cumsum", lambda x, dim: np.cumsum(x, dim), calls=[call(X, 1), call(X, -1)]),
    Row("diff", lambda x, n=1, dim=-1: np.diff(x, n, dim), [call(X), call(X, 2, 1)],
        bad=[bad(ValueError, "order must be non-negative", a(3), -1)]),
    Row("sort", _sorted, [call(D), call(D, 1), call(D, 0, True)],
        bad=[bad(IndexError, "dim must lie", a(2, 3), 2)]),
    Row("argsort", lambda *args: _sorted(*args)[1], [call(D), call(D, 0, True)], gradient=False),
    Row("topk", _topk, [call(D, 2, 1), call(D, 1, -1, False)],
        bad=[bad(ValueError, "k must lie in [0, 3]", a(2, 3), 4)]),
]  # fmt: skip
