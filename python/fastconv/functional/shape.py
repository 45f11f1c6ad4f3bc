"""Views and rearrangements: the gradient is the same rearrangement backwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, needs_grad, raw, record, record_many
from ._tools import axes_of, axis_of, flat_ints, numpy_names, sum_to
from .indexing import index_select

__all__ = [
    "broadcast_to",
    "cat",
    "chunk",
    "concat",
    "expand",
    "flatten",
    "flip",
    "movedim",
    "narrow",
    "permute",
    "repeat",
    "repeat_interleave",
    "reshape",
    "roll",
    "select",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "t",
    "tile",
    "transpose",
    "unbind",
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
    known = int(np.prod([n for n in shape if n != -1]))
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
    extent = int(np.prod(x.shape[first : last + 1]))
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


# ---- joining and cutting -------------------------------------------------------------------------


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
    ends = np.cumsum([a.shape[axis] for a in arrays])[:-1]
    needed = [needs_grad(v) for v in given]

    def backward(g: Array) -> list[Array | None]:
        return [p if n else None for p, n in zip(np.split(g, ends, axis), needed, strict=True)]

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
