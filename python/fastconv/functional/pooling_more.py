"""Pooling beside the usual windows: adaptive maximum, Lp, and the way back from a maximum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Ints, Operand, Result
from ..autograd import TensorBase, needs_grad, raw, record, wrap
from ._tools import array_first, compiled, ints
from .convert import laid_out_as
from .narrow import floats_only
from .pooling import avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d, max_pool2d, max_pool3d
from .resample import adaptive_sizes

__all__ = [
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]


def _from_places(name: str, input: Operand, y: Array, places: Array, rank: int) -> Result:
    """`y` was taken from `input` at `places`, flat in each plane: its gradient goes back there."""
    if not isinstance(input, TensorBase):
        return y
    shape, dtype = raw(input).shape, raw(input).dtype

    def backward(g: Array) -> tuple[Array]:
        if compiled(g):
            return (_core.place(name, rank, g, places, shape[-rank:], True),)
        planes = math.prod(shape[: len(shape) - rank])
        gx = np.zeros((planes, math.prod(shape[-rank:])), dtype)
        rows = np.arange(planes)[:, None]
        np.add.at(gx, (rows, places.reshape(planes, -1)), g.reshape(planes, -1))
        return (gx.reshape(shape),)

    return record(name, y, (input,), backward)


# ---- adaptive maximum ----------------------------------------------------------------------------


def _adaptive_maximum(rank: int, input: Operand, output_size: Any, return_indices: bool) -> Result:
    name = f"adaptive_max_pool{rank}d"
    x = raw(array_first(name, input))
    sizes, window = adaptive_sizes(name, x, rank, output_size)
    if window and compiled(x):  # side by side: an ordinary pool
        pool = (max_pool1d, max_pool2d, max_pool3d)[rank - 1]
        return pool(input, window, return_indices=return_indices)
    if compiled(x) and not return_indices and not needs_grad(input):
        y = _core.adaptive_pool(name, rank, x, sizes, True)
        return wrap(y) if isinstance(input, TensorBase) else y
    if compiled(x):
        y, indices = _core.adaptive_max_pool(name, rank, x, sizes)
    else:
        y, indices = _largest(x, rank, sizes)
    result = _from_places(f"AdaptiveMaxPool{rank}d", input, y, indices, rank)
    if not return_indices:
        return result
    return result, (wrap(indices) if isinstance(input, TensorBase) else indices)


def _largest(x: Array, rank: int, sizes: tuple[int, ...]) -> tuple[Array, Array]:
    """Adaptive maxima of other types than the compiled ones."""
    spatial, lead = x.shape[-rank:], x.shape[: x.ndim - rank]
    y = np.empty((*lead, *sizes), x.dtype)
    indices = np.empty((*lead, *sizes), np.int64)
    flat = np.arange(math.prod(spatial)).reshape(spatial)
    for place in np.ndindex(*sizes):
        window = tuple(
            slice(i * n // o, -(-(i + 1) * n // o))
            for i, n, o in zip(place, spatial, sizes, strict=True)
        )
        inside: Any = (..., *window)
        at: Any = (..., *place)
        part = x[inside].reshape(*lead, -1)
        found = part.argmax(-1)  # the first of ties; NaN counts as largest
        y[at] = np.take_along_axis(part, found[..., None], -1)[..., 0]
        indices[at] = flat[window].reshape(-1)[found]
    return laid_out_as(y, x), laid_out_as(indices, x)


def adaptive_max_pool1d(input: Operand, output_size: Any, return_indices: bool = False) -> Result:
    """The largest values of windows that share out (N, C, L) into `output_size` parts."""
    return _adaptive_maximum(1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Operand, output_size: Any, return_indices: bool = False) -> Result:
    """The largest values of windows that share out the axes of an image.

    Parameters
    ----------
    input : (N, C, H, W) or (C, H, W)
    output_size : int or pair
        None keeps an extent. Window i covers ``floor(i H / P)`` up to ``ceil((i + 1) H / P)``.
    return_indices : bool
        Also where they are, counted through each channel's plane.

    Returns
    -------
    array or Tensor
        (N, C, P, Q), or a pair of it and int64 indices.

    Raises
    ------
    ValueError
        If the shape or `output_size` does not fit.
    """
    return _adaptive_maximum(2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Operand, output_size: Any, return_indices: bool = False) -> Result:
    """The largest values of windows that share out the axes of (N, C, D, H, W)."""
    return _adaptive_maximum(3, input, output_size, return_indices)


def _with_indices(function: Any) -> Any:
    """PyTorch's spelling of ``return_indices=True``."""

    def call(input: Operand, output_size: Any, return_indices: bool = True) -> Any:
        return function(input, output_size, True)

    call.__name__ = call.__qualname__ = f"{function.__name__}_with_indices"
    call.__doc__ = f":func:`{function.__name__}` with ``return_indices=True``."
    return call


adaptive_max_pool1d_with_indices = _with_indices(adaptive_max_pool1d)
adaptive_max_pool2d_with_indices = _with_indices(adaptive_max_pool2d)
adaptive_max_pool3d_with_indices = _with_indices(adaptive_max_pool3d)


# ---- Lp ------------------------------------------------------------------------------------------


def _lp(
    rank: int, input: Operand, norm_type: float, kernel_size: Ints, stride: Any, ceil_mode: bool
) -> Result:
    from .arithmetic import mul, pow

    name = f"lp_pool{rank}d"
    taps = math.prod(ints(kernel_size, rank, name, "kernel_size"))
    average = (avg_pool1d, avg_pool2d, avg_pool3d)[rank - 1]
    try:
        means = average(pow(input, norm_type), kernel_size, stride, 0, ceil_mode)
    except (TypeError, ValueError) as error:  # about the window: in our name
        raise type(error)(str(error).replace(f"avg_pool{rank}d", name)) from None
    return pow(mul(means, taps), 1.0 / norm_type)


@floats_only
def lp_pool1d(
    input: Operand,
    norm_type: float,
    kernel_size: Ints,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Result:
    """The `p`-th root of the sum of `p`-th powers in each window of (N, C, L)."""
    return _lp(1, input, norm_type, kernel_size, stride, ceil_mode)


@floats_only
def lp_pool2d(
    input: Operand,
    norm_type: float,
    kernel_size: Ints,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Result:
    """The `p`-th root of the sum of `p`-th powers in each window of (N, C, H, W) or (C, H, W).

    Parameters
    ----------
    input : (N, C, H, W) or (C, H, W)
    norm_type : float
        p; no absolute values are taken, so odd p of negative sums give NaN.
    kernel_size : int or pair
    stride : int or pair, optional
        `kernel_size` unless given.
    ceil_mode : bool
        Windows may reach beyond the end; they are scaled up by what they lack.

    Returns
    -------
    array or Tensor
        (N, C, P, Q).

    Raises
    ------
    ValueError
        If a window does not fit.

    Notes
    -----
    Semantics are those of ``torch.nn.functional.lp_pool2d``.
    """
    return _lp(2, input, norm_type, kernel_size, stride, ceil_mode)


@floats_only
def lp_pool3d(
    input: Operand,
    norm_type: float,
    kernel_size: Ints,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Result:
    """The `p`-th root of the sum of `p`-th powers in each window of (N, C, D, H, W)."""
    return _lp(3, input, norm_type, kernel_size, stride, ceil_mode)


# ---- unpooling -----------------------------------------------------------------------------------


def _unpooled_size(
    name: str, spatial: tuple[int, ...], kernel: Any, stride: Any, padding: Any, wanted: Any
) -> tuple[int, ...]:
    rank = len(spatial)
    k = ints(kernel, rank, name, "kernel_size")
    s = k if stride is None else ints(stride, rank, name, "stride")
    p = ints(padding, rank, name, "padding")
    default = tuple(
        (n - 1) * si + ki - 2 * pi for n, ki, si, pi in zip(spatial, k, s, p, strict=True)
    )
    if wanted is None:
        return default
    sizes = tuple(int(n) for n in tuple(wanted)[-rank:])
    for n, base, step in zip(sizes, default, s, strict=True):
        if not base - step < n < base + step:
            raise ValueError(
                f"{name}: invalid output_size {tuple(wanted)}: each extent must lie within one "
                f"stride of {default}"
            )
    return sizes


def _unpool(
    rank: int,
    input: Operand,
    indices: Operand,
    kernel_size: Ints,
    stride: Any,
    padding: Ints,
    output_size: Any,
) -> Result:
    name = f"max_unpool{rank}d"
    x, where = raw(array_first(name, input)), raw(array_first(name, indices, "indices"))
    if where.dtype != np.int64:
        raise TypeError(f"{name}: indices must be int64, got {where.dtype}")
    if where.shape != x.shape:
        raise ValueError(f"{name}: indices have shape {where.shape}, input has {x.shape}")
    if x.ndim not in (rank + 1, rank + 2):
        raise ValueError(f"{name}: expected {rank + 1} or {rank + 2} axes, got shape {x.shape}")
    sizes = _unpooled_size(name, x.shape[-rank:], kernel_size, stride, padding, output_size)
    if compiled(x):
        y = _core.place(name, rank, x, where, sizes, False)
        if not isinstance(input, TensorBase):
            return y
        return record(
            f"MaxUnpool{rank}d",
            y,
            (input,),
            lambda g: (_core.fetch(name, rank, g, where),),
        )
    lead = x.shape[: x.ndim - rank]
    planes, extent = math.prod(lead), math.prod(sizes)
    if where.size and (where.min() < 0 or where.max() >= extent):
        bad = where[(where < 0) | (where >= extent)].flat[0]
        raise ValueError(f"{name}: Found an invalid max index: {bad} (output extents are {sizes})")
    flat = where.reshape(planes, -1)
    y = np.zeros((planes, extent), x.dtype)
    np.put_along_axis(y, flat, x.reshape(planes, -1), 1)
    y = laid_out_as(y.reshape(*lead, *sizes), x)
    if not isinstance(input, TensorBase):
        return y
    shape = x.shape
    return record(
        f"MaxUnpool{rank}d",
        y,
        (input,),
        lambda g: (np.take_along_axis(g.reshape(planes, -1), flat, 1).reshape(shape),),
    )


def max_unpool1d(
    input: Operand,
    indices: Operand,
    kernel_size: Ints,
    stride: Any = None,
    padding: Ints = 0,
    output_size: Any = None,
) -> Result:
    """Values back to where :func:`max_pool1d` found them, zeros elsewhere."""
    return _unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Operand,
    indices: Operand,
    kernel_size: Ints,
    stride: Any = None,
    padding: Ints = 0,
    output_size: Any = None,
) -> Result:
    """Values back to where :func:`max_pool2d` found them, zeros elsewhere.

    Parameters
    ----------
    input : (N, C, P, Q) or (C, P, Q)
    indices : int64 array of that shape
        As ``max_pool2d(..., return_indices=True)`` gives them.
    kernel_size, stride, padding
        As given to the pooling.
    output_size : sequence of int, optional
        The extents that were pooled, where several pool to the same.

    Raises
    ------
    ValueError
        For an index outside the output, or an `output_size` that cannot be.
    TypeError
        For indices that are not int64.
    """
    return _unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Operand,
    indices: Operand,
    kernel_size: Ints,
    stride: Any = None,
    padding: Ints = 0,
    output_size: Any = None,
) -> Result:
    """Values back to where :func:`max_pool3d` found them, zeros elsewhere."""
    return _unpool(3, input, indices, kernel_size, stride, padding, output_size)
