"""Arithmetic, products, comparisons and functions of one operand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import fastconv
import fastconv.nn.functional as F

from .rows import Fixed, Row, a, bad, call, ours, positive, special, still, unit, wide

X, Y = a(3, 4), positive(3, 4)
MASK = Fixed(np.array([[True, False, True, False]] * 3))


def _two(name: str, truth: Any, *calls: Any, **more: Any) -> Row:
    """A function of two operands: of one shape, broadcast, and with a number."""
    calls = (call(X, Y), call(X, positive(4)), call(a(3, 1), positive(2, 1, 4)), *calls)
    return Row(name, truth, calls, **more)


def _number(first: bool = False) -> Any:
    return [bad(TypeError, "must be an array or a Tensor", *((2.0, X) if first else (X, 2.0)))]


def _one(name: str, truth: Any, drawn: Any = X, **more: Any) -> Row:
    return Row(name, truth, [call(drawn)], **more)


def _compared(name: str, truth: Any) -> Row:
    return Row(name, truth, [call(X, Y), call(X, 0.1), call(X, a(4))], gradient=False,
               bad=_number(True))  # fmt: skip


LINEAR_BAD = [
    bad(ValueError, "weight of shape (2, 3)", a(2, 4), a(2, 3)),
    bad(ValueError, "bias must have shape (2,)", a(2, 4), a(2, 4), a(3)),
    bad(TypeError, "input must be", [1.0], a(2, 1)),
    bad(TypeError, "one dtype", np.ones(3), np.ones((2, 3), np.float32)),
]

ROWS = [
    Row(
        "linear", lambda x, w, b=None: x @ w.T + (0 if b is None else b),
        [call(a(2, 3, 4), a(5, 4), a(5)), call(a(4), a(5, 4), a(5)), call(X, a(2, 4))],
        backward=lambda g, y, x, w, b=None: F.linear_backward(g, x, w)[: 2 if b is None else 3],
        bad=LINEAR_BAD, covers=["LinearGrads"],
    ),
    Row(
        "bilinear",
        lambda x, y, w, b=None: np.einsum("...i,kij,...j->...k", x, w, y) + (0 if b is None else b),
        [call(X, a(3, 2), a(5, 4, 2), a(5)), call(a(2, 3, 4), a(2, 3, 2), a(5, 4, 2))],
        bad=[bad(TypeError, "input1 must be", [1.0], X, X),
             bad(ValueError, "input1 (..., I)", X, X, a(2, 4, 2))],
    ),
    Row(
        "einsum", lambda e, *xs: np.einsum(e, *xs),
        [call("nij,jk->nki", a(2, 3, 4), a(4, 2)), call("ij,ij->", X, X),
         call("b...,bij", a(2, 3), a(2, 4, 3)),
         call("iik,...k->i...", a(3, 3, 2), a(4, 2)), call("ij,ij->j", a(2, 1), a(2, 3))],
        bad=[bad(ValueError, "2 operands, but got 1", "ij,jk", X),
             bad(ValueError, "3 indices, its operand 2 axes", "ijk", X),
             bad(ValueError, "does not fit shapes", "ij,jk", X, X),
             bad(ValueError, "must be letters", "i.", X),
             bad(ValueError, "the output 'k' must", "ij->k", X),
             bad(TypeError, "equation must be a str", X, X)],
    ),
    # ---- two operands
    _two("add", lambda x, y, alpha=1: x + alpha * y, call(X, Y, alpha=2), call(X, 2.5)),
    _two("sub", lambda x, y, alpha=1: x - alpha * y, call(X, Y, alpha=2), call(X, 2.5),
         covers=["subtract"]),
    _two("rsub", lambda x, y, alpha=1: y - alpha * x, call(X, Y, alpha=2), bad=_number(True)),
    _two("mul", lambda x, y: x * y, call(X, 2.5), covers=["multiply"]),
    _two("div",
         lambda x, y, rounding_mode=None: {None: lambda v: v, "floor": np.floor,
                                           "trunc": np.trunc}[rounding_mode](x / y),
         call(X, 2.5), call(X, Y, rounding_mode="trunc"), call(X, Y, rounding_mode="floor"),
         bad=[bad(ValueError, "rounding_mode", X, Y, rounding_mode="up")],
         covers=["divide", "true_divide"]),
    _two("remainder", lambda x, y: x - y * np.floor(x / y), call(X, 0.7)),
    Row("pow", lambda x, y: x**y, [call(Y, X), call(X, 2), call(Y, 0.5), call(2.0, X)],
        bad=[bad(TypeError, "must be an array or a Tensor", 2.0, 3.0)]),
    _two("maximum", lambda x, y: np.where(x > y, x, y), bad=_number()),
    _two("minimum", lambda x, y: np.where(x < y, x, y), bad=_number()),
    Row("lerp", lambda x, y, w: x + w * (y - x), [call(X, Y, 0.3), call(X, Y, unit(4))]),
    Row("where", lambda c, x, y: np.where(c, x, y), [call(MASK, X, Y), call(MASK, X, 0.5)]),
    _compared("eq", lambda x, y: x == y),
    _compared("ne", lambda x, y: x != y),
    _compared("lt", lambda x, y: x < y),
    _compared("le", lambda x, y: x <= y),
    _compared("gt", lambda x, y: x > y),
    _compared("ge", lambda x, y: x >= y),
    Row("logical_and", lambda x, y: (x != 0) & (y != 0), [call(MASK, X)], gradient=False,
        bad=_number()),
    Row("logical_or", lambda x, y: (x != 0) | (y != 0), [call(MASK, X)], gradient=False,
        bad=_number()),
    Row("logical_not", lambda x: x == 0, [call(MASK), call(X)], gradient=False),
    # ---- products
    Row("matmul", lambda x, y: np.einsum("...ij,...jk->...ik", x, y),
        [call(a(3, 4), a(4, 2)), call(a(2, 3, 4), a(4, 5)), call(a(2, 1, 3, 4), a(5, 4, 2))]),
    Row("mm", lambda x, y: np.einsum("ij,jk", x, y), [call(a(3, 4), a(4, 2))],
        bad=[bad(ValueError, "2 axes", a(2, 3, 4), a(4, 2))]),
    Row("bmm", lambda x, y: np.einsum("bij,bjk->bik", x, y), [call(a(2, 3, 4), a(2, 4, 2))],
        bad=[bad(ValueError, "3 axes", a(3, 4), a(4, 2))]),
    Row("dot", lambda x, y: (x * y).sum(), [call(a(4), a(4))],
        bad=[bad(ValueError, "1 axes", a(3, 4), a(4)), bad(ValueError, "one length", a(3), a(4))]),
    Row("outer", lambda x, y: x[:, None] * y, [call(a(3), a(4))],
        bad=[bad(ValueError, "1 axes", a(3, 4), a(4))]),
    Row("addmm", lambda x, y, z, beta=1, alpha=1: beta * x + alpha * (y @ z),
        [call(a(3, 2), a(3, 4), a(4, 2)), call(a(2), a(3, 4), a(4, 2), beta=0.5, alpha=2)]),
    # ---- one operand
    _one("neg", lambda x: -x),
    _one("abs", lambda x: np.sqrt(x * x)),
    _one("exp", np.exp),
    _one("expm1", lambda x: np.exp(x) - 1),
    _one("log", np.log, Y),
    _one("log2", lambda x: np.log(x) / math.log(2), Y),
    _one("log10", lambda x: np.log(x) / math.log(10), Y),
    _one("log1p", lambda x: np.log(1 + x), Y),
    _one("sqrt", lambda x: x**0.5, Y),
    _one("rsqrt", lambda x: x**-0.5, Y),
    _one("square", lambda x: x * x),
    _one("reciprocal", lambda x: 1 / x, Y),
    _one("sin", np.sin),
    _one("cos", np.cos),
    _one("tan", lambda x: np.sin(x) / np.cos(x), unit(3, 4)),
    _one("erf", np.vectorize(math.erf)),
    _one("floor", np.floor, wide(3, 4)),
    _one("ceil", np.ceil, wide(3, 4)),
    _one("trunc", np.trunc, wide(3, 4)),
    _one("sign", np.sign),
    Row("round", lambda x, decimals=0: np.round(x * 10**decimals) / 10**decimals,
        [call(wide(3, 4)), call(wide(3, 4), decimals=1)], half=False),
    Row("clamp", lambda x, low=None, high=None: np.clip(x, low, high),
        [call(wide(3, 4), -1.0, 2.0), call(wide(3, 4), None, 0.5), call(wide(3, 4), 0.5),
         call(wide(3, 4), still(unit(4)), still(positive(4)))],
        bad=[bad(ValueError, "at least one of min and max", X)], covers=["clip"]),
    Row("nan_to_num",
        lambda x, nan=0.0, high=1e9, low=-1e9: np.clip(np.where(np.isnan(x), nan, x), low, high),
        [call(X), call(special(), 3.0, 100.0, -50.0)]),
    Row("masked_fill", lambda x, m, v: np.where(m, v, x), [call(X, MASK, 0.5)],
        bad=[bad(ValueError, "0-dimensional value", X, np.ones((3, 4), bool), np.ones(2)),
             bad(TypeError, "cannot be converted", X, np.ones((3, 4), bool), 1j)]),
    *(
        Row(name, truth, [call(X), call(special())],
            gradient=False)
        for name, truth in (("isnan", np.isnan), ("isinf", np.isinf), ("isfinite", np.isfinite))
    ),
    # ---- element types and memory
    Row("cast", lambda x, dtype: x.astype(dtype), [ours(X, np.float64)], peer=False, half=False),
    Row("clone", lambda x, memory_format=None: x,
        [call(X), ours(a(2, 3, 4, 5), memory_format=fastconv.channels_last),
         ours(a(3, 4), memory_format=fastconv.contiguous_format)]),
    Row("contiguous", lambda x, memory_format=None: x,
        [ours(a(2, 3, 4, 5)), ours(a(2, 3, 4, 5), fastconv.channels_last)], peer=False),
]  # fmt: skip
