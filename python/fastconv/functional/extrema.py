"""The largest and the smallest values, where they are, and whether all or any are true."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record, wrap
from ._tools import array_first, axes_of, axis_of, numpy_names
from .reduction import expanded

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "max",
    "min",
]


class Extremum(NamedTuple):
    """Values along an axis and where they were found."""

    values: Any
    indices: Any


def _along(name: str, input: Operand, dim: int, keepdim: bool, find: Any) -> Extremum:
    """Values and indices that ``find`` picks along one axis; the gradient goes to them alone."""
    x = raw(input)
    axis = axis_of(dim, x.ndim, name.lower())
    if x.ndim == 0:
        indices = np.zeros((), np.int64)
        values = np.array(x)
    else:
        kept = np.expand_dims(find(x, axis=axis), axis)
        values = np.take_along_axis(x, kept, axis)
        indices = kept
        if not keepdim:
            values, indices = values.squeeze(axis), kept.squeeze(axis)
    if not isinstance(input, TensorBase):
        return Extremum(values, indices)
    shape = x.shape

    def backward(g: Array) -> tuple[Array]:
        gx = np.zeros(shape, g.dtype)
        if not shape:
            return (gx + g,)
        np.put_along_axis(gx, kept, g if keepdim else np.expand_dims(g, axis), axis)
        return (gx,)

    return Extremum(record(name, values, (input,), backward), wrap(indices))


def _spread(name: str, input: Operand, dim: Any, keepdim: bool, reduce: Any) -> Result:
    """An extremum over several axes; equal extrema share the gradient."""
    x = raw(input)
    axes = axes_of(dim, x.ndim, name.lower())
    y = np.asarray(reduce(x, axis=axes, keepdims=keepdim))
    if not isinstance(input, TensorBase):
        return y
    ndim = x.ndim

    def backward(g: Array) -> tuple[Array]:
        hit = x == expanded(y, axes, keepdim, ndim)
        share = hit / hit.sum(axes, keepdims=True)
        return ((expanded(g, axes, keepdim, ndim) * share).astype(g.dtype),)

    return record(name, y, (input,), backward, saves=(input,))


@numpy_names
def max(input: Operand, dim: Any = None, keepdim: bool = False) -> Result:
    """The largest value: of all, or along `dim` as ``(values, indices)``, or of two operands.

    Parameters
    ----------
    input : array of any shape
    dim : int, or array
        An axis, or a second operand, which broadcasts.
    keepdim : bool
        Keep the axis, with extent 1.

    Returns
    -------
    array or Tensor, or values and indices
        The first of equal ones has the index and the whole gradient.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    if dim is None:
        return _spread("Max", input, None, False, np.max)
    if not isinstance(dim, (int, np.integer)):
        from .arithmetic import maximum

        return maximum(input, dim)
    array_first("max", input)
    return _along("Max", input, int(dim), keepdim, np.argmax)


@numpy_names
def min(input: Operand, dim: Any = None, keepdim: bool = False) -> Result:
    """The smallest value: of all, or along `dim` as ``(values, indices)``, or of two operands.

    Parameters
    ----------
    input : array of any shape
    dim : int, or array
        An axis, or a second operand, which broadcasts.
    keepdim : bool
        Keep the axis, with extent 1.

    Returns
    -------
    array or Tensor, or values and indices
        The first of equal ones has the index and the whole gradient.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    if dim is None:
        return _spread("Min", input, None, False, np.min)
    if not isinstance(dim, (int, np.integer)):
        from .arithmetic import minimum

        return minimum(input, dim)
    array_first("min", input)
    return _along("Min", input, int(dim), keepdim, np.argmin)


@numpy_names
def amax(input: Operand, dim: Any = None, keepdim: bool = False) -> Result:
    """The largest value over `dim`; equal ones share the gradient.

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
    return _spread("Amax", input, dim, keepdim, np.max)


@numpy_names
def amin(input: Operand, dim: Any = None, keepdim: bool = False) -> Result:
    """The smallest value over `dim`; equal ones share the gradient.

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
    return _spread("Amin", input, dim, keepdim, np.min)


def _plain(input: Operand, y: Any) -> Result:
    y = np.asarray(y)
    return wrap(y) if isinstance(input, TensorBase) else y


@numpy_names
def argmax(input: Operand, dim: int | None = None, keepdim: bool = False) -> Result:
    """Where the largest value is: in the flattened input, or along `dim`.

    Parameters
    ----------
    input : array of any shape
    dim : int, optional
        The axis that goes; left out, the flattened input counts.
    keepdim : bool
        Keep them, with extent 1.

    Returns
    -------
    array or Tensor
        int64; the first of equal ones.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    return _plain(input, _where_is(np.argmax, raw(input), dim, keepdim))


@numpy_names
def argmin(input: Operand, dim: int | None = None, keepdim: bool = False) -> Result:
    """Where the smallest value is: in the flattened input, or along `dim`.

    Parameters
    ----------
    input : array of any shape
    dim : int, optional
        The axis that goes; left out, the flattened input counts.
    keepdim : bool
        Keep them, with extent 1.

    Returns
    -------
    array or Tensor
        int64; the first of equal ones.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    return _plain(input, _where_is(np.argmin, raw(input), dim, keepdim))


def _where_is(find: Any, x: Array, dim: int | None, keepdim: bool) -> Array:
    if dim is not None:
        axis = axis_of(dim, x.ndim, find.__name__)
    if dim is None or x.ndim == 0:
        found = np.asarray(find(x))
        return found.reshape((1,) * x.ndim) if keepdim else found
    found = np.asarray(find(x, axis=axis))
    return np.expand_dims(found, axis) if keepdim else found


@numpy_names
def all(input: Operand, dim: Any = None, keepdim: bool = False) -> Result:
    """Whether all values are true.

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
        bool, without the axes `dim`.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    x = raw(input)
    return _plain(input, np.all(x, axes_of(dim, x.ndim, "all"), keepdims=keepdim))


@numpy_names
def any(input: Operand, dim: Any = None, keepdim: bool = False) -> Result:
    """Whether any value is true.

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
        bool, without the axes `dim`.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    x = raw(input)
    return _plain(input, np.any(x, axes_of(dim, x.ndim, "any"), keepdims=keepdim))


@numpy_names
def count_nonzero(input: Operand, dim: Any = None) -> Result:
    """How many values are not zero."""
    x = raw(input)
    return _plain(input, np.count_nonzero(x, axes_of(dim, x.ndim, "count_nonzero")))
