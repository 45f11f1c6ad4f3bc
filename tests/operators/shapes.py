"""Views, rearrangements, joining, cutting and picking."""

from __future__ import annotations

from typing import Any

import numpy as np

from .rows import Fixed, Row, a, bad, call, classes, ours

X = a(2, 3, 4)
MASK = Fixed(np.random.default_rng(1).random((2, 3, 4)) > 0.5)
PLACES = classes(2, 2, 3, 4)


def _split(x: Any, size: Any, dim: int = 0) -> Any:
    ends = np.cumsum(size)[:-1] if isinstance(size, list) else range(size, x.shape[dim], size)
    return tuple(np.split(x, list(ends), dim))


def _gather(x: Any, dim: int, index: Any) -> Any:
    y = np.empty(index.shape)
    for at in np.ndindex(index.shape):
        y[at] = x[(*at[:dim], index[at], *at[dim + 1 :])]
    return y


def _along(x: Any, index: Any, dim: int) -> Any:
    return np.take_along_axis(x, index, dim)


def _dims(name: str, truth: Any, *calls: Any, **more: Any) -> Row:
    return Row(name, truth, calls, **more)


def _axis(*before: Any, after: Any = ()) -> Any:
    return [bad(IndexError, "dim must lie in", *before, 7, *after)]


ROWS = [
    _dims("reshape", lambda x, s: x.reshape(s), call(X, (6, 4)), call(X, (2, -1)),
          bad=[bad(RuntimeError, "is invalid for input of size", X, (5, 5))]),
    _dims("view", lambda x, s: x.reshape(s), ours(X, (6, 4)), peer=False, layouts=False,
          bad=[bad(RuntimeError, "is invalid for input of size", X, (5, 5))]),
    _dims("flatten", lambda x, s=0, e=-1: x.reshape(-1) if s == 0 else x.reshape(len(x), -1),
          call(X), call(X, 1), bad=_axis(X)),
    _dims("unflatten", lambda x, d, s: x.reshape(2, 3, *s), call(X, 2, (2, 2))),
    _dims("squeeze", lambda x, d=None: x.reshape([n for i, n in enumerate(x.shape) if n != 1]),
          call(a(2, 1, 4)), call(a(2, 1, 4), 1), call(a(2, 4), 1), bad=_axis(X)),
    _dims("unsqueeze", lambda x, d: x[:, None], call(X, 1), call(X, -3), bad=_axis(X)),
    _dims("permute", lambda x, d: np.einsum("abc->cab", x), call(X, (2, 0, 1)),
          bad=[bad(RuntimeError, "each of the 3 axes", X, (0, 1))]),
    _dims("transpose", lambda x, i, j: np.einsum("abc->cba", x), call(X, 0, 2), bad=_axis(X, 0),
          covers=["swapaxes"]),
    _dims("t", lambda x: np.einsum("ab->ba", x), call(a(3, 4))),
    _dims("movedim", lambda x, s, d: np.moveaxis(x, s, d), call(X, 0, 2), call(X, (0, 1), (1, 2))),
    _dims("expand", lambda x, s: np.broadcast_to(x, [2, 3, 4]), ours(a(3, 1), (2, 3, 4)),
          peer=False),
    _dims("broadcast_to", np.broadcast_to, call(a(3, 1), (2, 3, 4))),
    _dims("repeat", lambda x, s: np.tile(x, s), ours(a(2, 3), (2, 1, 2)), peer=False),
    _dims("tile", lambda x, s: np.tile(x, s), call(X, (2, 2)), call(a(2), (3,))),
    _dims("repeat_interleave", lambda x, n, dim=None: np.repeat(x, n, dim), call(X, 2),
          call(X, 3, 1), call(X, Fixed(np.array([1, 0, 2])), 1)),
    _dims("flip", lambda x, d: x[:, ::-1, ::-1], call(X, (1, 2))),
    _dims("roll", lambda x, s, d=None: np.roll(x, s, d), call(X, 2), call(X, (1, -1), (0, 2)),
          bad=[bad(ValueError, "shifts and dimensions must align", X, (1, 2), 0)]),
    _dims("cat", lambda xs, dim=0: np.concatenate(xs, dim), call([X, a(1, 3, 4)]),
          call((X, a(2, 3, 1)), 2),
          bad=[bad(ValueError, "shapes must agree except along dim", [X, a(2, 2, 4)], 0),
               bad(RuntimeError, "non-empty list", [])],
          covers=["concat"], half=False),
    _dims("stack", lambda xs, dim=0: np.stack(xs, dim), call([X, X]), call([X, X], 2),
          bad=[bad(RuntimeError, "non-empty list", [])], half=False),
    _dims("split", _split, call(X, 2, 2), call(X, [1, 2], 1), call(X, 3, -1),
          bad=[bad(ValueError, "do not add up", X, [1, 1], 1),
               bad(ValueError, "split_size must be positive", X, 0)]),
    _dims("chunk", lambda x, n, d=0: tuple(np.array_split(x, n, d)), call(X, 2, 2), call(X, 3, 1),
          bad=[bad(ValueError, "chunks must be at least 1", X, 0)]),
    _dims("unbind", lambda x, d=0: tuple(x[:, i] for i in range(3)), call(X, 1)),
    _dims("select", lambda x, d, i: x[:, i], call(X, 1, 2), bad=_axis(X, after=(0,))),
    _dims("narrow", lambda x, d, s, n: x[:, s : s + n], call(X, 1, 1, 2),
          bad=[bad(ValueError, "exceeds dimension size", X, 1, 2, 2),
               bad(IndexError, "start out of range", X, 1, 9, 1)]),
    _dims("getitem", lambda x, i: x[i], ours(X, (slice(1, None), 2)), ours(X, [1, 0, 1]),
          peer=False),
    _dims("index_select", lambda x, d, i: np.take(x, i, d),
          call(X, 1, Fixed(np.array([2, 0, 2]))), bad=_axis(X, after=(np.array([0]),))),
    _dims("gather", _gather, call(X, 0, PLACES), call(X, 2, classes(4, 2, 3, 5)),
          bad=[*_axis(X, after=(np.array([0]),)),
               bad(IndexError, "index 5 is out of bounds for extent 3", X, 1,
                   np.full((1, 1, 1), 5)),
               bad(ValueError, "must have the axes of input", X, 1, np.zeros((2, 2), int)),
               bad(TypeError, "index must be integers", X, 1, np.zeros((2, 3, 4)))]),
    _dims("take_along_dim", _along, call(X, PLACES, 0), call(X, classes(4, 1, 3, 2), 2),
          call(X, Fixed(np.array([[[-1, 0]]])), 2),
          bad=[bad(TypeError, "indices must be integers", X, np.ones((2, 3, 4)), 0)]),
    _dims("masked_select", lambda x, m: x[m], call(X, MASK),
          bad=[bad(TypeError, "mask must be bool", X, np.ones((2, 3, 4)))]),
    _dims("nonzero", lambda x, as_tuple=False: np.nonzero(x) if as_tuple else np.argwhere(x),
          call(MASK), call(MASK, as_tuple=True), gradient=False),
    _dims("one_hot", lambda t, n: np.eye(n, dtype=np.int64)[t], call(classes(4, 3, 2), 5),
          gradient=False,
          bad=[bad(TypeError, "integer class numbers", np.ones(3)),
               bad(ValueError, "non-negative", np.array([-1])),
               bad(ValueError, "does not fit into 2 classes", np.array([2]), 2)]),
    *(
        _dims(name, lambda x, k=0, keep=keep: x * keep(x, k), call(a(3, 4)), call(X, 1),
              bad=[bad(ValueError, "at least 2 axes", a(3))])
        for name, keep in (
            ("tril", lambda x, k: np.subtract.outer(range(x.shape[-2]), range(x.shape[-1])) >= -k),
            ("triu", lambda x, k: np.subtract.outer(range(x.shape[-2]), range(x.shape[-1])) <= -k),
        )
    ),
]  # fmt: skip
