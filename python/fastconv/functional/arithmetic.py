"""Arithmetic between two operands, with broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record
from ._tools import array_first, binary, compiled, is_float, operand, sum_to, wanted_shape
from .narrow import in_float32

__all__ = [
    "add",
    "div",
    "divide",
    "lerp",
    "maximum",
    "minimum",
    "mul",
    "multiply",
    "pow",
    "remainder",
    "rsub",
    "sub",
    "subtract",
    "true_divide",
    "where",
]


def _both(input: Operand, other: Operand) -> tuple[Any, Any, bool]:
    """Both operands as arrays or numbers, and whether either is a tensor."""
    taped = isinstance(input, TensorBase) or isinstance(other, TensorBase)
    if not taped:
        if type(input) is float or type(other) is float:
            return *_weak(input, other), False
        return input, other, False
    return *_promoted(operand(input), operand(other)), True


def _weak(a: Any, b: Any) -> tuple[Any, Any]:
    """A Python number beside bfloat16 takes its type; NumPy would widen the array."""
    for number, array in ((a, b), (b, a)):
        if isinstance(number, float) and getattr(array, "dtype", None) == "bfloat16":
            narrow = np.asarray(number, array.dtype)
            return (narrow, array) if number is a else (array, narrow)
    return a, b


def _promoted(a: Any, b: Any) -> tuple[Any, Any]:
    """PyTorch's promotion where it differs from NumPy's.

    Whole numbers never widen a floating-point type, and an array without axes never widens one
    with.
    """
    arrays = isinstance(a, np.ndarray), isinstance(b, np.ndarray)
    if all(arrays):
        if a.dtype is b.dtype:
            return a, b
        float_a, float_b = is_float(a), is_float(b)
        if float_a and (not float_b or (b.ndim == 0 and a.ndim > 0)):
            return a, b.astype(a.dtype)
        if float_b and (not float_a or (a.ndim == 0 and b.ndim > 0)):
            return a.astype(b.dtype), b
    elif arrays[0] and isinstance(b, float) and not is_float(a):
        a = a.astype(np.float32)
    elif arrays[1] and isinstance(a, float) and not is_float(b):
        b = b.astype(np.float32)
    return _weak(a, b)


def add(input: Operand, other: Operand, *, alpha: float = 1) -> Result:
    """``input + alpha * other``.

    Parameters
    ----------
    input, other : arrays or numbers
        They broadcast.
    alpha : float

    Returns
    -------
    array or Tensor
        Of the broadcast shape; PyTorch's rules say of which type.
    """
    if alpha == 1:
        for one, two in ((input, other), (other, input)):
            joined = one._with_residual(two) if isinstance(one, TensorBase) else None
            if joined is not None:
                return joined
    a, b, taped = _both(input, other)
    y = binary(np.add, a, b) if alpha == 1 else a + raw(mul(b, alpha))
    if not taped:
        return y
    sa, sb = wanted_shape(input), wanted_shape(other)

    def backward(g: Array) -> tuple[Array | None, ...]:
        return sum_to(g, sa), sum_to(g if alpha == 1 or sb is None else g * alpha, sb)

    return record("Add", y, (input, other), backward)


def sub(input: Operand, other: Operand, *, alpha: float = 1) -> Result:
    """``input - alpha * other``.

    Parameters
    ----------
    input, other : arrays or numbers
        They broadcast.
    alpha : float

    Returns
    -------
    array or Tensor
        Of the broadcast shape; PyTorch's rules say of which type.
    """
    a, b, taped = _both(input, other)
    y = a - b if alpha == 1 else a - raw(mul(b, alpha))
    if not taped:
        return y
    sa, sb = wanted_shape(input), wanted_shape(other)

    def backward(g: Array) -> tuple[Array | None, ...]:
        return sum_to(g, sa), None if sb is None else sum_to(g * -alpha, sb)

    return record("Sub", y, (input, other), backward)


subtract = sub


def rsub(input: Operand, other: Operand, *, alpha: float = 1) -> Result:
    """``other - alpha * input``."""
    return sub(other, array_first("rsub", input), alpha=alpha)


def _times(a: Any, b: Any) -> Any:
    """``a * b``; where one has a number for each row of the other, by the compiled rows."""
    if type(a) is np.ndarray and type(b) is np.ndarray and a.shape != b.shape:
        if a.size < b.size:
            a, b = b, a
        rows = b.ndim == a.ndim > 2 and b.shape == (*a.shape[:2], *(1,) * (a.ndim - 2))
        if rows and b.size and a.flags.c_contiguous and compiled(a, b):
            return _core.scale_rows(a, b)
    return binary(np.multiply, a, b)


def mul(input: Operand, other: Operand) -> Result:
    """``input * other``.

    Parameters
    ----------
    input, other : arrays or numbers
        They broadcast.

    Returns
    -------
    array or Tensor
        Of the broadcast shape; PyTorch's rules say of which type.
    """
    for one, two in ((input, other), (other, input)):
        joined = one._with_gate(two) if isinstance(one, TensorBase) else None
        if joined is not None:
            return joined
    a, b, taped = _both(input, other)
    y = _times(a, b)
    if not taped:
        return y
    sa, sb = wanted_shape(input), wanted_shape(other)
    a, b = (a if sb is not None else None), (b if sa is not None else None)

    def backward(g: Array) -> tuple[Array | None, ...]:
        return (
            None if sa is None else sum_to(g * b, sa),
            None if sb is None else sum_to(g * a, sb),
        )

    saves = (() if a is None else (input,)) + (() if b is None else (other,))
    return record("Mul", y, (input, other), backward, saves=saves)


multiply = mul


def div(input: Operand, other: Operand, *, rounding_mode: str | None = None) -> Result:
    """``input / other``; `rounding_mode` None, ``"trunc"`` or ``"floor"``.

    Parameters
    ----------
    input, other : arrays or numbers
        They broadcast.
    rounding_mode : {"trunc", "floor"}, optional
        Towards zero, or down; left out, whole numbers divide to floating-point ones.

    Returns
    -------
    array or Tensor
        Of the broadcast shape.

    Raises
    ------
    ValueError
        For another `rounding_mode`.
    """
    a, b, taped = _both(input, other)
    if rounding_mode not in (None, "trunc", "floor"):
        raise ValueError(
            f"div: rounding_mode must be None, 'trunc' or 'floor', got {rounding_mode!r}"
        )
    if rounding_mode is not None:
        y = np.floor_divide(a, b) if rounding_mode == "floor" else np.trunc(np.true_divide(a, b))
        if rounding_mode == "trunc":
            y = y.astype(np.result_type(a, b))
        return _stepwise("Div", y, input, other) if taped else y
    y = a / b
    if taped and y.dtype == np.float64 and not _any_double(a, b):
        y = y.astype(np.float32)  # whole numbers divide to the default floating-point type
    if not taped:
        return y
    sa, sb = wanted_shape(input), wanted_shape(other)
    if sb is None:
        a = None

    def backward(g: Array) -> tuple[Array | None, ...]:
        ga = g / b
        return sum_to(ga, sa), None if sb is None else sum_to(-ga * (a / b), sb)

    saves = (other,) if sb is None else (input, other)
    return record("Div", y, (input, other), backward, saves=saves)


true_divide = divide = div


def _any_double(*values: Any) -> bool:
    return any(getattr(v, "dtype", None) == np.float64 for v in values)


def _no_gradient(g: Array) -> tuple[Array | None, ...]:
    return ()


def _stepwise(name: str, y: Array, input: Operand, other: Operand) -> Result:
    """A step function of two operands: its gradient is zero wherever it is defined."""
    if not is_float(np.asarray(y)):
        return record(name, y, (), _no_gradient)
    shapes = [wanted_shape(v) for v in (input, other)]

    def backward(g: Array) -> tuple[Array | None, ...]:
        return tuple(None if s is None else np.zeros(s, g.dtype) for s in shapes)

    return record(name, y, (input, other), backward)


def remainder(input: Operand, other: Operand) -> Result:
    """The remainder of division, with the sign of the divisor."""
    if not isinstance(raw(input), np.ndarray):
        array_first("remainder", other, "other")
    a, b, taped = _both(input, other)
    with np.errstate(invalid="ignore", divide="ignore"):
        y = np.remainder(a, b)
    if not taped:
        return y
    if not is_float(y):
        return record("Remainder", y, (), _no_gradient)
    sa, sb = wanted_shape(input), wanted_shape(other)

    def backward(g: Array) -> tuple[Array | None, ...]:
        return sum_to(g, sa), None if sb is None else sum_to(-g * np.floor_divide(a, b), sb)

    return record("Remainder", y, (input, other), backward, saves=(input, other))


@in_float32
def pow(input: Operand, exponent: Operand) -> Result:
    """``input ** exponent``."""
    if not isinstance(raw(input), np.ndarray):
        array_first("pow", exponent, "exponent")
    a, b, taped = _both(input, exponent)
    y = np.power(a, b) if not isinstance(b, (int, float)) else a**b
    if not taped:
        return y
    sa, sb = wanted_shape(input), wanted_shape(exponent)

    def backward(g: Array) -> tuple[Array | None, ...]:
        ga = gb = None
        if sa is not None and isinstance(b, (int, float)):
            ga = g * (b * a ** (b - 1)) if b != 0 else np.zeros_like(g)
        elif sa is not None:
            slope = np.where(np.equal(b, 0), 0, b * np.power(a, np.subtract(b, 1)))
            ga = sum_to(g * slope.astype(g.dtype), sa)
        if sb is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                flat = np.equal(a, 0) & np.greater_equal(b, 0)
                gb = sum_to(np.where(flat, 0, g * y * np.log(a)).astype(g.dtype), sb)
        return ga, gb

    return record("Pow", y, (input, exponent), backward, saves=(input, exponent))


def _extremum(name: str, input: Operand, other: Operand, ufunc: np.ufunc) -> Result:
    for argument, value in (("input", input), ("other", other)):
        array_first(name.lower(), value, argument)
    a, b, taped = _both(input, other)
    y = ufunc(a, b)
    if not taped:
        return y
    sa, sb = wanted_shape(input), wanted_shape(other)

    def backward(g: Array) -> tuple[Array | None, ...]:
        # Where both are equal each takes half; where one is NaN neither loses.
        loses = np.less if ufunc is np.maximum else np.greater

        def share(own: Any, rival: Any) -> Any:
            return g * np.where(np.equal(a, b), 0.5, ~loses(own, rival)).astype(g.dtype)

        return (
            None if sa is None else sum_to(share(a, b), sa),
            None if sb is None else sum_to(share(b, a), sb),
        )

    return record(name, y, (input, other), backward, saves=(input, other))


def maximum(input: Operand, other: Operand) -> Result:
    """The larger of two values, elementwise; NaN wins; equal values share the gradient."""
    return _extremum("Maximum", input, other, np.maximum)


def minimum(input: Operand, other: Operand) -> Result:
    """The smaller of two values, elementwise; NaN wins; equal values share the gradient."""
    return _extremum("Minimum", input, other, np.minimum)


def where(condition: Operand, input: Operand = None, other: Operand = None) -> Result:
    """`input` where `condition` holds, else `other`; given the condition alone, its indices.

    Parameters
    ----------
    condition : array of bools
    input, other : arrays or numbers
        All three broadcast.

    Returns
    -------
    array or Tensor, or a tuple of index arrays
    """
    c = raw(condition)
    if input is None and other is None:
        indices = np.nonzero(c)
        if not isinstance(condition, TensorBase):
            return indices
        return tuple(record("Where", i, (), _no_gradient) for i in indices)
    a, b, taped = _both(input, other)
    y = np.where(c, a, b)
    for value in (a, b):  # a number takes the type of the array beside it
        if isinstance(value, (int, float)):
            sibling = b if value is a else a
            if isinstance(sibling, np.ndarray) and sibling.dtype.kind == "f":
                y = y.astype(sibling.dtype, copy=False)
    if not taped and not isinstance(condition, TensorBase):
        return y
    sa, sb = wanted_shape(input), wanted_shape(other)

    def backward(g: Array) -> tuple[Array | None, ...]:
        zero = np.zeros((), g.dtype)
        return (
            None if sa is None else sum_to(np.where(c, g, zero), sa),
            None if sb is None else sum_to(np.where(c, zero, g), sb),
        )

    return record("Where", y, (input, other), backward)


@in_float32
def lerp(input: Operand, end: Operand, weight: Operand) -> Result:
    """``input + weight * (end - input)``."""
    return add(input, mul(weight, sub(end, input)))
