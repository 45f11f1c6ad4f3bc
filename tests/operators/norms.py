"""Normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastconv.nn.functional as F

from .rows import Row, a, bad, call, positive, still


def _channels(v: Any, x: Any) -> Any:
    return 0 if v is None else np.reshape(v, (1, -1, *[1] * (x.ndim - 2)))


def _scaled(x: Any, axes: Any, eps: float) -> Any:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def _affine(y: Any, w: Any, b: Any) -> Any:
    return y * (1 if w is None else _channels(w, y)) + _channels(b, y)


def _batch_norm(
    x: Any, mean: Any, var: Any, w: Any = None, b: Any = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    if training:
        return _affine(_scaled(x, (0, *range(2, x.ndim)), eps), w, b)
    return _affine((x - _channels(mean, x)) / np.sqrt(_channels(var, x) + eps), w, b)


def _batch_norm_backward(
    g: Any, y: Any, x: Any, mean: Any, var: Any, w: Any = None, b: Any = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    axes = (0, *range(2, x.ndim))
    if training:
        mean, var = x.mean(axes), x.var(axes)
    grads = F.batch_norm_backward(g, x, w, mean, 1 / np.sqrt(var + eps), training)
    return [v for v, given in zip(grads, (x, w, b), strict=True) if given is not None]


def _group_norm(x: Any, groups: int, w: Any = None, b: Any = None, eps: float = 1e-5) -> Any:
    rows = x.reshape(len(x), groups, -1)
    return _affine(_scaled(rows, -1, eps).reshape(x.shape), w, b)


def _layer_norm(x: Any, shape: Any, w: Any = None, b: Any = None, eps: float = 1e-5) -> Any:
    y = _scaled(x, tuple(range(x.ndim - len(shape), x.ndim)), eps)
    return y * (1 if w is None else w) + (0 if b is None else b)


def _rms_norm(x: Any, shape: Any, w: Any = None, eps: float | None = None) -> Any:
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    small = np.finfo(x.dtype).eps if eps is None else eps
    return x / np.sqrt((x**2).mean(axes, keepdims=True) + small) * (1 if w is None else w)


def _response(x: Any, n: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    y = np.zeros_like(x)
    for c in range(x.shape[1]):
        near = x[:, max(0, c - n // 2) : c + (n - 1) // 2 + 1]
        y[:, c] = x[:, c] / (k + alpha / n * (near**2).sum(1)) ** beta
    return y


def _normalize(x: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    return x / np.maximum((abs(x) ** p).sum(dim, keepdims=True) ** (1 / p), eps)


def _affine_backward(name: str) -> Any:
    def backward(g: Any, y: Any, x: Any, *how: Any, **more: Any) -> Any:
        """(x, first, weight, bias, eps) or (x, weight=, bias=)."""
        weight, bias = more.get("weight"), more.get("bias")
        if how:
            first, weight, bias, *rest = (*how, None, None)[: max(len(how), 3)]
            grads = getattr(F, name)(g, x, first, weight, *rest)
        else:
            grads = getattr(F, name)(g, x, weight)
        given = (x, weight, bias)
        return [v for v, had in zip(grads, given, strict=True) if had is not None]

    return backward


X = a(2, 4, 3, 5)

ROWS = [
    Row(
        "batch_norm", _batch_norm,
        [
            call(a(4, 3, 2, 5), None, None, a(3), a(3), True),
            call(a(4, 3), None, None, training=True),
            call(a(3, 4, 5), still(a(4)), still(positive(4)), a(4), a(4)),
            call(a(3, 4), still(a(4)), still(positive(4))),
            call(a(3, 4, 2, 2, 3), still(a(4)), still(positive(4)), None, None, False, 0.1, 0.1),
        ],
        bad=[
            bad(ValueError, "running_mean must have shape", X, a(3), a(4)),
            bad(ValueError, "weight must have shape", X, a(4), positive(4), a(3)),
            bad(ValueError, "must be given when not training", X, None, None),
            bad(ValueError, "Expected more than 1 value per channel", a(1, 3), None, None,
                training=True),
            bad(ValueError, "at least 2 axes", a(3), a(3), a(3)),
            bad(ValueError, "eps must be positive", X, None, None, training=True, eps=0.0),
            bad(TypeError, "floating-point", np.ones((2, 3), int), None, None, training=True),
        ],
        backward=_batch_norm_backward, covers=["NormGrads"],
    ),
    Row(
        "group_norm", _group_norm,
        [call(a(3, 4, 5), 2, a(4), a(4)), call(X, 4), call(X, 1, a(4), None, 0.1),
         call(a(3, 6), 3)],
        bad=[
            bad(ValueError, "divisible by num_groups", X, 3),
            bad(ValueError, "weight must have shape", X, 2, a(3)),
            bad(TypeError, "input must be", [1.0], 2),
        ],
        backward=_affine_backward("group_norm_backward"),
    ),
    Row(
        "instance_norm",
        lambda x, weight=None, bias=None: _group_norm(x, x.shape[1], weight, bias),
        [call(X, weight=a(4), bias=a(4)), call(a(3, 4, 5))],
        bad=[bad(ValueError, "more than 1 spatial element", a(2, 3, 1)),
             bad(TypeError, "input must be", [1.0])],
        backward=_affine_backward("instance_norm_backward"),
    ),
    Row(
        "layer_norm", _layer_norm,
        [call(a(3, 4, 5), (4, 5), a(4, 5), a(4, 5)), call(X, (5,)), call(a(4), (4,), a(4), None)],
        bad=[
            bad(ValueError, "normalized_shape", X, (3,)),
            bad(ValueError, "weight must have shape", X, (5,), a(4)),
            bad(TypeError, "input must be", [1.0], 2),
        ],
        backward=_affine_backward("layer_norm_backward"),
    ),
    Row("rms_norm", _rms_norm,
        [call(a(3, 4, 5), (5,), a(5)), call(X, (3, 5)), call(X, (5,), None, 0.1)],
        bad=[bad(ValueError, "normalized_shape", X, (3,)),
             bad(ValueError, "weight must have shape (5,)", X, (5,), a(4)),
             bad(TypeError, "input must be", [1.0], (1,))]),
    Row(
        "local_response_norm", _response,
        [call(a(2, 6, 3), 3, 0.5, 0.7, 1.2), call(a(2, 6, 3, 2), 4, 0.5), call(X, 9, 2.0, 0.75)],
        bad=[bad(ValueError, "3D", a(2, 3), 2), bad(ValueError, "size must be positive", X, 0),
             bad(TypeError, "input must be", [1.0], 2)],
    ),
    Row("normalize", _normalize, [call(a(3, 4, 2)), call(a(3, 4), 3.0, 0), call(a(4, 2), 1, -1)],
        bad=[bad(TypeError, "input must be", [1.0]), bad(IndexError, "dim", a(2, 3), 2, 2)]),
]  # fmt: skip
