"""Views and rearrangements: the gradient is the same rearrangement backwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record
from ._tools import axes_of, axis_of, flat_ints, numpy_names, sum_to
from .indexing import index_select

__all__ = [
    "broadcast_to",
    "expand",
    "flatten",
    "flip",
    "movedim",
    "permute",
    "repeat",
    "repeat_interleave",
    "reshape",
    "roll",
    "squeeze",
    "swapaxes",
    "t",
    "tile",
    "transpose",
    "unflatten",
    "unsqueeze",
    "view",
]


def reshape(input: Operand, *dims: Any, shape: Any = None) -> Result:
    """The same values in another shape; one extent may be -1. Copies only where it must.

    Parameters
    ----------
    input : array of any shape
    *dims, shape : ints
        The extents, or one sequence of them.

    Returns
    -------
    array or Tensor
        A view where the strides allow one.

    Raises
    ------
    RuntimeError
        If the extents do not make up the input's number of elements.
    """
    x = raw(input)
    y = x.reshape(_checked_shape(x, flat_ints(dims if shape is None else shape), "reshape"))
    return _reshaped(input, x, y)


def view(input: Operand, *shape: Any) -> Result:
    """As :func:`reshape`, but never a copy: RuntimeError where the strides do not allow a view."""
    x = raw(input)
    y = x.reshape(_checked_shape(x, flat_ints(shape), "view"))
    if y.size and not np.may_share_memory(x, y):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride "
            f"(shape {x.shape}, strides {x.strides}). Use .reshape(...) instead."
        )
    return _reshaped(input, x, y)


def _checked_shape(x: Array, shape: tuple[int, ...], function: str) -> tuple[int, ...]:
    known = math.prod([n for n in shape if n != -1])
    free = shape.count(-1)
    if (
        free > 1
        or any(n < -1 for n in shape)
        or (free == 0 and known != x.size)
        or (free == 1 and (known == 0 or x.size % known))
    ):
        raise RuntimeError(f"{function}: shape {shape} is invalid for input of size {x.size}")
    return shape


def _reshaped(input: Operand, x: Array, y: Array) -> Result:
    if not isinstance(input, TensorBase):
        return y
    shape = x.shape
    return record("View", y, (input,), lambda g: (g.reshape(shape),), view_of=input)


def flatten(input: Operand, start_dim: int = 0, end_dim: int = -1) -> Result:
    """Axes `start_dim` to `end_dim` as one.

    Parameters
    ----------
    input : array of any shape
    start_dim, end_dim : int
        The first and the last of the axes that become one.

    Returns
    -------
    array or Tensor
        A view where the strides allow one.

    Raises
    ------
    IndexError
        If there is no such axis.
    """
    x = raw(input)
    if x.ndim == 0:
        return _reshaped(input, x, x.reshape(1))
    first, last = (axis_of(d, x.ndim, "flatten") for d in (start_dim, end_dim))
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    extent = math.prod(x.shape[first : last + 1])
    return _reshaped(input, x, x.reshape((*x.shape[:first], extent, *x.shape[last + 1 :])))


def unflatten(input: Operand, dim: int, sizes: Sequence[int]) -> Result:
    """Axis `dim` as several axes of the given extents."""
    x = raw(input)
    axis = axis_of(dim, x.ndim, "unflatten")
    return reshape(input, (*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))


@numpy_names
def squeeze(input: Operand, dim: Any = None) -> Result:
    """Without the axes of extent 1 (all, or those among `dim`)."""
    x = raw(input)
    axes = axes_of(dim, x.ndim, "squeeze")
    chosen = (range(x.ndim) if dim is None else ()) if axes is None else axes
    single = tuple(a for a in chosen if x.shape[a] == 1)
    return _reshaped(input, x, x.squeeze(single))


@numpy_names
def unsqueeze(input: Operand, dim: int) -> Result:
    """With a new axis of extent 1 at `dim`."""
    x = raw(input)
    axis = axis_of(dim, x.ndim + 1, "unsqueeze")
    return _reshaped(input, x, np.expand_dims(x, axis))


def permute(input: Operand, *axes: Any, dims: Any = None) -> Result:
    """The axes in another order.

    Parameters
    ----------
    input : array of any shape
    *axes, dims : ints
        For each axis of the result, which of the input's it is.

    Returns
    -------
    array or Tensor
        A view.

    Raises
    ------
    RuntimeError
        If an axis is not named.
    """
    x = raw(input)
    named = flat_ints(axes if dims is None else dims)
    order = axes_of(named, x.ndim, "permute") or ()
    if len(order) != x.ndim:
        raise RuntimeError(f"permute: dims must name each of the {x.ndim} axes once, got {named}")
    y = x.transpose(order)
    if not isinstance(input, TensorBase):
        return y
    back = np.argsort(order) if order else ()
    return record("Permute", y, (input,), lambda g: (g.transpose(back),), view_of=input)


def transpose(input: Operand, dim0: int, dim1: int) -> Result:
    """With two axes exchanged."""
    x = raw(input)
    a, b = (axis_of(d, x.ndim, "transpose") for d in (dim0, dim1))
    y = np.swapaxes(x, a, b) if x.ndim else x
    if not isinstance(input, TensorBase):
        return y
    return record(
        "Transpose",
        y,
        (input,),
        lambda g: (np.swapaxes(g, a, b) if g.ndim else g,),
        view_of=input,
    )


swapaxes = transpose


def t(input: Operand) -> Result:
    """A matrix transposed; fewer axes stay as they are."""
    x = raw(input)
    if x.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {x.ndim}D")
    return transpose(input, 0, -1)


def movedim(input: Operand, source: Any, destination: Any) -> Result:
    """Axes moved from `source` to `destination`, the others keeping their order."""
    ndim = raw(input).ndim
    return permute(input, _moved(ndim, source, destination))


def _moved(ndim: int, source: Any, destination: Any) -> tuple[int, ...]:
    src = axes_of(source, ndim, "movedim") or ()
    dst = axes_of(destination, ndim, "movedim") or ()
    order = [a for a in range(ndim) if a not in src]
    for d, s in sorted(zip(dst, src, strict=True)):
        order.insert(d, s)
    return tuple(order)


def broadcast_to(input: Operand, shape: Sequence[int]) -> Result:
    """Axes of extent 1 repeated, without a copy, up to `shape`."""
    x = raw(input)
    y = np.broadcast_to(x, shape)
    if not isinstance(input, TensorBase):
        return y
    small = x.shape
    return record("Expand", y, (input,), lambda g: (sum_to(g, small),), view_of=input)


def expand(input: Operand, *sizes: Any) -> Result:
    """As :func:`broadcast_to`; -1 keeps an extent."""
    x = raw(input)
    shape = flat_ints(sizes)
    extra = len(shape) - x.ndim
    if extra < 0 or any(n == -1 for n in shape[:extra]):
        raise RuntimeError(f"expand: shape {x.shape} cannot be expanded to {shape}")
    full = tuple(x.shape[i - extra] if n == -1 else n for i, n in enumerate(shape))
    return broadcast_to(input, full)


def repeat(input: Operand, *repeats: Any) -> Result:
    """The whole input repeated along each axis; new axes come first."""
    x = raw(input)
    times = flat_ints(repeats)
    if len(times) < x.ndim:
        raise RuntimeError(f"repeat: needs a number for each of the {x.ndim} axes, got {times}")
    y = np.tile(x, times)
    if not isinstance(input, TensorBase):
        return y
    shape = (1,) * (len(times) - x.ndim) + x.shape
    small = x.shape

    def backward(g: Array) -> tuple[Array]:
        parts = g.reshape([n for pair in zip(times, shape, strict=True) for n in pair])
        return (parts.sum(tuple(range(0, 2 * len(times), 2))).reshape(small),)

    return record("Repeat", y, (input,), backward)


def tile(input: Operand, dims: Sequence[int]) -> Result:
    """As :func:`repeat`, with missing leading numbers taken as 1."""
    missing = raw(input).ndim - len(dims)
    return repeat(input, (1,) * missing + tuple(dims))


@numpy_names
def repeat_interleave(
    input: Operand, repeats: Any, dim: int | None = None, *, output_size: int | None = None
) -> Result:
    """Each element repeated in place along `dim` (flattened without one)."""
    if dim is None:
        input, dim = flatten(input), 0
    x = raw(input)
    axis = axis_of(dim, x.ndim, "repeat_interleave")
    times = np.asarray(raw(repeats))
    if times.size != 1:  # a number for each element
        return index_select(input, axis, np.repeat(np.arange(x.shape[axis]), times))
    repeats = int(times.item())
    y = np.repeat(x, repeats, axis)
    if not isinstance(input, TensorBase):
        return y
    shape = x.shape

    def backward(g: Array) -> tuple[Array]:
        return (g.reshape((*shape[: axis + 1], repeats, *shape[axis + 1 :])).sum(axis + 1),)

    return record("RepeatInterleave", y, (input,), backward)


def flip(input: Operand, *axis: Any, dims: Any = None) -> Result:
    """The order along `dims` reversed."""
    x = raw(input)
    axes = axes_of(flat_ints(axis if dims is None else dims), x.ndim, "flip") or ()
    y = np.flip(x, axes).copy()
    if not isinstance(input, TensorBase):
        return y
    return record("Flip", y, (input,), lambda g: (np.flip(g, axes),))


def roll(input: Operand, shifts: Any, dims: Any = None) -> Result:
    """Elements shifted along `dims`, those that fall off coming in at the other end."""
    several = isinstance(shifts, (tuple, list))
    if several and not shifts:
        raise ValueError("roll: `shifts` required")
    if dims not in (None, ()) and several != isinstance(dims, (tuple, list)):
        raise ValueError(f"roll: shifts and dimensions must align, got {shifts} and {dims}")
    dims = None if dims == () else dims
    y = np.roll(raw(input), shifts, dims)
    if not isinstance(input, TensorBase):
        return y
    back = tuple(-s for s in shifts) if several else -shifts
    return record("Roll", y, (input,), lambda g: (np.roll(g, back, dims),))
