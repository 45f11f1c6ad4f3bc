"""Writing to places that indices name: the way back from `gather` and `index_select`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record
from ._tools import axis_of, wanted_shape

__all__ = ["index_add", "index_copy", "index_fill", "scatter", "scatter_add"]


def _places(name: str, x: Array, dim: int, index: Any) -> tuple[Any, ...]:
    """What to index `x` with for the elements that `index` names along `dim`."""
    i = np.asarray(raw(index))
    axis = axis_of(dim, x.ndim, name)
    if i.dtype.kind not in "iu":
        raise TypeError(f"{name}: index must be integers, got {i.dtype}")
    if i.size == 0:
        return (np.zeros(i.shape, np.int64),) * x.ndim
    shape = x.shape or (1,)
    if i.ndim != x.ndim or any(
        n > m for a, (n, m) in enumerate(zip(i.shape, shape, strict=False)) if a != axis
    ):
        raise ValueError(
            f"{name}: index must have the axes of input {x.shape}, none longer but dim {dim}, "
            f"got shape {i.shape}"
        )
    if i.min() < 0 or i.max() >= shape[axis]:
        worst = i.min() if i.min() < 0 else i.max()
        raise IndexError(f"{name}: index {worst} is out of bounds for extent {shape[axis]}")
    places: list[Any] = list(np.indices(i.shape, sparse=True))
    if places:
        places[axis] = i
    return tuple(places)


def _written(
    name: str, input: Operand, places: Any, values: Operand, adds: bool, scale: Any = 1
) -> Result:
    """`input` with `values` put or added at `places`."""
    x, v = raw(input), np.asarray(raw(values))
    y = np.array(x)
    if adds:
        np.add.at(y, places, (v * scale if scale != 1 else v).astype(x.dtype, copy=False))
    else:
        y[places] = v
    if not (isinstance(input, TensorBase) or isinstance(values, TensorBase)):
        return y
    value_shape = wanted_shape(values)

    def backward(g: Array) -> tuple[Array | None, ...]:
        gv = None
        if value_shape is not None:
            gv = (g[places] * scale).astype(g.dtype, copy=False)
            gv = gv if value_shape else np.asarray(gv.sum())
        if adds:
            return g, gv
        gx = g.copy()
        gx[places] = 0
        return gx, gv

    return record(name, y, (input, values), backward)


def scatter(
    input: Operand,
    dim: int,
    index: Operand,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Result:
    """`input` with values put where `index` names a place along `dim`.

    Parameters
    ----------
    input : array of any shape
    dim : int
    index : integers
        With as many axes as `input`, no extent larger but along `dim`.
    src : array, or float
        At least as large as `index` along every axis: ``out[index[i, j], j] = src[i, j]`` for
        ``dim=0``. `value` is another name for a float.
    reduce : {"add", "multiply"}, optional
        Add to or multiply what is there, without a gradient for "multiply". Where an index comes
        twice, a plain value that wins is the last.

    Returns
    -------
    array or Tensor
        Of the input's shape.

    Raises
    ------
    IndexError
        If an index lies outside.
    ValueError
        If shapes do not fit, or for another `reduce`.
    """
    if reduce not in (None, "add", "multiply"):
        raise ValueError(f"scatter: reduce must be 'add' or 'multiply', got {reduce!r}")
    x, src = raw(input), value if src is None else src
    if src is None:
        raise TypeError("scatter: give src or value")
    places = _places("scatter", x, dim, index)
    src = _cut("scatter", src, np.shape(raw(index)), x.dtype)
    if reduce == "multiply":
        y = x.copy()
        np.multiply.at(y, places, np.asarray(raw(src)).astype(x.dtype))
        return record("Scatter", y, (), lambda g: ()) if isinstance(input, TensorBase) else y
    return _written("Scatter", input, places, src, reduce == "add")


def _cut(name: str, src: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """The part of `src` that an index of this shape reads; numbers as they are."""
    own, kind = np.shape(raw(src)), getattr(raw(src), "dtype", dtype)
    if kind != dtype:
        raise TypeError(f"{name}: src must be {dtype} like input, got {kind}")
    if own in ((), shape):
        return src
    if len(own) != len(shape) or any(n < m for n, m in zip(own, shape, strict=True)):
        raise ValueError(f"{name}: src must be at least as large as index {shape}, got {own}")
    return src[tuple(slice(n) for n in shape)]


def scatter_add(input: Operand, dim: int, index: Operand, src: Operand) -> Result:
    """:func:`scatter` that adds: where an index comes twice, both values count."""
    places = _places("scatter_add", raw(input), dim, index)
    src = _cut("scatter_add", src, np.shape(raw(index)), raw(input).dtype)
    return _written("ScatterAdd", input, places, src, True)


def _slices(name: str, input: Operand, dim: int, index: Any) -> tuple[Any, ...]:
    """What to index with for the slices of `input` along `dim` that `index` names."""
    i, x = np.asarray(raw(index)), raw(input)
    axis = axis_of(dim, x.ndim, name)
    if i.dtype.kind not in "iu" or i.ndim > 1:
        raise TypeError(f"{name}: index must be a row of integers, got {i.dtype} of {i.shape}")
    extent = x.shape[axis] if x.ndim else 1
    if i.size and not (-extent <= i.min() and i.max() < extent):
        raise IndexError(f"{name}: index must lie below {extent}, got {i.max()}")
    if not x.ndim:  # a single number counts as one axis
        return () if i.size else (np.False_,)
    return (*(slice(None),) * axis, np.atleast_1d(i))


def _fitting(name: str, input: Operand, dim: int, index: Any, source: Any) -> None:
    x, count = raw(input), np.size(raw(index))
    axis = axis_of(dim, x.ndim, name)
    wanted = (*x.shape[:axis], count, *x.shape[axis + 1 :]) if x.ndim else ()
    if np.shape(raw(source)) != wanted:
        raise ValueError(f"{name}: source must have shape {wanted}, got {np.shape(raw(source))}")


def index_add(
    input: Operand, dim: int, index: Operand, source: Operand, *, alpha: float = 1
) -> Result:
    """`input` with the slices of ``alpha * source`` added where `index` says.

    Parameters
    ----------
    input : array of any shape
    dim : int
    index : (K,) integers
    source : array
        Like `input`, with extent K along `dim`.
    alpha : float

    Returns
    -------
    array or Tensor
        Of the input's shape.

    Raises
    ------
    ValueError
        If `source` does not fit.
    """
    places = _slices("index_add", input, dim, index)
    _fitting("index_add", input, dim, index, source)
    return _written("IndexAdd", input, places, source, True, alpha)


def index_copy(input: Operand, dim: int, index: Operand, source: Operand) -> Result:
    """`input` with the slices of `source` in place of those that `index` names."""
    places = _slices("index_copy", input, dim, index)
    _fitting("index_copy", input, dim, index, source)
    return _written("IndexCopy", input, places, source, False)


def index_fill(input: Operand, dim: int, index: Operand, value: Any) -> Result:
    """`input` with one value in the slices that `index` names."""
    index = np.unique(raw(index)) if np.size(raw(index)) else index  # the value counts once a slice
    return _written("IndexFill", input, _slices("index_fill", input, dim, index), value, False)
