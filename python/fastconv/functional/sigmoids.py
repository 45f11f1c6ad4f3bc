"""Sigmoids, their logarithms and what else levels off, hard and soft."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ._activation import activation
from ._tools import row, row_backward

__all__ = [
    "hardshrink",
    "hardsigmoid",
    "hardsigmoid_backward",
    "logsigmoid",
    "sigmoid",
    "sigmoid_backward",
    "softplus",
    "softplus_backward",
    "softshrink",
    "softsign",
    "tanh",
    "tanh_backward",
    "tanhshrink",
]


def plain_sigmoid(x: Array) -> Any:
    z = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0, 1, z) / (1 + z)


def sigmoid_backward(grad_output: Array, output: Array) -> Any:
    """Gradient of :func:`sigmoid` given its output."""
    return _sigmoid_backward(grad_output, output)


_sigmoid_row = row("sigmoid", plain_sigmoid)
_sigmoid_backward = row_backward("sigmoid_output", lambda g, y: g * y * (1 - y))


def sigmoid(input: Operand) -> Result:
    """``1 / (1 + exp(-input))``."""
    return activation("Sigmoid", input, False, _sigmoid_row, sigmoid_backward, reads_output=True)


def logsigmoid(input: Operand) -> Result:
    """``log(sigmoid(input))``."""
    return activation(
        "LogSigmoid",
        input,
        False,
        row("logsigmoid", lambda x: np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))),
        row_backward("logsigmoid", lambda g, x: g * plain_sigmoid(-x)),
    )


def tanh_backward(grad_output: Array, output: Array) -> Any:
    """Gradient of :func:`tanh` given its output."""
    return _tanh_backward(grad_output, output)


_tanh = row("tanh", np.tanh)
_tanh_backward = row_backward("tanh_output", lambda g, y: g * (1 - y * y))


def tanh(input: Operand) -> Result:
    """The hyperbolic tangent."""
    return activation("Tanh", input, False, _tanh, tanh_backward, reads_output=True)


def hardsigmoid_backward(grad_output: Array, input: Array) -> Any:
    """Gradient of :func:`hardsigmoid`: 1/6 strictly between -3 and 3."""
    return _hardsigmoid_backward(grad_output, input)


_hardsigmoid = row("hardsigmoid", lambda x: np.minimum(np.maximum(x + 3, 0), 6) / 6)
_hardsigmoid_backward = row_backward("hardsigmoid", lambda g, x: g * ((x > -3) & (x < 3)) * (1 / 6))


def hardsigmoid(input: Operand, inplace: bool = False) -> Result:
    """``relu6(input + 3) / 6``."""
    return activation(
        "Hardsigmoid",
        input,
        inplace,
        _hardsigmoid,
        hardsigmoid_backward,
    )


def softplus_backward(
    grad_output: Array, input: Array, beta: float = 1.0, threshold: float = 20.0
) -> Any:
    """Gradient of :func:`softplus`."""

    def plain(g: Array, x: Array) -> Any:
        scaled = x * beta
        return np.where(scaled > threshold, g, g * plain_sigmoid(scaled))

    return row_backward("softplus", plain, beta, threshold)(grad_output, input)


def softplus(input: Operand, beta: float = 1.0, threshold: float = 20.0) -> Result:
    """``log(1 + exp(beta * input)) / beta``, a smooth rectifier.

    Parameters
    ----------
    input : array of any shape
    beta : float
        How sharp the bend is.
    threshold : float
        Once ``beta * input`` is above it the result is `input` itself.

    Returns
    -------
    array or Tensor
        Of the input's shape.
    """

    def forward(x: Array) -> Array:
        z = x * beta
        smooth = (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta
        return np.where(z > threshold, x, smooth)

    return activation(
        "Softplus",
        input,
        False,
        row("softplus", forward, beta, threshold),
        lambda g, x: softplus_backward(g, x, beta, threshold),
    )


def softsign(input: Operand) -> Result:
    """``input / (1 + |input|)``."""
    return activation(
        "Softsign",
        input,
        False,
        row("softsign", lambda x: x / (1 + np.abs(x))),
        row_backward("softsign", lambda g, x: g / np.square(1 + np.abs(x))),
    )


def tanhshrink(input: Operand) -> Result:
    """``input - tanh(input)``."""
    return activation(
        "Tanhshrink",
        input,
        False,
        row("tanhshrink", lambda x: x - np.tanh(x)),
        row_backward("tanhshrink", lambda g, x: g * np.square(np.tanh(x))),
    )


def softshrink(input: Operand, lambd: float = 0.5) -> Result:
    """`input` moved towards 0 by `lambd`, and 0 within.

    Parameters
    ----------
    input : array of any shape
    lambd : float, not negative

    Returns
    -------
    array or Tensor
        Of the input's shape.

    Raises
    ------
    ValueError
        If `lambd` is negative.
    """
    if lambd < 0:
        raise ValueError(f"softshrink: lambd must not be negative, but found {lambd}")
    return activation(
        "Softshrink",
        input,
        False,
        row(
            "softshrink",
            lambda x: np.where(x > lambd, x - lambd, np.where(x < -lambd, x + lambd, x * 0)),
            lambd,
        ),
        row_backward("softshrink", lambda g, x: np.where(np.abs(x) <= lambd, 0, g), lambd),
    )


def hardshrink(input: Operand, lambd: float = 0.5) -> Result:
    """`input` where its size is above `lambd`, else 0.

    Parameters
    ----------
    input : array of any shape
    lambd : float

    Returns
    -------
    array or Tensor
        Of the input's shape.
    """
    return activation(
        "Hardshrink",
        input,
        False,
        row("hardshrink", lambda x: np.where(np.abs(x) <= lambd, x.dtype.type(0), x), lambd),
        row_backward("hardshrink", lambda g, x: np.where(np.abs(x) <= lambd, 0, g), lambd),
    )
