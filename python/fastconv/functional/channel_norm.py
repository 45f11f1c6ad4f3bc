"""Norms along the channels: local response normalisation, and vectors made of length 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record
from ._tools import axes_of, compiled
from .narrow import floats_only, in_float32

__all__ = ["local_response_norm", "local_response_norm_backward", "normalize"]


def _channel_window(x: Array, before: int, after: int) -> Array:
    """Sums over channels c - before ... c + after of (N, C, ...)."""
    total = np.zeros_like(x)
    channels = x.shape[1]
    for shift in range(-before, after + 1):
        low, high = max(0, -shift), min(channels, channels - shift)
        if low < high:
            total[:, low:high] += x[:, low + shift : high + shift]
    return total


@floats_only
def local_response_norm_backward(
    grad_output: Array,
    input: Array,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
) -> Array:
    """Gradient of :func:`local_response_norm`, of the input's shape."""
    before, after = size // 2, (size - 1) // 2
    base = k + alpha / size * _channel_window(np.square(input), before, after)
    own = grad_output * base**-beta
    # Each channel also stands in the windows of its neighbours: the same window, mirrored.
    shared = _channel_window(own * input / base, after, before)
    return own - (2 * alpha * beta / size) * input * shared


@floats_only
def local_response_norm(
    input: Operand, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Result:
    """Divide by ``(k + alpha * mean of squares over size neighbouring channels) ** beta``.

    Parameters
    ----------
    input : (N, C, ...), at least 3 axes
    size : int
        How many channels make a window; channels that do not exist count as 0.
    """
    x = raw(input)
    if x.ndim < 3:
        raise ValueError(f"local_response_norm: Expected 3D or higher input, got shape {x.shape}")
    if size < 1:
        raise ValueError(f"local_response_norm: size must be positive, got {size}")
    base = k + alpha / size * _channel_window(np.square(x), size // 2, (size - 1) // 2)
    y = x * base**-beta
    if not isinstance(input, TensorBase):
        return y
    return record(
        "LocalResponseNorm",
        y,
        (input,),
        lambda g: (local_response_norm_backward(g, x, size, alpha, beta, k),),
        saves=(input,),
    )


@in_float32
def normalize(input: Operand, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Result:
    """Divide vectors along `dim` by their `p`-norm.

    Parameters
    ----------
    input : array of any shape
    p : float
    dim : int or ints
        The axis of the vectors.
    eps : float
        The norm is not taken below it.

    Returns
    -------
    array or Tensor
        Of the input's shape.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    from .arithmetic import div
    from .elementwise import clamp
    from .vector_norm import norm

    x = raw(input)
    axes = axes_of(dim, x.ndim, "normalize")
    if p == 2 and eps > 0 and compiled(x) and axes is not None and len(axes) == 1:
        axis = axes[0]
        y, scale = _core.normalize(x, axis, eps, False)
        if not isinstance(input, TensorBase):
            return y
        return record(
            "Normalize",
            y,
            (input,),
            lambda g: (_core.normalize_backward(g, y, scale, axis, eps, False),),
            saves_output=True,
        )
    return div(input, clamp(norm(input, p, dim, True), min=eps))
