"""What normalisations share: their gradients' type, sums over channels, running statistics."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .._types import Array, Operand
from ..autograd import TensorBase, raw
from ._tools import compiled

__all__ = ["NormGrads", "along_channels", "channel_sum", "fast", "move_running"]


class NormGrads(NamedTuple):
    """Gradients of a normalisation; None where there is no such operand."""

    input: Any
    weight: Any
    bias: Any


def along_channels(v: Array, ndim: int) -> Array:
    """(C,) shaped to lie along axis 1 of `ndim` axes."""
    return v.reshape((1, -1) + (1,) * (ndim - 2))


def channel_sum(x: Array) -> Array:
    """Sums of (N, C, ...) over all axes but the channels: (C,)."""
    # First over the contiguous part, where NumPy sums pairwise and so more precisely.
    return np.asarray(x.reshape(*x.shape[:2], math.prod(x.shape[2:])).sum(-1).sum(0))


def fast(x: Array) -> bool:
    """Whether the compiled normalisations take `x`, and its rows are long enough for them."""
    return x.ndim > 2 and x.size > 0 and compiled(x)


def move_running(running: Operand | None, value: Array, momentum: float) -> None:
    """Move running statistics towards `value`, in place."""
    if running is None:
        return
    array = raw(running)
    array *= 1 - momentum
    array += momentum * value
    if isinstance(running, TensorBase):
        running._touch()
