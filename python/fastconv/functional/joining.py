"""Joining along an axis, and cutting along one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, needs_grad, raw, record, record_many
from ._tools import axis_of, numpy_names
from .shape import squeeze, unsqueeze

__all__ = [
    "cat",
    "chunk",
    "concat",
    "narrow",
    "select",
    "split",
    "stack",
    "unbind",
]


@numpy_names
def cat(tensors: Sequence[Operand], dim: int = 0) -> Result:
    """Joined along an axis; empty one-dimensional tensors are left out, as PyTorch does.

    Parameters
    ----------
    tensors : sequence of arrays
        Of one shape but along `dim`.
    dim : int

    Returns
    -------
    array or Tensor

    Raises
    ------
    ValueError
        If shapes differ elsewhere.
    RuntimeError
        If there are none.
    """
    given = list(tensors)
    if dim == 1:
        for v in given:
            beside = v._beside(given) if isinstance(v, TensorBase) else None
            if beside is not None:
                return beside
    if not given:
        raise RuntimeError("cat: expected a non-empty list of tensors")
    for i, v in enumerate(given):
        if not isinstance(v, (TensorBase, np.ndarray)):
            raise TypeError(f"cat: expected a tensor at position {i}, got {type(v).__name__}")
    shapes = [v.shape for v in given]
    if (0,) in shapes:
        given = [v for v, shape in zip(given, shapes, strict=True) if shape != (0,)] or given[:1]
        shapes = [v.shape for v in given]
    first = shapes[0]
    axis = axis_of(dim, len(first), "cat")
    for i, shape in enumerate(shapes[1:], 1):
        if len(shape) != len(first) or any(
            n != m for k, (n, m) in enumerate(zip(shape, first, strict=True)) if k != axis
        ):
            raise ValueError(
                f"cat: shapes must agree except along dim {dim}, but input 0 has {first} and "
                f"input {i} has {shape}"
            )
    if axis == 1 and dim != 1:
        return cat(given, 1)
    arrays = [raw(v) for v in given]
    y = np.concatenate(arrays, axis)
    if not any(isinstance(v, TensorBase) for v in given):
        return y
    ends = [*itertools.accumulate([a.shape[axis] for a in arrays], initial=0)]
    places = [
        (*(slice(None),) * axis, slice(*ends[i : i + 2])) if needs_grad(v) else None
        for i, v in enumerate(given)
    ]

    def backward(g: Array) -> list[Array | None]:
        return [None if place is None else g[place] for place in places]

    return record("Cat", y, given, backward)


concat = cat


@numpy_names
def stack(tensors: Sequence[Operand], dim: int = 0) -> Result:
    """Joined along a new axis.

    Parameters
    ----------
    tensors : sequence of arrays of one shape
    dim : int
        Where the new axis stands.

    Returns
    -------
    array or Tensor

    Raises
    ------
    ValueError
        If shapes differ.
    """
    given = list(tensors)
    if not given:
        raise RuntimeError("stack: expected a non-empty list of tensors")
    return cat([unsqueeze(v, axis_of(dim, raw(v).ndim + 1, "stack")) for v in given], dim)


@numpy_names
def split(tensor: Operand, split_size_or_sections: Any, dim: int = 0) -> tuple[Result, ...]:
    """Cut along `dim`.

    Parameters
    ----------
    tensor : array of any shape
    split_size_or_sections : int or ints
        The extent of each piece (the last may be smaller), or of all of them.
    dim : int

    Returns
    -------
    array or Tensor
        Views, as a tuple.

    Raises
    ------
    ValueError
        If the sizes do not add up to the extent.
    """
    x, split_size = raw(tensor), split_size_or_sections
    axis = axis_of(dim, x.ndim, "split")
    extent = x.shape[axis]
    if isinstance(split_size, (int, np.integer)):
        if split_size <= 0:
            raise ValueError(f"split: split_size must be positive, got {split_size}")
        ends = list(range(int(split_size), extent, int(split_size)))
    else:
        sizes = [int(n) for n in split_size]
        if sum(sizes) != extent or any(n < 0 for n in sizes):
            raise ValueError(f"split: sizes {sizes} do not add up to the extent {extent}")
        ends = [int(e) for e in np.cumsum(sizes)[:-1]]
    pieces = np.split(x, ends, axis)
    if not isinstance(tensor, TensorBase):
        return tuple(pieces)

    def backward(*grads: Array | None) -> tuple[Array]:
        first = next(g for g in grads if g is not None)
        filled = [
            np.zeros(p, first.dtype) if g is None else g for g, p in zip(grads, shapes, strict=True)
        ]
        return (np.concatenate(filled, axis),)

    shapes = [p.shape for p in pieces]
    results = record_many("Split", pieces, (tensor,), backward)
    for result in results:
        result._share(tensor)
    return results


@numpy_names
def chunk(input: Operand, chunks: int, dim: int = 0) -> tuple[Result, ...]:
    """Cut along `dim` into at most `chunks` pieces of equal size, the last maybe smaller.

    Parameters
    ----------
    input : array of any shape
    chunks : int
    dim : int

    Returns
    -------
    tuple of arrays or Tensors
        Views.

    Raises
    ------
    ValueError
        If `chunks` is not positive.
    """
    if chunks < 1:
        raise ValueError(f"chunk: chunks must be at least 1, got {chunks}")
    x = raw(input)
    extent = x.shape[axis_of(dim, x.ndim, "chunk")]
    return split(input, max(-(-extent // chunks), 1), dim)


@numpy_names
def unbind(input: Operand, dim: int = 0) -> tuple[Result, ...]:
    """All slices along `dim`, without that axis."""
    return tuple(squeeze(piece, dim) for piece in split(input, 1, dim))


@numpy_names
def select(input: Operand, dim: int, index: int) -> Result:
    """One slice along `dim`, without that axis."""
    axis = axis_of(dim, raw(input).ndim, "select")
    return input[(slice(None),) * axis + (index,)]


@numpy_names
def narrow(input: Operand, dim: int, start: int, length: int) -> Result:
    """`length` slices along `dim` from `start` on."""
    axis = axis_of(dim, raw(input).ndim, "narrow")
    if np.asarray(raw(start)).dtype.kind not in "iu":
        raise TypeError(f"narrow: start must be a whole number, got {start!r}")
    extent, start = raw(input).shape[axis], int(raw(start))
    if not -extent <= start <= extent:
        raise IndexError(
            f"narrow: start out of range (expected to be in range of [{-extent}, {extent}], "
            f"but got {start})"
        )
    start += extent if start < 0 else 0
    if length < 0:
        raise ValueError("narrow: length must be non-negative.")
    if start + length > extent:
        raise ValueError(
            f"narrow: start ({start}) + length ({length}) exceeds dimension size ({extent})."
        )
    return input[(slice(None),) * axis + (slice(start, start + length),)]
