"""Counting and choosing: what is there, how often, and what lies in the middle."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record, wrap
from ..random import generator as default_generator
from ._tools import axis_of, is_half, numpy_names
from .convert import clone
from .extrema import Extremum
from .narrow import in_float32
from .order import _picked
from .shape import reshape

__all__ = ["bincount", "cumprod", "histc", "median", "multinomial", "unique"]


def _like(input: Operand, y: Any) -> Result:
    return wrap(np.asarray(y)) if isinstance(input, TensorBase) else np.asarray(y)


def unique(
    input: Operand,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The values that occur, each once, in ascending order.

    Parameters
    ----------
    input : array of any shape
    sorted : bool
        They come in order even if not asked to.
    return_inverse : bool
        Where each element's value stands in the result, too.
    return_counts : bool
        How often each occurs, too.
    dim : int, optional
        Tell slices along it apart instead of elements.

    Returns
    -------
    array or Tensor, or a tuple of up to three
    """
    x = raw(input)
    axis = None if dim is None else axis_of(dim, x.ndim, "unique")
    y, inverse, counts = np.unique(x, return_inverse=True, return_counts=True, axis=axis)
    inverse = inverse.reshape(x.shape if axis is None else -1)
    parts = [_like(input, y)]
    parts += [_like(input, inverse)] if return_inverse else []
    parts += [_like(input, counts)] if return_counts else []
    return tuple(parts) if len(parts) > 1 else parts[0]


def bincount(input: Operand, weights: Operand | None = None, minlength: int = 0) -> Result:
    """How often each whole number from 0 on occurs, or the sum of its `weights`.

    Parameters
    ----------
    input : (N,) whole numbers, none negative
    weights : (N,), optional
    minlength : int
        The least length of the result.

    Returns
    -------
    array or Tensor
        int64, or float64 with weights.

    Raises
    ------
    TypeError, ValueError
        For other numbers, or weights of another length.
    """
    x = np.asarray(raw(input))
    if x.dtype.kind not in "biu":
        raise TypeError(f"bincount: input must be whole numbers, got {x.dtype}")
    if x.ndim != 1 or (x.size and x.min() < 0):
        raise ValueError("bincount: input must be one row of non-negative whole numbers")
    w = None if weights is None else np.asarray(raw(weights))
    if w is not None and w.shape != x.shape:
        raise ValueError(f"bincount: weights must have shape {x.shape}, got {w.shape}")
    return _like(input, np.bincount(x.astype(np.int64), w, minlength))


def histc(input: Operand, bins: int = 100, min: float = 0, max: float = 0) -> Result:
    """How many elements fall into each of `bins` equal parts of ``[min, max]``.

    Both bounds equal stand for the smallest and the largest element; what lies outside, and NaN,
    does not count.
    """
    x = raw(input)
    x = x.astype(np.float64) if is_half(x.dtype) else x
    if bins < 1:
        raise ValueError(f"histc: bins must be positive, got {bins}")
    if max < min:
        raise ValueError(f"histc: max must not be less than min, got {max} and {min}")
    bounds = (min, max)
    if min == max:
        finite = x[np.isfinite(x)]
        bounds = (finite.min(), finite.max()) if finite.size else (0, 1)
    if bounds[0] == bounds[1]:
        bounds = (bounds[0] - 1, bounds[1] + 1)
    return _like(input, np.histogram(x[~np.isnan(x)], bins, bounds)[0].astype(raw(input).dtype))


@numpy_names
def median(input: Operand, dim: int | None = None, keepdim: bool = False) -> Any:
    """The value in the middle; of two in the middle the smaller; NaN if any is.

    Parameters
    ----------
    input : array of any shape
    dim : int, optional
        Along it, as ``(values, indices)``; left out, of all elements.
    keepdim : bool
        Keep `dim`, with extent 1.

    Returns
    -------
    array or Tensor, or values and indices
    """
    x = raw(input)
    if dim is None:
        if not x.size:
            raise ValueError("median: there is no value in the middle of none")
        return _middle(reshape(input, -1), 0, False).values
    return _middle(input, axis_of(dim, x.ndim, "median"), keepdim)


def _middle(input: Operand, axis: int, keepdim: bool) -> Extremum:
    x = raw(input)
    if x.ndim == 0:
        return Extremum(clone(input), _like(input, np.zeros((), np.int64)))
    order = np.argsort(x, axis, kind="stable")  # NaN last
    place = np.full((*x.shape[:axis], 1, *x.shape[axis + 1 :]), (x.shape[axis] - 1) // 2)
    if x.dtype.kind == "f":
        nan = np.isnan(x)
        missing = nan.any(axis, keepdims=True)
        place = np.where(missing, x.shape[axis] - nan.sum(axis, keepdims=True), place)
    values, indices = _picked("Median", input, np.take_along_axis(order, place, axis), axis)
    if keepdim:
        return Extremum(values, indices)
    return Extremum(values.squeeze(axis), indices.squeeze(axis))


@numpy_names
@in_float32
def cumprod(input: Operand, dim: int, *, dtype: Any = None) -> Result:
    """Running products along `dim`."""
    x = raw(input) if dtype is None else raw(input).astype(dtype)
    axis = axis_of(dim, x.ndim, "cumprod")
    if x.ndim == 0:
        return clone(input)
    y = np.cumprod(x, axis)
    if not isinstance(input, TensorBase):
        return y

    def backward(g: Array) -> tuple[Array]:
        # By pairs, so that zeros are no exception: d y[j] / d x[i] is the product without x[i].
        xs, gs = np.moveaxis(x, axis, -1), np.moveaxis(g, axis, -1)
        gx = np.zeros_like(gs)
        for i in range(xs.shape[-1]):
            rest = xs.copy()
            rest[..., i] = 1
            gx[..., i] = (np.cumprod(rest, -1) * gs)[..., i:].sum(-1)
        return (np.moveaxis(gx, -1, axis).astype(g.dtype),)

    return record("Cumprod", y, (input,), backward, saves=(input,))


def multinomial(
    input: Operand, num_samples: int, replacement: bool = False, *, generator: Any = None
) -> Result:
    """Indices drawn with probabilities proportional to `input`.

    Parameters
    ----------
    input : (C,) or (N, C)
        None negative.
    num_samples : int
        For each row.
    replacement : bool
        Whether an index may come again.
    generator : Generator, optional

    Returns
    -------
    array or Tensor
        int64, (num_samples,) or (N, num_samples).

    Raises
    ------
    ValueError
        If rows are no probabilities, or too few are positive to draw without replacement.
    """
    x = np.asarray(raw(input), np.float64)
    rng = generator or default_generator()
    if x.ndim not in (1, 2) or num_samples < 1:
        raise ValueError(
            "multinomial: input must be (C,) or (N, C) and num_samples positive, got "
            f"{x.shape} and {num_samples}"
        )
    rows = np.atleast_2d(x)
    if not (np.isfinite(rows).all() and (rows >= 0).all() and (rows.sum(1) > 0).all()):
        raise ValueError("multinomial: input must be finite, not negative, and not all zero")
    if not replacement and (np.count_nonzero(rows, 1) < num_samples).any():
        raise ValueError(
            f"multinomial: cannot draw {num_samples} without replacement from fewer positive values"
        )
    drawn = [rng.choice(len(r), num_samples, replacement, r / r.sum()) for r in rows]
    found = np.asarray(drawn, np.int64).reshape(*x.shape[:-1], num_samples)
    return _like(input, found)
