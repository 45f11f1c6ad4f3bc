"""Norms of vectors and matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record
from ._tools import axes_of, numpy_names
from .elementwise import abs as absolute
from .extrema import amax, amin
from .narrow import in_float32
from .reduction import expanded

__all__ = ["norm"]


@numpy_names
@in_float32
def norm(input: Operand, p: float | str = 2, dim: Any = None, keepdim: bool = False) -> Result:
    """The `p`-norm over `dim`.

    Parameters
    ----------
    input : array of any shape
    p : float, "fro" or "nuc"
        ``"fro"`` is 2; ``"nuc"`` is the sum of the singular values of the matrices along two axes;
        ``inf`` and ``-inf`` give the largest and the smallest absolute value, and 0 counts what is
        not zero.
    dim : int, ints or None
        None: over all elements.
    keepdim : bool
        Keep the axes, with extent 1.

    Returns
    -------
    array or Tensor
        The norms.

    Raises
    ------
    ValueError
        For another name, or if ``"nuc"`` is asked for over other than two axes.
    """
    if p == "nuc":
        return _nuclear(input, dim, keepdim)
    if isinstance(p, str) and p != "fro":
        raise ValueError(f"norm: p must be a number, 'fro' or 'nuc', got {p!r}")
    p = 2.0 if p == "fro" else float(p)
    if np.isinf(p):
        pick = amax if p > 0 else amin
        return pick(absolute(input), dim, keepdim)
    x = raw(input)
    axes = axes_of(dim, x.ndim, "norm")
    if p == 0:
        counted = np.asarray((x != 0).sum(axes, keepdims=keepdim).astype(x.dtype))
        if not isinstance(input, TensorBase):
            return counted
        return record("Norm", counted, (input,), lambda g: (np.zeros_like(x),))
    size = np.abs(x)
    y = np.asarray(
        np.sqrt(np.square(x).sum(axes, keepdims=keepdim))
        if p == 2
        else (size**p).sum(axes, keepdims=keepdim) ** (1 / p)
    )
    if not isinstance(input, TensorBase):
        return y
    ndim = x.ndim

    def backward(g: Array) -> tuple[Array]:
        total = expanded(y, axes, keepdim, ndim)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = x / total if p == 2 else np.sign(x) * (np.abs(x) / total) ** (p - 1)
        return (expanded(g, axes, keepdim, ndim) * np.where(total == 0, 0, slope),)

    return record("Norm", y, (input,), backward, saves=(input,))


def _nuclear(input: Operand, dim: Any, keepdim: bool) -> Result:
    """The sum of singular values; its gradient is U V^T."""
    x = raw(input)
    axes = axes_of(dim, x.ndim, "norm") or tuple(range(x.ndim))
    if len(axes) != 2:
        raise ValueError(f"norm: p='nuc' needs two axes, got {axes} of shape {x.shape}")
    u, values, vh = np.linalg.svd(np.moveaxis(x, axes, (-2, -1)), full_matrices=False)
    y = np.asarray(values.sum(-1))
    if keepdim:
        y = np.expand_dims(y, axes)
    if not isinstance(input, TensorBase):
        return y
    slope = np.moveaxis(u @ vh, (-2, -1), axes)
    return record(
        "NuclearNorm", y, (input,), lambda g: (expanded(g, axes, keepdim, x.ndim) * slope,)
    )
