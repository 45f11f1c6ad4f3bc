"""A convolution and the batch norm behind it, as one step of the tape when training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _core
from .._types import Array
from ..autograd import record
from ..tape import Saved, offer_clamp
from ._tools import compiled

__all__ = ["conv_norm", "fit"]


def fit(rank: int, x: Any, arrays: tuple[Any, ...]) -> bool:
    """Whether :func:`conv_norm` applies to an input and what the layers hold: the convolution's
    weight and bias, the norm's weight, bias, mean and variance. What has something to complain
    about does not fit either."""
    w, _, *vectors = arrays
    given = [v for v in vectors if v is not None]
    return (
        type(x) is np.ndarray
        and x.ndim == rank + 2
        and compiled(x, *[a for a in arrays if a is not None])
        and all(v.shape == w.shape[:1] for v in given)
        and (vectors[2] is None) == (vectors[3] is None)
        and all(v is None or v.flags.carray for v in vectors[2:])
    )


def conv_norm(
    rank: int,
    operands: tuple[Any, ...],
    running: tuple[Any, ...],
    arrays: tuple[Any, ...],
    geometry: tuple[Any, Any, Any, int],
    moved_by: Callable[[], float],
    eps: float,
    activation: str | None,
) -> Any:
    """``conv{rank}d``, then ``batch_norm`` in training: what lies between is seen by nobody else.

    Parameters
    ----------
    operands : tensors or None
        The input, the convolution's weight and bias, the norm's weight and bias.
    running : tensors or None
        The norm's mean and variance.
    arrays
        Those of all but the input, which :func:`fit` it.
    geometry
        Stride, padding, dilation and groups of the convolution.
    moved_by
        Gives the norm's momentum, once the convolution is done.
    eps, activation
        Of the norm.
    """
    x = operands[0]._array
    w, bias, gain, offset, mean_kept, var_kept = arrays
    z = _core.conv(rank, x, w, bias, *geometry, None, None, "auto", None)
    y, mean, var = _core.batch_norm(
        z, gain, offset, mean_kept, var_kept, moved_by(), eps, activation
    )
    for moved in running:
        if moved is not None:
            moved._touch()
    need = (
        operands[0]._requires_grad,
        operands[1]._requires_grad,
        bias is not None and operands[2]._requires_grad,
    )
    some = True in need

    def backward(g: Array) -> tuple[Array | None, ...]:
        gz, *of_norm = _core.batch_norm_backward(
            g, z, gain, offset, mean, var, eps, activation, some
        )
        if gz is None:
            return None, None, None, *of_norm
        of_conv = _core.conv_backward(rank, gz, x, w, *geometry, need, "auto")
        return *of_conv, *of_norm

    saves = (operands[0], operands[1], operands[3], operands[4])
    result = record("BatchNorm", y, operands, backward, saves=saves)
    if activation is None:

        def take(clamp: str) -> Saved:
            nonlocal activation
            activation = clamp
            return ()

        offer_clamp(result, take)
    return result
