"""Variances and standard deviations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._types import Operand, Result
from ..autograd import TensorBase, raw, record
from ._tools import axes_of, numpy_names
from .elementwise import sqrt
from .narrow import in_float32
from .reduction import expanded, mean

__all__ = [
    "std",
    "std_mean",
    "var",
    "var_mean",
]


def _correction(unbiased: bool | None, correction: float | None) -> float:
    if correction is not None:
        return correction
    return 0 if unbiased is False else 1


@numpy_names
@in_float32
def var(
    input: Operand,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Result:
    """The variance over `dim`, divided by ``count - correction`` (1 unless ``unbiased=False``).

    Parameters
    ----------
    input : array of any shape
    dim : int, ints or None
        The axes that go; None: all.
    keepdim : bool
        Keep them, with extent 1.
    unbiased : bool
        False is ``correction=0``.
    correction : float
        Taken off the count that is divided by.

    Returns
    -------
    array or Tensor
        Without the axes `dim`.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    if isinstance(dim, bool):  # var(x, False)
        dim, unbiased = None, dim
    x = raw(input)
    axes = axes_of(dim, x.ndim, "var")
    count = x.size if axes is None else math.prod([x.shape[a] for a in axes])
    below = np.maximum(count - _correction(unbiased, correction), 0)
    centred = x - x.mean(axes, keepdims=True, dtype=x.dtype)
    with np.errstate(invalid="ignore", divide="ignore"):
        y = np.asarray(np.square(centred).sum(axes, keepdims=keepdim)) / x.dtype.type(below)
    if not isinstance(input, TensorBase):
        return y
    ndim = x.ndim
    return record(
        "Var",
        y,
        (input,),
        lambda g: (expanded(g, axes, keepdim, ndim) * (2 / x.dtype.type(below)) * centred,),
    )


@numpy_names
@in_float32
def std(
    input: Operand,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Result:
    """The standard deviation over `dim`; see :func:`var`.

    Parameters
    ----------
    input : array of any shape
    dim : int, ints or None
        The axes that go; None: all.
    keepdim : bool
        Keep them, with extent 1.
    unbiased : bool
        False is ``correction=0``.
    correction : float
        Taken off the count that is divided by.

    Returns
    -------
    array or Tensor
        Without the axes `dim`.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    axes_of(None if isinstance(dim, bool) else dim, raw(input).ndim, "std")
    return sqrt(var(input, dim, unbiased, keepdim, correction=correction))


@numpy_names
@in_float32
def var_mean(
    input: Operand,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Result, Result]:
    """The variance and the mean over `dim`.

    Parameters
    ----------
    input : array of any shape
    dim : int, ints or None
        The axes that go; None: all.
    keepdim : bool
        Keep them, with extent 1.
    unbiased : bool
        False is ``correction=0``.
    correction : float
        Taken off the count that is divided by.

    Returns
    -------
    tuple of arrays or Tensors
        The variance and the mean, without the axes `dim`.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    if isinstance(dim, bool):  # var_mean(x, False)
        dim, unbiased = None, dim
    axes_of(None if isinstance(dim, bool) else dim, raw(input).ndim, "var_mean")
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


@numpy_names
@in_float32
def std_mean(
    input: Operand,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Result, Result]:
    """The standard deviation and the mean over `dim`.

    Parameters
    ----------
    input : array of any shape
    dim : int, ints or None
        The axes that go; None: all.
    keepdim : bool
        Keep them, with extent 1.
    unbiased : bool
        False is ``correction=0``.
    correction : float
        Taken off the count that is divided by.

    Returns
    -------
    tuple of arrays or Tensors
        The standard deviation and the mean, without the axes `dim`.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    axes_of(None if isinstance(dim, bool) else dim, raw(input).ndim, "std_mean")
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)
