"""Joining and cutting by rows and columns; diagonals; windows along an axis."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record
from ._tools import axis_of
from .joining import cat, split
from .reduction import sum
from .shape import flip, permute, reshape, transpose

__all__ = ["diag", "diagonal", "fliplr", "flipud", "hstack", "ravel", "rot90", "tensor_split"]
__all__ += ["trace", "vstack"]


def _at_least(input: Operand, ndim: int) -> Result:
    return reshape(input, (1,) * (ndim - raw(input).ndim) + raw(input).shape)


def _of_axes(name: str, input: Operand, least: int) -> Operand:
    if raw(input).ndim < least:
        raise ValueError(f"{name}: input must have at least {least} axes, got {raw(input).shape}")
    return input


def hstack(tensors: Sequence[Operand]) -> Result:
    """Side by side: joined along axis 1, rows of one axis along that."""
    given = [_at_least(v, 1) if raw(v).ndim < 1 else v for v in tensors]
    return cat(given, 0 if given and raw(given[0]).ndim == 1 else 1)


def vstack(tensors: Sequence[Operand]) -> Result:
    """One below the other: joined along axis 0, rows of one axis as matrices of one row."""
    return cat([_at_least(v, 2) if raw(v).ndim < 2 else v for v in tensors], 0)


def tensor_split(input: Operand, indices_or_sections: Any, dim: int = 0) -> tuple[Result, ...]:
    """Cut along `dim` into so many pieces, or before the indices given, as NumPy does.

    Parameters
    ----------
    input : array of any shape
    indices_or_sections : int or ints
    dim : int

    Returns
    -------
    array or Tensor
        Views, as a tuple; the first ones are longer where pieces cannot be equal.
    """
    x = raw(input)
    axis = axis_of(dim, x.ndim, "tensor_split")
    extent, given = x.shape[axis], raw(indices_or_sections)
    if np.ndim(given) == 0:
        if given < 1:
            raise ValueError(f"tensor_split: the number of sections must be positive, got {given}")
        base, longer = divmod(extent, int(given))
        sizes = [base + 1] * longer + [base] * (int(given) - longer)
        return split(input, sizes, dim)
    ends = [0, *(slice(None, int(i)).indices(extent)[1] for i in given), extent]
    at = (slice(None),) * axis
    pieces = [(*at, slice(a, b)) for a, b in itertools.pairwise(ends)]
    return tuple(input[piece] for piece in pieces)


def fliplr(input: Operand) -> Result:
    """The order of the columns (axis 1) reversed."""
    return flip(_of_axes("fliplr", input, 2), 1)


def flipud(input: Operand) -> Result:
    """The order of the rows (axis 0) reversed."""
    return flip(_of_axes("flipud", input, 1), 0)


def rot90(input: Operand, k: int = 1, dims: Sequence[int] = (0, 1)) -> Result:
    """Turned `k` times by 90 degrees, from the first axis of `dims` towards the second."""
    first, second = (axis_of(d, raw(input).ndim, "rot90") for d in dims)
    if first == second:
        raise ValueError(f"rot90: dims must be two axes, got {tuple(dims)}")
    if k % 4 == 0:
        return flip(input, ())
    if k % 4 == 2:
        return flip(input, (first, second))
    return flip(transpose(input, first, second), first if k % 4 == 1 else second)


def ravel(input: Operand) -> Result:
    """All elements in one row."""
    return reshape(input, -1)


def diagonal(input: Operand, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Result:
    """The diagonal between two axes, as a new last axis; `offset` counts towards `dim2`."""
    x = raw(input)
    first, second = (axis_of(d, x.ndim, "diagonal") for d in (dim1, dim2))
    if first == second or x.ndim < 2:
        raise ValueError(f"diagonal: dim1 and dim2 must be two axes, got {dim1} and {dim2}")
    y = np.diagonal(x, offset, first, second)
    if not isinstance(input, TensorBase):
        return y
    shape = x.shape

    def backward(g: Array) -> tuple[Array]:
        gx = np.zeros(shape, g.dtype)
        line = np.arange(g.shape[-1])
        moved = np.moveaxis(gx, (first, second), (-2, -1))
        moved[..., line + max(-offset, 0), line + max(offset, 0)] = g
        return (gx,)

    return record("Diagonal", y.copy(), (input,), backward)


def diag(input: Operand, diagonal: int = 0) -> Result:
    """The diagonal of a matrix, or the matrix with this diagonal and zeros elsewhere."""
    x, line = raw(input), globals()["diagonal"]
    if x.ndim == 2:
        return line(input, diagonal)
    if x.ndim != 1:
        raise ValueError(f"diag: input must have one axis or two, got shape {x.shape}")
    y = np.diag(x, diagonal)
    if not isinstance(input, TensorBase):
        return y
    return record("Diag", y, (input,), lambda g: (np.diagonal(g, diagonal).copy(),))


def trace(input: Operand) -> Result:
    """The sum of the diagonal of a matrix."""
    if raw(input).ndim != 2:
        raise ValueError(f"trace: input must be a matrix, got shape {raw(input).shape}")
    return sum(diagonal(input))


def windows(input: Operand, dimension: int, size: int, step: int) -> Result:
    """All windows of `size` elements along an axis, every `step`: ``Tensor.unfold``.

    Returns
    -------
    array or Tensor
        With the number of windows in place of the extent, and `size` as a new last axis.

    Raises
    ------
    ValueError
        If the window is larger than the extent, or `step` is not positive.
    """
    x = raw(input)
    axis = axis_of(dimension, x.ndim, "unfold")
    extent = x.shape[axis] if x.ndim else 1
    if not 0 <= size <= extent or step < 1:
        raise ValueError(
            f"unfold: size must lie in [0, {extent}] and step be positive, got {size} and {step}"
        )
    count = (extent - size) // step + 1
    places = np.arange(count)[:, None] * step + np.arange(size)
    if not x.ndim:
        return reshape(input, 1)[:size]
    at = (*(slice(None),) * axis, places)
    y = input[at]  # (..., count, size, ...)
    order = [a for a in range(x.ndim + 1) if a != axis + 1]
    return permute(y, (*order, axis + 1))
