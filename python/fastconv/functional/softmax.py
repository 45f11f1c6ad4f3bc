"""Softmax and its logarithm, each with its gradient as a plain function of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Operand, Result
from ..autograd import raw
from ._activation import activation
from ._tools import axis_of, compiled, numpy_names
from .convert import cast
from .narrow import in_float32

__all__ = [
    "log_softmax",
    "log_softmax_backward",
    "softmax",
    "softmax_backward",
    "softmin",
]


def _default_axis(ndim: int) -> int:
    return 0 if ndim in (0, 1, 3) else 1


@in_float32
def softmax_backward(grad_output: Array, output: Array, dim: int) -> Any:
    """Gradient of :func:`softmax` given its output."""
    if output.ndim and compiled(output, grad_output):
        axis = axis_of(dim, output.ndim, "softmax_backward")
        return _core.softmax_backward(grad_output, output, axis, False)
    gy = grad_output * output
    return gy - output * gy.sum(dim, keepdims=True)


@numpy_names
@in_float32
def softmax(input: Operand, dim: int | None = None, *, dtype: Any = None) -> Result:
    """``exp(input)`` divided by its sum along `dim`: scores become probabilities.

    Parameters
    ----------
    input : array of any shape
    dim : int
        The axis that sums to 1. Left out it is 1, or 0 for 0, 1 and 3 axes, as in PyTorch.
    dtype : dtype, optional
        Convert `input` to it before.

    Returns
    -------
    array or Tensor
        Of the input's shape.

    Raises
    ------
    IndexError
        If there is no such axis.

    Notes
    -----
    The largest score is subtracted first, so that nothing overflows.
    """
    if dtype is not None:
        input = cast(input, dtype)
    x = raw(input)
    axis = axis_of(_default_axis(x.ndim) if dim is None else dim, x.ndim, "softmax")

    def forward(_: Array) -> Any:
        if x.ndim == 0 or x.size == 0:
            return np.ones_like(x)
        if compiled(x):
            return _core.softmax(x, axis, False)
        e = np.exp(x - x.max(axis, keepdims=True))
        return e / e.sum(axis, keepdims=True)

    return activation(
        "Softmax",
        input,
        False,
        forward,
        lambda g, y: softmax_backward(g, y, axis) if y.ndim else np.zeros_like(g),
        reads_output=True,
    )


@in_float32
def softmin(input: Operand, dim: int | None = None, *, dtype: Any = None) -> Result:
    """:func:`softmax` of ``-input``."""
    from .elementwise import neg

    if dim is not None:
        axis_of(dim, raw(input).ndim, "softmin")
    return softmax(neg(input), dim, dtype=dtype)


@in_float32
def log_softmax_backward(grad_output: Array, output: Array, dim: int) -> Any:
    """Gradient of :func:`log_softmax` given its output."""
    if output.ndim and compiled(output, grad_output):
        axis = axis_of(dim, output.ndim, "log_softmax_backward")
        return _core.softmax_backward(grad_output, output, axis, True)
    return grad_output - np.exp(output) * grad_output.sum(dim, keepdims=True)


@numpy_names
@in_float32
def log_softmax(input: Operand, dim: int | None = None, *, dtype: Any = None) -> Result:
    """The logarithm of :func:`softmax`, without overflow and with the digits of large scores.

    Parameters
    ----------
    input : array of any shape
    dim : int
        The axis whose exponentials sum to 1; left out as for :func:`softmax`.
    dtype : dtype, optional
        Convert `input` to it before.

    Returns
    -------
    array or Tensor
        Of the input's shape.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    if dtype is not None:
        input = cast(input, dtype)
    x = raw(input)
    axis = axis_of(_default_axis(x.ndim) if dim is None else dim, x.ndim, "log_softmax")

    def forward(_: Array) -> Any:
        if x.ndim == 0 or x.size == 0:
            return np.zeros_like(x)
        if compiled(x):
            return _core.softmax(x, axis, True)
        shifted = x - x.max(axis, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))

    return activation(
        "LogSoftmax",
        input,
        False,
        forward,
        lambda g, y: log_softmax_backward(g, y, axis) if y.ndim else np.zeros_like(g),
        reads_output=True,
    )
