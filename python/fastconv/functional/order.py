"""Sorting, and the largest few."""

from __future__ import annotations

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record, wrap
from ._tools import axis_of, numpy_names
from .convert import clone
from .extrema import Extremum, _plain

__all__ = [
    "argsort",
    "sort",
    "topk",
]


@numpy_names
def argsort(input: Operand, dim: int = -1, descending: bool = False, stable: bool = True) -> Result:
    """The indices that sort along `dim`.

    Parameters
    ----------
    input : array of any shape
    dim : int
    descending : bool
    stable : bool
        Equal values keep their order, whether asked to or not.

    Returns
    -------
    array or Tensor
        int64, of the input's shape.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    x = raw(input)
    return _plain(input, _order(x, axis_of(dim, x.ndim, "argsort"), descending))


def _order(x: Array, axis: int, descending: bool) -> Array:
    if x.ndim == 0:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, axis, kind="stable")
    # Sorting the reversed array and reversing again keeps equal values in their order.
    last = x.shape[axis] - 1
    return np.flip(last - np.argsort(np.flip(x, axis), axis, kind="stable"), axis)


def _picked(name: str, input: Operand, indices: Array, axis: int) -> Extremum:
    x = raw(input)
    if x.ndim == 0:
        return Extremum(clone(input), _plain(input, indices))
    values = np.take_along_axis(x, indices, axis)
    if not isinstance(input, TensorBase):
        return Extremum(values, indices)
    shape = x.shape

    def backward(g: Array) -> tuple[Array]:
        gx = np.zeros(shape, g.dtype)
        np.put_along_axis(gx, indices, g, axis)
        return (gx,)

    return Extremum(record(name, values, (input,), backward), wrap(indices))


@numpy_names
def sort(input: Operand, dim: int = -1, descending: bool = False, stable: bool = True) -> Extremum:
    """Sorted values and their indices along `dim`.

    Parameters
    ----------
    input : array of any shape
    dim : int
    descending : bool
    stable : bool
        Equal values keep their order, whether asked to or not.

    Returns
    -------
    values, indices
        Both of the input's shape.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    x = raw(input)
    axis = axis_of(dim, x.ndim, "sort")
    return _picked("Sort", input, _order(x, axis, descending), axis)


@numpy_names
def topk(
    input: Operand, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Extremum:
    """The `k` largest (or smallest) values along `dim` and their indices.

    Parameters
    ----------
    input : array of any shape
    k : int
    dim : int
    largest : bool
    sorted : bool
        In order; otherwise the order is open.

    Returns
    -------
    array or Tensor
        ``(values, indices)``, both with extent k along `dim`.

    Raises
    ------
    ValueError
        If there are fewer than k values.
    """
    x = raw(input)
    axis = axis_of(dim, x.ndim, "topk")
    extent = x.shape[axis] if x.ndim else 1
    if not 0 <= k <= extent:
        raise ValueError(f"topk: k must lie in [0, {extent}], got {k}")
    order = _order(x, axis, descending=largest)
    return _picked("Topk", input, np.take(order, np.arange(k), axis) if x.ndim else order, axis)
