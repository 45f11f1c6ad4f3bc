"""Sums, means, products and other functions that take axes away."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record
from ._tools import axes_of, axis_of, numpy_names
from .convert import cast, clone
from .elementwise import floating
from .narrow import in_float32

__all__ = [
    "cumsum",
    "diff",
    "logsumexp",
    "mean",
    "prod",
    "sum",
]


def expanded(g: Array, axes: tuple[int, ...] | None, keepdim: bool, ndim: int) -> Array:
    """The gradient of a reduction with its axes put back as axes of extent 1."""
    if axes is None:
        return g.reshape((1,) * ndim)
    return g if keepdim else np.expand_dims(g, axes)


@numpy_names
@in_float32
def sum(input: Operand, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Result:
    """The sum over `dim` (an axis, several, or all).

    Parameters
    ----------
    input : array of any shape
    dim : int, ints or None
        The axes that go; None: all.
    keepdim : bool
        Keep them, with extent 1.
    dtype : dtype, optional
        Compute and return in it.

    Returns
    -------
    array or Tensor
        Without the axes `dim`.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    x = raw(input)
    axes = axes_of(dim, x.ndim, "sum")
    y = np.asarray(np.sum(x, axes, keepdims=keepdim, dtype=dtype))
    if not isinstance(input, TensorBase):
        return y
    shape, ndim = x.shape, x.ndim
    return record(
        "Sum",
        y,
        (input,),
        lambda g: (np.broadcast_to(expanded(g, axes, keepdim, ndim), shape),),
    )


@numpy_names
@in_float32
def mean(input: Operand, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Result:
    """The mean over `dim` (an axis, several, or all).

    Parameters
    ----------
    input : array of any shape
    dim : int, ints or None
        The axes that go; None: all.
    keepdim : bool
        Keep them, with extent 1.
    dtype : dtype, optional
        Compute and return in it.

    Returns
    -------
    array or Tensor
        Without the axes `dim`.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    x = raw(input)
    kind = x.dtype if dtype is None else np.dtype(dtype)
    if kind.kind in "biu":
        raise TypeError(f"mean: expected a floating-point input or dtype, got {kind}")
    axes = axes_of(dim, x.ndim, "mean")
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.asarray(np.sum(x, axes, keepdims=keepdim, dtype=dtype))
        count = x.size if axes is None else math.prod([x.shape[a] for a in axes])
        y = total / np.asarray(count, dtype=total.dtype)
    if not isinstance(input, TensorBase):
        return y
    shape, ndim = x.shape, x.ndim
    return record(
        "Mean",
        y,
        (input,),
        lambda g: (np.broadcast_to(expanded(g, axes, keepdim, ndim) / count, shape),),
    )


@numpy_names
@in_float32
def prod(
    input: Operand, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None
) -> Result:
    """The product over an axis or over all.

    Parameters
    ----------
    input : array of any shape
    dim : int, optional
        The axis that goes; left out, the flattened input counts.
    keepdim : bool
        Keep them, with extent 1.
    dtype : dtype, optional
        Compute and return in it.

    Returns
    -------
    array or Tensor
        Without the axis `dim`.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    if dtype is not None:
        input = cast(input, dtype)
    x = raw(input)
    axes = axes_of(dim, x.ndim, "prod")
    y = np.asarray(np.prod(x, axes, keepdims=keepdim))
    if not isinstance(input, TensorBase):
        return y
    ndim = x.ndim

    def backward(g: Array) -> tuple[Array]:
        zeros = (x == 0).sum(axes, keepdims=True)
        rest = np.prod(np.where(x == 0, 1, x), axes, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            others = np.where(zeros == 0, rest / x, np.where((zeros == 1) & (x == 0), rest, 0))
        return ((expanded(g, axes, keepdim, ndim) * others).astype(g.dtype),)

    return record("Prod", y, (input,), backward, saves=(input,))


# ---- norms and running sums ----------------------------------------------------------------------


@numpy_names
@in_float32
def logsumexp(input: Operand, dim: Any, keepdim: bool = False) -> Result:
    """``log(sum(exp(input)))`` over `dim`, without overflow.

    Parameters
    ----------
    input : array of any shape
    dim : int, ints or None
        The axes that go; None: all.
    keepdim : bool
        Keep them, with extent 1.

    Returns
    -------
    array or Tensor
        Without the axes `dim`.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    x = floating(raw(input))
    axes = axes_of(dim, x.ndim, "logsumexp")
    top = np.max(x, axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        full = np.log(np.exp(x - top).sum(axes, keepdims=True)) + top
    y = full if keepdim else full.reshape(np.sum(x, axes).shape)
    if not isinstance(input, TensorBase):
        return y
    ndim = x.ndim
    return record(
        "LogSumExp",
        y,
        (input,),
        lambda g: (expanded(g, axes, keepdim, ndim) * np.exp(x - full),),
        saves=(input,),
    )


@numpy_names
@in_float32
def cumsum(input: Operand, dim: int, *, dtype: Any = None) -> Result:
    """Running sums along `dim`.

    Parameters
    ----------
    input : array of any shape
    dim : int
    dtype : dtype, optional
        Compute and return in it.

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
    axis = axis_of(dim, x.ndim, "cumsum")
    if x.ndim == 0:
        return clone(input)
    y = np.cumsum(x, axis)
    if not isinstance(input, TensorBase):
        return y
    return record(
        "Cumsum", y, (input,), lambda g: (np.flip(np.cumsum(np.flip(g, axis), axis), axis),)
    )


@numpy_names
def diff(
    input: Operand, n: int = 1, dim: int = -1, prepend: Operand = None, append: Operand = None
) -> Result:
    """Differences of neighbours along `dim`, `n` times over, after joining `prepend`, `append`."""
    from .joining import cat

    if n < 0:
        raise ValueError(f"diff: order must be non-negative but got {n}")
    if raw(input).ndim == 0:
        raise ValueError("diff: expected at least one axis, got shape ()")
    axis = axis_of(dim, raw(input).ndim, "diff")
    if n and (prepend is not None or append is not None):
        input = cat([v for v in (prepend, input, append) if v is not None], axis)
    before, after = ((slice(None),) * axis + (s,) for s in (slice(None, -1), slice(1, None)))
    for _ in range(n):
        input = input[after] - input[before]
    return input
