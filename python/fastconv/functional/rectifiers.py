"""Rectifiers: the positive half as it is (or limited), the negative one flattened.

A rule reads the output instead of the input where it can, so that the input's memory goes early.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Operand, Result
from ..autograd import TensorBase, assign, needs_grad, raw, record
from ..random import generator
from ..tape import joined_clamp
from ._activation import activation, in_place
from ._tools import array_first, compiled, row, row_backward, sum_to
from .narrow import in_float32

__all__ = [
    "hardtanh",
    "hardtanh_",
    "hardtanh_backward",
    "leaky_relu",
    "leaky_relu_",
    "leaky_relu_backward",
    "prelu",
    "prelu_backward",
    "relu",
    "relu6",
    "relu6_backward",
    "relu_",
    "relu_backward",
    "rrelu",
    "rrelu_",
    "threshold",
    "threshold_",
]


def relu_backward(grad_output: Array, output: Array) -> Any:
    """Gradient of :func:`relu` given its output (or its input: both have the same signs)."""
    return _relu_backward(grad_output, output)


_relu = row("relu", lambda x: np.maximum(x, 0))
_relu_backward = row_backward("relu", lambda g, y: g * (y > 0))


def relu(input: Operand, inplace: bool = False) -> Result:
    """``max(0, input)``; NaN stays NaN."""
    if not isinstance(input, TensorBase):
        if inplace:
            return np.maximum(input, 0, out=input)
        return _relu(input if isinstance(input, np.ndarray) else array_first("relu", input))
    fused = input._with_activation("relu", inplace)
    if fused is not None:
        return fused
    if inplace and not needs_grad(input):
        input._before_change()
        np.maximum(input._array, 0, out=input._array)
        input._touch()
        return input
    if inplace and joined_clamp(input, "relu"):
        np.maximum(input._array, 0, out=input._array)
        return input
    y = _relu(input._array)
    result = record("Relu", y, (input,), lambda g: (relu_backward(g, y),), saves_output=not inplace)
    return assign(input, result) if inplace else result


def relu_(input: Operand) -> Result:
    """:func:`relu` in place."""
    return relu(input, True)


def hardtanh_backward(
    grad_output: Array, input: Array, min_val: float = -1.0, max_val: float = 1.0
) -> Any:
    """Gradient of :func:`hardtanh`: passes strictly between the bounds."""
    return row_backward(
        "hardtanh", lambda g, x: g * ((x > min_val) & (x < max_val)), min_val, max_val
    )(grad_output, input)


def hardtanh(
    input: Operand, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Result:
    """`input` limited to ``[min_val, max_val]``.

    Parameters
    ----------
    input : array of any shape
    min_val, max_val : float
    inplace : bool
        Write into `input` and return it.

    Returns
    -------
    array or Tensor
        Of the input's shape.

    Raises
    ------
    ValueError
        If `min_val` is above `max_val`.
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val {min_val} is above max_val {max_val}")
    return activation(
        "Hardtanh",
        input,
        inplace,
        row(
            "hardtanh",
            lambda x: np.minimum(np.maximum(x, min_val), max_val),
            min_val,
            max_val,
        ),
        lambda g, x: hardtanh_backward(g, x, min_val, max_val),
    )


def relu6_backward(grad_output: Array, output: Array) -> Any:
    """Gradient of :func:`relu6` given its output or its input: passes strictly between 0 and 6."""
    return hardtanh_backward(grad_output, output, 0, 6)


def relu6(input: Operand, inplace: bool = False) -> Result:
    """``min(max(0, input), 6)``."""
    return activation(
        "Relu6",
        input,
        inplace,
        row("hardtanh", lambda x: np.minimum(np.maximum(x, 0), 6), 0, 6),
        relu6_backward,
        reads_output=True,
        fused="relu6",
    )


def leaky_relu_backward(grad_output: Array, input: Array, negative_slope: float = 0.01) -> Any:
    """Gradient of :func:`leaky_relu`."""
    return row_backward(
        "leaky_relu", lambda g, x: np.where(x > 0, g, g * negative_slope), negative_slope
    )(grad_output, input)


def leaky_relu(input: Operand, negative_slope: float = 0.01, inplace: bool = False) -> Result:
    """`input` where positive, else ``negative_slope * input``.

    Parameters
    ----------
    input : array of any shape
    negative_slope : float
    inplace : bool
        Write into `input` and return it.

    Returns
    -------
    array or Tensor
        Of the input's shape.

    Notes
    -----
    Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.
    """
    return activation(
        "LeakyRelu",
        input,
        inplace,
        row("leaky_relu", lambda x: np.where(x > 0, x, x * negative_slope), negative_slope),
        lambda g, x: leaky_relu_backward(g, x, negative_slope),
        fused="leaky_relu" if negative_slope == 0.01 else None,
    )


def rrelu(
    input: Operand,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Result:
    """`input` where positive, else times a slope.

    While training each value draws a slope of its own, evenly from ``[lower, upper)``; otherwise
    the slope is their middle.
    """
    if lower > upper:
        raise ValueError(f"rrelu: lower must not be above upper, got {lower} and {upper}")
    array_first("rrelu", input)
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    x = raw(input)
    drawn = generator().uniform(lower, upper, x.shape).astype(x.dtype)
    slope = np.where(x > 0, x.dtype.type(1), drawn)
    return activation("Rrelu", input, inplace, lambda x: x * slope, lambda g, x: g * slope)


def leaky_relu_(input: Operand, negative_slope: float = 0.01) -> Result:
    """:func:`leaky_relu` in place."""
    return leaky_relu(input, negative_slope, True)


@in_float32
def prelu_backward(grad_output: Array, input: Array, weight: Array) -> tuple[Array, Array]:
    """Gradients of :func:`prelu` with respect to input and weight, of their shapes."""
    if compiled(input, grad_output, weight) and grad_output.shape == input.shape:
        gx, gw = _core.prelu_backward(grad_output, input, weight)
        return gx, gw.reshape(weight.shape)
    slope = _per_channel(weight, input.ndim)
    below = np.where(input > 0, 0, input * grad_output).astype(grad_output.dtype)
    total = sum_to(below, slope.shape)
    assert total is not None
    return np.where(input > 0, grad_output, grad_output * slope), total.reshape(weight.shape)


def _per_channel(weight: Array, ndim: int) -> Array:
    """One number, or C numbers shaped to lie along axis 1."""
    if weight.size == 1 or ndim < 2:
        return weight.reshape((1,) * ndim) if weight.size == 1 else weight
    return weight.reshape((1, -1) + (1,) * (ndim - 2))


@in_float32
def prelu(input: Operand, weight: Operand) -> Result:
    """`input` where positive, else ``weight * input``.

    Parameters
    ----------
    input : (N, C, ...)
    weight : (1,) or (C,)
        One slope for all values, or one for each channel; it is learned.

    Returns
    -------
    array or Tensor
        Of the input's shape.

    Raises
    ------
    ValueError
        If there are neither one nor C weights.

    Notes
    -----
    He et al., "Delving deep into rectifiers", arXiv 1502.01852.
    """
    x, w = raw(input), raw(weight)
    if w.ndim > 1:
        raise ValueError(f"prelu: Expected `weight` to be a scalar or 1D, but got: ndim = {w.ndim}")
    if w.size != 1 and (x.ndim < 2 or x.shape[1] != w.size):
        raise ValueError(
            f"prelu: weight must have 1 element or one per channel, got {w.shape} for {x.shape}"
        )
    y = _core.prelu(x, w) if compiled(x, w) else np.where(x > 0, x, x * _per_channel(w, x.ndim))
    if not (isinstance(input, TensorBase) or isinstance(weight, TensorBase)):
        return y
    return record(
        "Prelu", y, (input, weight), lambda g: prelu_backward(g, x, w), saves=(input, weight)
    )


def threshold(input: Operand, threshold: float, value: float, inplace: bool = False) -> Result:
    """`input` where above `threshold`, else `value`.

    Parameters
    ----------
    input : array of any shape
    threshold, value : float
    inplace : bool
        Write into `input` and return it.

    Returns
    -------
    array or Tensor
        Of the input's shape.
    """
    return activation(
        "Threshold",
        input,
        inplace,
        row(
            "threshold",
            lambda x: np.where(x <= threshold, np.asarray(value, x.dtype), x),
            threshold,
            value,
        ),
        row_backward("threshold", lambda g, x: np.where(x <= threshold, 0, g), threshold, value),
    )


hardtanh_ = in_place(hardtanh)
rrelu_ = in_place(rrelu)
threshold_ = in_place(threshold)
