"""Smooth gates: the input times something between 0 and 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Operand, Result
from ..autograd import raw
from ._activation import activation
from ._erf import erf_forward
from ._tools import axis_of, compiled, row, row_backward
from .narrow import in_float32
from .sigmoids import plain_sigmoid, sigmoid

__all__ = [
    "gelu",
    "gelu_backward",
    "glu",
    "hardswish",
    "hardswish_backward",
    "mish",
    "mish_backward",
    "silu",
    "silu_backward",
]


def silu_backward(grad_output: Array, input: Array) -> Any:
    """Gradient of :func:`silu`."""
    return _silu_backward(grad_output, input)


def _plain_silu_backward(g: Array, x: Array) -> Any:
    s = plain_sigmoid(x)
    return g * (s * (1 + x * (1 - s)))


_silu = row("silu", lambda x: x * plain_sigmoid(x))
_silu_backward = row_backward("silu", _plain_silu_backward)


def silu(input: Operand, inplace: bool = False) -> Result:
    """``input * sigmoid(input)``, also called swish."""
    return activation("Silu", input, inplace, _silu, silu_backward, fused="silu")


def hardswish_backward(grad_output: Array, input: Array) -> Any:
    """Gradient of :func:`hardswish`."""
    return _hardswish_backward(grad_output, input)


def _plain_hardswish_backward(g: Array, x: Array) -> Any:
    slope = np.where(x <= -3, 0, np.where(x < 3, x / 3 + 0.5, 1))
    return g * slope.astype(g.dtype, copy=False)


_hardswish = row("hardswish", lambda x: x * (np.minimum(np.maximum(x + 3, 0), 6) / 6))
_hardswish_backward = row_backward("hardswish", _plain_hardswish_backward)


def hardswish(input: Operand, inplace: bool = False) -> Result:
    """``input * relu6(input + 3) / 6``."""
    return activation(
        "Hardswish",
        input,
        inplace,
        _hardswish,
        hardswish_backward,
        fused="hardswish",
    )


_ROOT_HALF = float(np.sqrt(0.5))
_TANH_SCALE = float(np.sqrt(2 / np.pi))


def gelu_backward(grad_output: Array, input: Array, approximate: str = "none") -> Any:
    """Gradient of :func:`gelu`."""
    if approximate == "tanh":
        return row_backward("gelu_tanh", _plain_gelu_tanh_backward)(grad_output, input)
    return row_backward("gelu", _plain_gelu_backward)(grad_output, input)


def _plain_gelu_tanh_backward(g: Array, x: Array) -> Any:
    inner = np.tanh(_TANH_SCALE * (x + 0.044715 * x * x * x))
    slope = (1 - inner * inner) * (_TANH_SCALE * (1 + 3 * 0.044715 * x * x))
    return g * (0.5 * (1 + inner) + 0.5 * x * slope)


def _plain_gelu_backward(g: Array, x: Array) -> Any:
    below = 0.5 * (1 + erf_forward(x * _ROOT_HALF))
    density = np.exp(-0.5 * x * x) * (0.5 * _TANH_SCALE)
    return g * (below + x * density)


def gelu(input: Operand, approximate: str = "none") -> Result:
    """`input` times the normal distribution function of `input`.

    Parameters
    ----------
    input : array of any shape
    approximate : {"none", "tanh"}
        Exact, or by the formula with a hyperbolic tangent.

    Returns
    -------
    array or Tensor
        Of the input's shape.

    Raises
    ------
    ValueError
        For another approximation.

    Notes
    -----
    Hendrycks and Gimpel, arXiv 1606.08415.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")

    def forward(x: Array) -> Any:
        if approximate == "tanh":
            return 0.5 * x * (1 + np.tanh(_TANH_SCALE * (x + 0.044715 * x * x * x)))
        return 0.5 * x * (1 + erf_forward(x * _ROOT_HALF))

    return activation(
        "Gelu",
        input,
        False,
        row("gelu_tanh" if approximate == "tanh" else "gelu", forward),
        lambda g, x: gelu_backward(g, x, approximate),
        fused="gelu" if approximate == "none" else None,
    )


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def mish_backward(grad_output: Array, input: Array) -> Any:
    """Gradient of :func:`mish`."""
    return _mish_backward(grad_output, input)


def _plain_mish_backward(g: Array, x: Array) -> Any:
    gate = np.tanh(_softplus(x))
    return g * (gate + x * plain_sigmoid(x) * (1 - gate * gate))


_mish = row("mish", lambda x: x * np.tanh(_softplus(x)))
_mish_backward = row_backward("mish", _plain_mish_backward)


def mish(input: Operand, inplace: bool = False) -> Result:
    """``input * tanh(softplus(input))``."""
    return activation("Mish", input, inplace, _mish, mish_backward)


@in_float32
def glu(input: Operand, dim: int = -1) -> Result:
    """The first half along `dim` times the sigmoid of the second.

    Parameters
    ----------
    input : array of any shape
    dim : int
        An axis of even extent.

    Returns
    -------
    array or Tensor
        With half the extent along `dim`.

    Raises
    ------
    ValueError
        If the extent is odd.

    Notes
    -----
    Dauphin et al., arXiv 1612.08083.
    """
    from .arithmetic import mul
    from .joining import chunk

    x = raw(input)
    axis = axis_of(dim, x.ndim, "glu")
    if x.shape[axis] % 2:
        raise ValueError(f"glu: the extent along dim must be even, got {x.shape[axis]}")
    if compiled(x):
        return activation(
            "Glu",
            input,
            False,
            lambda x: _core.glu(x, axis),
            lambda g, x: _core.glu_backward(g, x, axis),
        )
    first, second = chunk(input, 2, dim)
    return mul(first, sigmoid(second))
