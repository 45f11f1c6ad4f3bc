"""Activations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import fastconv.nn.functional as F

from .rows import Bad, Row, a, bad, call, wide

X = call(wide(3, 5))


def _sigmoid(x: Any) -> Any:
    return np.where(x > 0, 1 / (1 + np.exp(-abs(x))), np.exp(-abs(x)) / (1 + np.exp(-abs(x))))


def _softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return np.where(x * beta > threshold, x, np.log1p(np.exp(np.minimum(x * beta, 30))) / beta)


def _elu(x: Any, alpha: float = 1.0) -> Any:
    return np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0)) - 1))


def _gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def softmax(x: Any, dim: int | None = None) -> Any:
    e = np.exp(x - x.max(dim, keepdims=True))
    return e / e.sum(dim, keepdims=True)


def _prelu(x: Any, w: Any) -> Any:
    return np.where(x > 0, x, x * (w if x.ndim == 1 else w.reshape(1, -1, *[1] * (x.ndim - 2))))


def _glu(x: Any, dim: int = -1) -> Any:
    first, second = np.split(x, 2, dim)
    return first * _sigmoid(second)


def _of_output(name: str) -> Any:
    """For a gradient function that takes the operator's output in place of its input."""
    return lambda g, y, x, *rest: getattr(F, name)(g, y, *rest)


def _no_array(name: str = "input") -> Bad:
    return bad(TypeError, f"{name} must be an array or a Tensor, got list", [1.0, 2.0])


def _row(name: str, truth: Any, *calls: Any, **more: Any) -> Row:
    more["bad"] = [_no_array(), *more.get("bad", ())]
    return Row(name, truth, [X, *calls], **more)


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805

ROWS = [
    _row(
        "relu", lambda x: np.maximum(x, 0), call(wide()), call(a(0, 3)),
        backward=_of_output("relu_backward"),
    ),
    _row("relu6", lambda x: np.clip(x * 1, 0, 6), backward=_of_output("relu6_backward")),
    _row("leaky_relu", lambda x, s=0.01: np.where(x > 0, x, s * x), call(wide(3, 4), 0.2)),
    _row("rrelu", lambda x, lo=1 / 8, up=1 / 3: np.where(x > 0, x, x * (lo + up) / 2),
         call(wide(3, 4), 0.1, 0.5), bad=[bad(ValueError, "lower", wide(3), 2.0, 1.0)]),
    Row(
        "prelu", _prelu, [call(wide(2, 3, 4), a(3)), call(wide(4), a(1)), call(wide(2, 3), a(1))],
        bad=[
            bad(ValueError, "weight must have 1 element or one per channel", a(2, 3), a(4)),
            bad(ValueError, "Expected `weight` to be a scalar or 1D", a(2, 3), a(3, 1)),
            _no_array(),
        ],
    ),
    _row("elu", _elu, call(wide(3, 4), 1.3)),
    _row("celu", lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x / alpha)),
         call(wide(3, 4), 1.3)),
    _row("selu", lambda x: SELU_SCALE * _elu(x, SELU_ALPHA)),
    Row("threshold", lambda x, t, v: np.where(x > t, x, v), [call(wide(3, 4), 0.1, 20.0)],
        bad=[bad(TypeError, "input must be", [1.0], 0.1, 2.0)]),
    _row("sigmoid", _sigmoid, backward=_of_output("sigmoid_backward")),
    _row("logsigmoid", lambda x: -_softplus(-x)),
    _row("hardsigmoid", lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    _row("hardswish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    _row("hardtanh", lambda x, lo=-1.0, up=1.0: np.clip(x, lo, up), call(wide(3, 4), -0.5, 2.0),
         bad=[bad(ValueError, "min_val", wide(3), 2.0, 1.0)]),
    _row("tanh", np.tanh, backward=_of_output("tanh_backward")),
    _row("tanhshrink", lambda x: x - np.tanh(x)),
    _row("softplus", _softplus, call(wide(3, 4), 2.0, 1.0)),
    _row("softsign", lambda x: x / (1 + abs(x))),
    _row("softshrink", lambda x, d=0.5: np.sign(x) * np.maximum(abs(x) - d, 0),
         call(wide(3, 4), 1.5), bad=[bad(ValueError, "lambd", a(3), -1.0)]),
    _row("hardshrink", lambda x, d=0.5: np.where(abs(x) > d, x, 0), call(wide(3, 4), 1.5)),
    _row("silu", lambda x: x * _sigmoid(x)),
    _row("mish", lambda x: x * np.tanh(_softplus(x))),
    _row("gelu", _gelu, call(wide(3, 4), approximate="tanh"),
         bad=[bad(ValueError, "approximate", a(3), "erf")]),
    Row("glu", _glu, [call(wide(3, 4)), call(wide(4, 3), 0)],
        bad=[bad(ValueError, "even", a(3, 3)), bad(IndexError, "dim", a(4), 2), _no_array()]),
    *(
        Row(
            name, truth, [call(wide(3, 4, 2), 1), call(wide(3, 5), -1), call(wide(4), 0)],
            bad=[bad(IndexError, "dim must lie in [-2, 1]", a(3, 4), 2), _no_array()],
            backward=backward,
        )
        for name, truth, backward in (
            ("softmax", softmax, _of_output("softmax_backward")),
            ("softmin", lambda x, dim: softmax(-x, dim), None),
            ("log_softmax", lambda x, dim: np.log(softmax(x, dim)),
             _of_output("log_softmax_backward")),
        )
    ),
]  # fmt: skip
