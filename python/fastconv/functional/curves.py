"""Less frequent functions of one or two operands: angles, hyperbolas, remainders, logarithms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import record
from ._erf import erf_forward
from ._tools import array_first, is_float, operand, sum_to, through_float32, wanted_shape
from .arithmetic import _both, div, sub
from .elementwise import _plain, _unary, clamp, log, trunc
from .narrow import in_float32

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cosh",
    "erfinv",
    "exp2",
    "floor_divide",
    "fmod",
    "frac",
    "hypot",
    "isclose",
    "logaddexp",
    "logit",
    "sinh",
]


# ---- of one operand ------------------------------------------------------------------------------


def asin(input: Operand) -> Result:
    """The angle whose sine is `input`, in [-pi/2, pi/2]."""
    return _unary("Asin", input, np.arcsin, lambda x, y: 1 / np.sqrt(1 - x * x))


def acos(input: Operand) -> Result:
    """The angle whose cosine is `input`, in [0, pi]."""
    return _unary("Acos", input, np.arccos, lambda x, y: -1 / np.sqrt(1 - x * x))


def atan(input: Operand) -> Result:
    """The angle whose tangent is `input`, in [-pi/2, pi/2]."""
    return _unary("Atan", input, np.arctan, lambda x, y: 1 / (1 + x * x))


def sinh(input: Operand) -> Result:
    """The hyperbolic sine."""
    return _unary("Sinh", input, np.sinh, lambda x, y: np.cosh(x))


def cosh(input: Operand) -> Result:
    """The hyperbolic cosine."""
    return _unary("Cosh", input, np.cosh, lambda x, y: np.sinh(x))


def asinh(input: Operand) -> Result:
    """The inverse of :func:`sinh`."""
    return _unary("Asinh", input, np.arcsinh, lambda x, y: 1 / np.sqrt(1 + x * x))


def acosh(input: Operand) -> Result:
    """The inverse of :func:`cosh`."""
    return _unary("Acosh", input, np.arccosh, lambda x, y: 1 / np.sqrt(x * x - 1))


def atanh(input: Operand) -> Result:
    """The inverse of :func:`tanh`."""
    return _unary("Atanh", input, np.arctanh, lambda x, y: 1 / (1 - x * x))


def exp2(input: Operand) -> Result:
    """``2 ** input``."""
    return _unary("Exp2", input, np.exp2, lambda x, y: y * math.log(2), reads_input=False)


def erfinv(input: Operand) -> Result:
    """The inverse of :func:`erf`: infinite at 1 and -1, NaN beyond."""
    half = math.sqrt(math.pi) / 2
    return _unary(
        "Erfinv",
        input,
        lambda x: through_float32(_erfinv, x),
        lambda x, y: half * np.exp(y * y),
        reads_input=False,
    )


def _erfinv(x: Any) -> Array:
    wide = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        # Winitzki's formula is right to three digits; each of Halley's steps triples them.
        rest, a = np.log1p(-wide * wide), 0.147
        middle = 2 / (math.pi * a) + rest / 2
        y = np.copysign(np.sqrt(np.sqrt(middle * middle - rest / a) - middle), wide)
        for _ in range(3):
            step = (erf_forward(y) - wide) * (math.sqrt(math.pi) / 2) * np.exp(y * y)
            y = y - step / (1 + y * step)
    y = np.where(np.abs(wide) == 1, np.copysign(np.inf, wide), y)
    return y.astype(np.asarray(x).dtype)


def frac(input: Operand) -> Result:
    """What is left of `input` beside its whole part; the sign is the input's."""
    return sub(input, trunc(input))


@in_float32
def logit(input: Operand, eps: float | None = None) -> Result:
    """``log(input / (1 - input))``, the inverse of :func:`sigmoid`.

    Parameters
    ----------
    input : array of any shape
        Between 0 and 1.
    eps : float, optional
        Move what is nearer than that to 0 or 1 to that distance.

    Returns
    -------
    array or Tensor
        Of the input's shape.
    """
    x = input if eps is None else clamp(input, eps, 1 - eps)
    return log(div(x, sub(1, x)))


# ---- of two operands -----------------------------------------------------------------------------


def _binary(
    name: str,
    input: Operand,
    other: Operand,
    function: Callable[..., Any],
    slopes: Callable[[Any, Any, Array], tuple[Any, Any]],
) -> Result:
    """A function of two operands; ``slopes(a, b, y)`` are its derivatives by both."""
    array_first(name.lower(), input)
    if name != "Fmod":
        array_first(name.lower(), other, "other")
    a, b, taped = _both(input, other)
    with np.errstate(invalid="ignore", divide="ignore"):
        y = np.asarray(function(operand(a), operand(b)))
    if not taped:
        return y
    if not is_float(y):
        return record(name, y, (), lambda g: ())
    sa, sb = wanted_shape(input), wanted_shape(other)

    def backward(g: Array) -> tuple[Array | None, ...]:
        by_a, by_b = slopes(a, b, y)
        return sum_to(g * by_a, sa), sum_to(g * by_b, sb)

    return record(name, y, (input, other), backward, saves=(input, other), saves_output=True)


def atan2(input: Operand, other: Operand) -> Result:
    """The angle of the point (`other`, `input`), in [-pi, pi]."""
    return _binary(
        "Atan2",
        input,
        other,
        np.arctan2,
        lambda a, b, y: (b / (a * a + b * b), -a / (a * a + b * b)),
    )


def hypot(input: Operand, other: Operand) -> Result:
    """``sqrt(input ** 2 + other ** 2)``, without overflow."""
    return _binary("Hypot", input, other, np.hypot, lambda a, b, y: (a / y, b / y))


def logaddexp(input: Operand, other: Operand) -> Result:
    """``log(exp(input) + exp(other))``, without overflow."""
    return _binary(
        "LogAddExp", input, other, np.logaddexp, lambda a, b, y: (np.exp(a - y), np.exp(b - y))
    )


def fmod(input: Operand, other: Operand) -> Result:
    """The remainder of a division rounded towards zero; the sign is the input's."""
    return _binary("Fmod", input, other, np.fmod, lambda a, b, y: (1, -np.trunc(np.divide(a, b))))


def floor_divide(input: Operand, other: Operand) -> Result:
    """The quotient rounded down."""
    return div(input, other, rounding_mode="floor")


def isclose(
    input: Operand, other: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Result:
    """Where values agree to ``atol + rtol * |other|``."""
    for argument, value in (("input", input), ("other", other)):
        array_first("isclose", value, argument)
    if rtol < 0 or atol < 0:
        raise ValueError(f"isclose: rtol and atol must not be negative, got {rtol} and {atol}")
    return _plain(lambda a, b: np.isclose(a, b, rtol, atol, equal_nan), input, other)
