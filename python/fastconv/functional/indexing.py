"""Picking elements by index, and putting their gradients back."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, assign, needs_grad, raw, record, wrap
from ._tools import axis_of, sum_to, wanted_shape

__all__ = [
    "gather",
    "getitem",
    "index_select",
    "masked_select",
    "nonzero",
    "one_hot",
    "setitem",
    "take_along_dim",
    "tril",
    "triu",
]


def _plain(index: Any) -> Any:
    """An index with the arrays of its tensors."""
    if isinstance(index, tuple):
        return tuple(_plain(i) for i in index)
    if isinstance(index, TensorBase):
        return index._array.item() if index._array.shape == () else index._array
    return index


def _is_basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        i is None or i is Ellipsis or type(i) is int or isinstance(i, (np.integer, slice))
        for i in parts
    )


def getitem(input: Operand, index: Any) -> Result:
    """``input[index]`` as NumPy has it: a view for slices, a copy for lists, arrays and masks."""
    x = raw(input)
    where = _plain(index)
    y = x[where]
    if not isinstance(input, TensorBase):
        return y
    shape, basic = x.shape, _is_basic(where)

    def backward(g: Array) -> tuple[Array]:
        gx = np.zeros(shape, g.dtype)
        if basic:
            gx[where] = g
        else:
            np.add.at(gx, where, g)
        return (gx,)

    return record("Index", np.asarray(y), (input,), backward, view_of=input)


def setitem(input: TensorBase, index: Any, value: Any) -> None:
    """``input[index] = value``."""
    where = _plain(index)
    v = np.asarray(raw(value))
    if not (needs_grad(input) or needs_grad(value)):
        input._before_change()
        input._array[where] = v
        input._touch()
        return
    y = input._array.copy()
    y[where] = v
    value_shape = wanted_shape(value)

    def backward(g: Array) -> tuple[Array | None, ...]:
        gx = g.copy()
        gx[where] = 0
        return gx, sum_to(g[where], value_shape)

    assign(input, record("SetItem", y, (input, value), backward))


def index_select(input: Operand, dim: int, index: Operand) -> Result:
    """The slices along `dim` that `index` names."""
    axis = axis_of(dim, raw(input).ndim, "index_select")
    if raw(input).ndim == 0:
        return getitem(getitem(input, None), 0)
    return getitem(input, (slice(None),) * axis + (np.asarray(raw(index)),))


def gather(input: Operand, dim: int, index: Operand) -> Result:
    """For each position the element along `dim` that `index` names there.

    Parameters
    ----------
    input : array of any shape
    dim : int
    index : integers
        With as many axes as `input`, no extent larger but along `dim`.

    Returns
    -------
    array or Tensor
        Of the shape of `index`: ``out[i, j] = input[index[i, j], j]`` for ``dim=0``.

    Raises
    ------
    IndexError
        If an index lies outside.
    """
    x, i = raw(input), np.asarray(raw(index))
    axis = axis_of(dim, x.ndim, "gather")
    if x.ndim == 0:  # a single number counts as one axis
        return getitem(getitem(input, None), i)
    if i.dtype.kind not in "iu":
        raise TypeError(f"gather: index must be integers, got {i.dtype}")
    if i.size == 0:
        return getitem(input, (np.zeros(i.shape, np.int64),) * x.ndim)
    if i.ndim != x.ndim or any(
        n > m for a, (n, m) in enumerate(zip(i.shape, x.shape, strict=True)) if a != axis
    ):
        raise ValueError(
            f"gather: index must have the axes of input {x.shape}, none longer but dim {dim}, "
            f"got shape {i.shape}"
        )
    if i.min() < 0 or i.max() >= x.shape[axis]:
        raise IndexError(
            f"gather: index {i.min() if i.min() < 0 else i.max()} is out of bounds for "
            f"extent {x.shape[axis]}"
        )
    # Along the other axes `index` may be shorter than `input`.
    cut = tuple(slice(None) if a == axis else slice(n) for a, n in enumerate(i.shape))
    y = np.take_along_axis(x[cut], i, axis)
    if not isinstance(input, TensorBase):
        return y
    shape = x.shape

    def backward(g: Array) -> tuple[Array]:
        gx = np.zeros(shape, g.dtype)
        places: list[Any] = list(np.indices(i.shape, sparse=True))
        places[axis] = i
        np.add.at(gx, tuple(places), g)
        return (gx,)

    return record("Gather", y, (input,), backward)


def take_along_dim(input: Operand, indices: Operand, dim: int | None = None) -> Result:
    """As :func:`gather`, the other axes broadcast; without `dim` from the flattened input."""
    from .shape import broadcast_to, flatten

    x, i = raw(input), np.asarray(raw(indices))
    if i.dtype.kind not in "iu":
        raise TypeError(f"take_along_dim: indices must be integers, got {i.dtype}")
    if dim is None:
        return gather(flatten(input), 0, i.reshape(-1))
    axis = axis_of(dim, x.ndim, "take_along_dim")
    if i.ndim != x.ndim:
        raise ValueError(
            f"take_along_dim: indices must have the {x.ndim} axes of input, got shape {i.shape}"
        )
    i = np.where(i < 0, i + x.shape[axis], i)  # from the end
    ones = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    lead = np.broadcast_shapes(ones, (*i.shape[:axis], 1, *i.shape[axis + 1 :]))
    full = [(*lead[:axis], n, *lead[axis + 1 :]) for n in (x.shape[axis], i.shape[axis])]
    return gather(broadcast_to(input, full[0]), dim, np.broadcast_to(i, full[1]))


def masked_select(input: Operand, mask: Operand) -> Result:
    """The elements where `mask` is true, in one row; both are broadcast to one shape."""
    from .shape import broadcast_to

    m = np.asarray(raw(mask))
    if m.dtype != np.bool_:
        raise TypeError(f"masked_select: mask must be bool, got {m.dtype}")
    shape = np.broadcast_shapes(raw(input).shape, m.shape)
    return getitem(broadcast_to(input, shape), np.broadcast_to(m, shape))


def nonzero(input: Operand, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not zero.

    Parameters
    ----------
    input : array of any shape
    as_tuple : bool
        One array of indices for each axis, to index with, instead of one row for each element.

    Returns
    -------
    array or Tensor, or a tuple of them
        int64, (found, axes), or (found,) each.
    """
    x = np.atleast_1d(raw(input)) if as_tuple else raw(input)
    found = np.nonzero(x) if as_tuple else np.argwhere(x)
    if not isinstance(input, TensorBase):
        return found
    return tuple(wrap(i) for i in found) if isinstance(found, tuple) else wrap(found)


def _band(name: str, input: Operand, diagonal: int, cut: Any) -> Result:
    x = raw(input)
    if x.ndim < 2:
        raise ValueError(f"{name.lower()}: input must have at least 2 axes, got shape {x.shape}")
    y = cut(x, diagonal)
    if not isinstance(input, TensorBase):
        return y
    return record(name, y, (input,), lambda g: (cut(g, diagonal),))


def tril(input: Operand, diagonal: int = 0) -> Result:
    """The lower triangle, zeros elsewhere."""
    return _band("Tril", input, diagonal, np.tril)


def triu(input: Operand, diagonal: int = 0) -> Result:
    """The upper triangle, zeros elsewhere."""
    return _band("Triu", input, diagonal, np.triu)


def one_hot(tensor: Operand, num_classes: int = -1) -> Result:
    """Class numbers as rows of zeros with a one at the class; a new last axis."""
    t = np.asarray(raw(tensor))
    if t.dtype.kind not in "iu":
        raise TypeError(f"one_hot: expected integer class numbers, got {t.dtype}")
    if t.size and t.min() < 0:
        raise ValueError("one_hot: class values must be non-negative")
    classes = (int(t.max()) + 1 if t.size else 0) if num_classes == -1 else num_classes
    if t.size and t.max() >= classes:
        raise ValueError(f"one_hot: class {int(t.max())} does not fit into {classes} classes")
    y = (t[..., None] == np.arange(classes)).astype(np.int64)
    return wrap(y) if isinstance(tensor, TensorBase) else y
