"""Functions of one operand, elementwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record, wrap
from ._erf import erf_forward
from ._tools import array_first, is_float, operand, sum_to, through_float32, wanted_shape

__all__ = [
    "abs",
    "ceil",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "cos",
    "eq",
    "erf",
    "exp",
    "expm1",
    "floor",
    "ge",
    "gt",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "log",
    "log1p",
    "log2",
    "log10",
    "logical_and",
    "logical_not",
    "logical_or",
    "lt",
    "masked_fill",
    "nan_to_num",
    "ne",
    "neg",
    "reciprocal",
    "round",
    "rsqrt",
    "sign",
    "sin",
    "sqrt",
    "square",
    "tan",
    "trunc",
]


def floating(array: Any) -> Any:
    """Whole numbers and bools as float32; anything else as it is."""
    if isinstance(array, np.ndarray) and array.dtype.kind in "biu":
        return array.astype(np.float32)
    return array


def _unary(
    name: str,
    input: Operand,
    function: Callable[[Any], Any],
    slope: Callable[[Array, Array], Array],
    *,
    reads_input: bool = True,
) -> Result:
    """An elementwise function; ``slope(x, y)`` is its derivative."""
    if not isinstance(input, TensorBase):
        return function(input if isinstance(input, np.generic) else operand(input))
    x: Any = floating(input._array)
    y = np.asarray(function(x))
    if not reads_input:
        x = y  # the derivative needs the output alone: let the input go
    return record(
        name,
        y,
        (input,),
        lambda g: (g * slope(x, y),),
        saves=(input,) if reads_input else (),
        saves_output=not reads_input,
    )


def neg(input: Operand) -> Result:
    """``-input``."""
    if not isinstance(input, TensorBase):
        return np.negative(input)
    return record("Neg", np.negative(input._array), (input,), lambda g: (-g,))


def abs(input: Operand) -> Result:
    """Absolute value; the gradient at 0 is 0."""
    if not isinstance(input, TensorBase):
        return np.abs(input)
    x = input._array
    return record("Abs", np.abs(x), (input,), lambda g: (g * _sign(x),), saves=(input,))


def exp(input: Operand) -> Result:
    """The exponential."""
    return _unary("Exp", input, np.exp, lambda x, y: y, reads_input=False)


def expm1(input: Operand) -> Result:
    """``exp(input) - 1``, exact near 0."""
    return _unary("Expm1", input, np.expm1, lambda x, y: y + 1, reads_input=False)


def log(input: Operand) -> Result:
    """The natural logarithm."""
    return _unary("Log", input, np.log, lambda x, y: 1 / x)


def log2(input: Operand) -> Result:
    """The logarithm to base 2."""
    return _unary("Log2", input, np.log2, lambda x, y: 1 / (x * float(np.log(2.0))))


def log10(input: Operand) -> Result:
    """The logarithm to base 10."""
    return _unary("Log10", input, np.log10, lambda x, y: 1 / (x * float(np.log(10.0))))


def log1p(input: Operand) -> Result:
    """``log(1 + input)``, exact near 0."""
    return _unary("Log1p", input, np.log1p, lambda x, y: 1 / (1 + x))


def sqrt(input: Operand) -> Result:
    """The square root."""
    return _unary("Sqrt", input, np.sqrt, lambda x, y: 0.5 / y, reads_input=False)


def rsqrt(input: Operand) -> Result:
    """One over the square root."""
    return _unary(
        "Rsqrt", input, lambda x: 1 / np.sqrt(x), lambda x, y: -0.5 * y * y * y, reads_input=False
    )


def square(input: Operand) -> Result:
    """``input ** 2``."""
    return _unary("Square", input, np.square, lambda x, y: 2 * x)


def reciprocal(input: Operand) -> Result:
    """``1 / input``."""
    return _unary("Reciprocal", input, lambda x: 1 / x, lambda x, y: -y * y, reads_input=False)


def sin(input: Operand) -> Result:
    """The sine."""
    return _unary("Sin", input, np.sin, lambda x, y: np.cos(x))


def cos(input: Operand) -> Result:
    """The cosine."""
    return _unary("Cos", input, np.cos, lambda x, y: -np.sin(x))


def tan(input: Operand) -> Result:
    """The tangent."""
    return _unary("Tan", input, np.tan, lambda x, y: 1 + y * y, reads_input=False)


def erf(input: Operand) -> Result:
    """The error function."""
    scale = float(2 / np.sqrt(np.pi))
    return _unary(
        "Erf", input, lambda x: through_float32(erf_forward, x), lambda x, y: scale * np.exp(-x * x)
    )


def clamp_backward(grad_output: Array, input: Array, min: Any = None, max: Any = None) -> Any:
    """Gradient of :func:`clamp`: passes where `input` lies within the bounds, ends included."""
    inside: Any = True
    if min is not None:
        inside = input >= min
    if max is not None:
        inside = inside & (input <= max)
    return grad_output * inside


def clamp(input: Operand, min: Any = None, max: Any = None) -> Result:
    """`input` limited to ``[min, max]``.

    Parameters
    ----------
    input : array of any shape
    min, max : float or array, optional
        Either may be left out; arrays broadcast and have gradients.

    Returns
    -------
    array or Tensor
        Of the broadcast shape.

    Raises
    ------
    ValueError
        If there is no bound at all.
    """
    if min is None and max is None:
        raise ValueError("clamp: at least one of min and max must be given")
    low, high = raw(min), raw(max)
    x = raw(input)
    y = x if low is None else np.maximum(x, low)
    y = y if high is None else np.minimum(y, high)
    y = np.asarray(y).astype(x.dtype, copy=False)
    if not any(isinstance(v, TensorBase) for v in (input, min, max)):
        return y
    shapes = [wanted_shape(v) for v in (input, min, max)]

    def backward(g: Array) -> tuple[Array | None, ...]:
        above: Any = False if high is None else (x > high) | (False if low is None else low > high)
        below: Any = False if low is None else (x < low) & ~np.asarray(above)
        return (
            sum_to(clamp_backward(g, x, low, high), shapes[0]),
            sum_to(g * below, shapes[1]),
            sum_to(g * above, shapes[2]),
        )

    return record("Clamp", y, (input, min, max), backward, saves=(input, min, max))


clip = clamp


def clamp_min(input: Operand, min: Any) -> Result:
    """`input`, no less than `min`."""
    return clamp(input, min)


def clamp_max(input: Operand, max: Any) -> Result:
    """`input`, no more than `max`."""
    return clamp(input, None, max)


def masked_fill(input: Operand, mask: Operand, value: Any) -> Result:
    """`input` with `value` wherever `mask` is true.

    Parameters
    ----------
    input : array of any shape
    mask : array of bools
        They broadcast.
    value : float, or array of one element

    Returns
    -------
    array or Tensor
        Of the broadcast shape.
    """
    x, m, v = raw(input), raw(mask), np.asarray(raw(value))
    if v.ndim:
        raise ValueError(
            f"masked_fill: only supports a 0-dimensional value, but got shape {v.shape}"
        )
    if v.dtype.kind == "c" and x.dtype.kind != "c":
        raise TypeError(f"masked_fill: value {v} cannot be converted to {x.dtype}")
    y = np.where(m, v.astype(x.dtype), x)
    if not (isinstance(input, TensorBase) or isinstance(value, TensorBase)):
        return y
    shape, value_shape = wanted_shape(input), wanted_shape(value)

    def backward(g: Array) -> tuple[Array | None, ...]:
        zero = np.zeros((), g.dtype)
        return sum_to(np.where(m, zero, g), shape), sum_to(np.where(m, g, zero), value_shape)

    return record("MaskedFill", y, (input, value), backward)


# ---- without a gradient, or with a zero one ------------------------------------------------------


def _flat(name: str, input: Operand, function: Callable[[Any], Any]) -> Result:
    """A step function: its gradient is zero wherever it is defined."""
    if not isinstance(input, TensorBase):
        return function(input)
    x = input._array
    y = function(x) if is_float(x) else x.copy()
    return record(name, y, (input,), lambda g: (np.zeros_like(g),))


def floor(input: Operand) -> Result:
    """The largest whole number that is not above."""
    return _flat("Floor", input, np.floor)


def ceil(input: Operand) -> Result:
    """The smallest whole number that is not below."""
    return _flat("Ceil", input, np.ceil)


def round(input: Operand, *, decimals: int = 0) -> Result:
    """The nearest whole number, halves to even."""
    return _flat("Round", input, lambda x: np.round(x, decimals))


def trunc(input: Operand) -> Result:
    """The whole part."""
    return _flat("Trunc", input, np.trunc)


def _sign(x: Array) -> Any:
    signs = np.sign(x)
    return np.where(np.isnan(signs), 0, signs).astype(signs.dtype) if is_float(x) else signs


def sign(input: Operand) -> Result:
    """-1, 0 or 1; 0 for NaN, as in PyTorch."""
    return _flat("Sign", input, _sign)


def nan_to_num(
    input: Operand, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Result:
    """`input` with NaN and the infinities replaced by numbers."""
    x = raw(input)
    y = through_float32(lambda v: np.nan_to_num(v, nan=nan, posinf=posinf, neginf=neginf), x)
    if not isinstance(input, TensorBase):
        return y
    finite = np.isfinite(x)
    return record("NanToNum", y, (input,), lambda g: (g * finite,))


def _plain(function: Callable[..., Any], *values: Operand) -> Result:
    """A function whose result carries no gradient."""
    y = function(*(operand(v) for v in values))
    return wrap(np.asarray(y)) if any(isinstance(v, TensorBase) for v in values) else y


def isnan(input: Operand) -> Result:
    """Where `input` is NaN."""
    return _plain(np.isnan, input)


def isinf(input: Operand) -> Result:
    """Where `input` is infinite."""
    return _plain(np.isinf, input)


def isfinite(input: Operand) -> Result:
    """Where `input` is a finite number."""
    return _plain(np.isfinite, input)


def eq(input: Operand, other: Operand) -> Result:
    """``input == other``, elementwise."""
    return _plain(np.equal, array_first("eq", input), other)


def ne(input: Operand, other: Operand) -> Result:
    """``input != other``, elementwise."""
    return _plain(np.not_equal, array_first("ne", input), other)


def lt(input: Operand, other: Operand) -> Result:
    """``input < other``, elementwise."""
    return _plain(np.less, array_first("lt", input), other)


def le(input: Operand, other: Operand) -> Result:
    """``input <= other``, elementwise."""
    return _plain(np.less_equal, array_first("le", input), other)


def gt(input: Operand, other: Operand) -> Result:
    """``input > other``, elementwise."""
    return _plain(np.greater, array_first("gt", input), other)


def ge(input: Operand, other: Operand) -> Result:
    """``input >= other``, elementwise."""
    return _plain(np.greater_equal, array_first("ge", input), other)


def logical_not(input: Operand) -> Result:
    """``not input``, elementwise."""
    return _plain(np.logical_not, input)


def logical_and(input: Operand, other: Operand) -> Result:
    """``input and other``, elementwise."""
    name = "logical_and"
    return _plain(np.logical_and, array_first(name, input), array_first(name, other, "other"))


def logical_or(input: Operand, other: Operand) -> Result:
    """``input or other``, elementwise."""
    name = "logical_or"
    return _plain(np.logical_or, array_first(name, input), array_first(name, other, "other"))
