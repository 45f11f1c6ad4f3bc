"""Units that are linear above zero and exponential below."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ._activation import activation, in_place
from ._tools import row, row_backward

__all__ = ["celu", "celu_", "elu", "elu_", "elu_backward", "selu", "selu_", "selu_backward"]


def elu_backward(grad_output: Array, input: Array, alpha: float = 1.0) -> Any:
    """Gradient of :func:`elu`."""
    return row_backward(
        "elu", lambda g, x: g * np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))), alpha, 1
    )(grad_output, input)


def elu(input: Operand, alpha: float = 1.0, inplace: bool = False) -> Result:
    """`input` where positive, else ``alpha * (exp(input) - 1)``.

    Parameters
    ----------
    input : array of any shape
    alpha : float
        Minus the level towards which negative values go.
    inplace : bool
        Write into `input` and return it.

    Returns
    -------
    array or Tensor
        Of the input's shape.

    Notes
    -----
    Clevert, Unterthiner and Hochreiter, arXiv 1511.07289.
    """
    return activation(
        "Elu",
        input,
        inplace,
        row("elu", lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))), alpha, 1),
        lambda g, x: elu_backward(g, x, alpha),
    )


def celu(input: Operand, alpha: float = 1.0, inplace: bool = False) -> Result:
    """`input` where positive, else ``alpha * (exp(input / alpha) - 1)``.

    Parameters
    ----------
    input : array of any shape
    alpha : float
        Minus the level towards which negative values go; the slope at 0 is 1 for any.
    inplace : bool
        Write into `input` and return it.

    Returns
    -------
    array or Tensor
        Of the input's shape.

    Notes
    -----
    Barron, arXiv 1704.07483.
    """
    return activation(
        "Celu",
        input,
        inplace,
        row(
            "celu", lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha)), alpha
        ),
        row_backward(
            "celu", lambda g, x: g * np.where(x > 0, 1, np.exp(np.minimum(x, 0) / alpha)), alpha
        ),
    )


_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def selu_backward(grad_output: Array, input: Array) -> Any:
    """Gradient of :func:`selu`."""
    return _selu_backward(grad_output, input)


_selu = row(
    "elu",
    lambda x: _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    _SELU_ALPHA,
    _SELU_SCALE,
)
_selu_backward = row_backward(
    "elu",
    lambda g, x: g * np.where(x > 0, 1, _SELU_ALPHA * np.exp(np.minimum(x, 0))) * _SELU_SCALE,
    _SELU_ALPHA,
    _SELU_SCALE,
)


def selu(input: Operand, inplace: bool = False) -> Result:
    """:func:`elu` with the constants that keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    return activation(
        "Selu",
        input,
        inplace,
        _selu,
        selu_backward,
    )


celu_ = in_place(celu)
elu_ = in_place(elu)
selu_ = in_place(selu)
