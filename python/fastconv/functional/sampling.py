"""Reading pictures at any positions: grids of coordinates, and what lies there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, needs_grad, raw, record
from ._tools import is_float
from .narrow import in_float32

__all__ = ["affine_grid", "grid_sample"]

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


class _Tap(NamedTuple):
    """One element along an axis that every position reads; all arrays (N, positions)."""

    place: Array
    inside: Array  # whether it lies in the picture
    weight: Array
    slope: Array  # of the weight, by the coordinate of the grid


def _clipped(at: Array, n: int) -> tuple[Array, Array]:
    """Positions moved into the picture, and the slope of that."""
    inside = (at > 0) & (at < n - 1)
    return np.where(inside, at, np.where(at >= n - 1, at.dtype.type(n - 1), 0)), inside


def _reflected(at: Array, n: int, align_corners: bool) -> tuple[Array, Array]:
    """Positions mirrored at the centres of the outer pixels or at their edges, and the slope."""
    low, span = (0.0, float(n - 1)) if align_corners else (-0.5, float(n))
    if span == 0:
        return np.zeros_like(at), np.zeros(at.shape, at.dtype)
    away = np.abs(at - low)
    flips = np.floor(away / span)
    rest = away - flips * span
    odd = flips % 2 == 1
    mirrored = np.where(odd, span - rest, rest) + low
    slope = np.where(odd, -1, 1) * np.where(at < low, -1, 1)
    return mirrored.astype(at.dtype), slope.astype(at.dtype)


def _padded(at: Array, n: int, padding: str, align_corners: bool) -> tuple[Array, Array]:
    """Positions that the padding reads instead, and the slope of that."""
    if padding == "zeros":
        return at, np.ones(at.shape, at.dtype)
    slope: Any = 1
    if padding == "reflection":
        at, slope = _reflected(at, n, align_corners)
    at, inside = _clipped(at, n)
    return at, inside * slope


def _tap(index: Array, n: int, weight: Array, slope: Array) -> _Tap:
    inside = (index >= 0) & (index < n)  # False for NaN
    return _Tap(np.where(inside, index, 0).astype(np.intp), inside, weight, slope)


def _cubic(distance: Array) -> tuple[Array, Array]:
    """Weight and slope of Keys' kernel (1981), a = -0.75, at a signed distance below 2."""
    d, sign = np.abs(distance), np.sign(distance)
    near = d <= 1
    weight = np.where(
        near, (1.25 * d - 2.25) * d * d + 1, ((-0.75 * d + 3.75) * d - 6) * d + 3
    ).astype(d.dtype)
    slope = np.where(near, (3.75 * d - 4.5) * d, (-2.25 * d + 7.5) * d - 6)
    return weight, (slope * sign).astype(d.dtype)


def _taps(at: Array, n: int, mode: str, padding: str, align_corners: bool) -> list[_Tap]:
    """What positions in [-1, 1] read along an axis of extent n."""
    half = at.dtype.type((n - 1 if align_corners else n) / 2)
    at = (at + 1) * half - (0 if align_corners else at.dtype.type(0.5))
    if mode == "bicubic":  # the padding moves each tap by itself, which has no slope
        low, taps = np.floor(at), []
        for i in range(-1, 3):
            weight, slope = _cubic(at - (low + i))
            index, _ = _padded(low + i, n, padding, align_corners)
            taps.append(_tap(np.rint(index), n, weight, slope * half))
        return taps
    at, slope = _padded(at, n, padding, align_corners)
    slope = slope * half
    if mode == "nearest":
        return [_tap(np.rint(at), n, np.ones_like(at), np.zeros_like(at))]
    low = np.floor(at)
    share = at - low
    return [_tap(low, n, 1 - share, -slope), _tap(low + 1, n, share, slope)]


def _corners(
    axes: Sequence[list[_Tap]], shape: tuple[int, ...]
) -> list[tuple[Array, Array, Callable[[int], Array]]]:
    """Each element that a position reads: flat index, weight, and the weight's slope by axis."""
    corners: list[tuple[Array, Array, Callable[[int], Array]]] = []
    for taps in product(*axes):
        index: Any = 0
        inside: Any = True
        for tap, n in zip(taps, shape, strict=True):
            index = index * n + tap.place
            inside = inside & tap.inside

        def factor(axis: int, taps: Any = taps, inside: Any = inside) -> Array:
            parts = [tap.slope if i == axis else tap.weight for i, tap in enumerate(taps)]
            return np.where(inside, np.multiply.reduce(parts), 0).astype(parts[0].dtype)

        corners.append((index, factor(-1), factor))
    return corners


@in_float32
def grid_sample(
    input: Operand,
    grid: Operand,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Result:
    """The input at the positions that a grid names (Jaderberg et al., 2015).

    Parameters
    ----------
    input : (N, C, H, W) or (N, C, D, H, W)
    grid : (N, P, Q, 2) or (N, O, P, Q, 3)
        Positions x, y (and z) between -1 and 1, the last axis of the input first.
    mode : {"bilinear", "nearest", "bicubic"}
        "bilinear" is trilinear for volumes, which have no "bicubic".
    padding_mode : {"zeros", "border", "reflection"}
        What lies outside of the input.
    align_corners : bool, optional
        Whether -1 and 1 are the centres of the outer pixels, or (as by default) their edges.

    Returns
    -------
    array or Tensor
        (N, C, P, Q) or (N, C, O, P, Q).

    Raises
    ------
    ValueError
        For shapes that do not fit, or an unknown mode.
    TypeError
        If the dtypes differ or are no floats.
    """
    x, at = raw(input), raw(grid)
    shape, rank = x.shape[2:], x.ndim - 2
    if mode not in _MODES or padding_mode not in _PADDINGS:
        raise ValueError(
            f"grid_sample: mode must be one of {_MODES} and padding_mode one of {_PADDINGS}, "
            f"got {mode!r} and {padding_mode!r}"
        )
    if rank not in (2, 3) or at.ndim != x.ndim or at.shape[0] != x.shape[0]:
        raise ValueError(
            "grid_sample: expected input (N, C, H, W) and grid (N, P, Q, 2), or one more axis "
            f"each, got {x.shape} and {at.shape}"
        )
    if at.shape[-1] != rank:
        raise ValueError(f"grid_sample: grid must have {rank} coordinates, got {at.shape[-1]}")
    if 0 in shape:
        raise ValueError(f"grid_sample: input must not be empty, got {x.shape}")
    if mode == "bicubic" and rank == 3:
        raise ValueError("grid_sample: bicubic is for inputs of four axes")
    if x.dtype != at.dtype or not is_float(x):
        raise TypeError(
            f"grid_sample: input and grid must be of one floating-point type, "
            f"got {x.dtype} and {at.dtype}"
        )
    images, channels = x.shape[:2]
    positions = at.reshape(images, -1, rank)
    corners = _corners(
        [
            _taps(positions[..., rank - 1 - i], n, mode, padding_mode, bool(align_corners))
            for i, n in enumerate(shape)
        ],
        shape,
    )
    pixels = np.moveaxis(x.reshape(images, channels, -1), 1, 2)  # (N, pixels, C)
    image = np.arange(images)[:, None]
    y = np.zeros((images, positions.shape[1], channels), x.dtype)
    for index, weight, _ in corners:
        # What has no weight is not read: it may be infinite.
        y += np.where(weight[..., None] != 0, pixels[image, index] * weight[..., None], 0)
    result = np.ascontiguousarray(np.moveaxis(y, 2, 1)).reshape(*x.shape[:2], *at.shape[1:-1])
    if not (isinstance(input, TensorBase) or isinstance(grid, TensorBase)):
        return result
    need = (needs_grad(input), needs_grad(grid))

    def backward(g: Array) -> tuple[Array | None, Array | None]:
        g = np.moveaxis(g.reshape(images, channels, -1), 1, 2)
        gx = np.zeros((images, pixels.shape[1], channels), g.dtype) if need[0] else None
        gat = np.zeros(positions.shape, g.dtype) if need[1] else None
        for index, weight, factor in corners:
            if gx is not None:
                np.add.at(gx, (image, index), g * weight[..., None])
            if gat is not None:
                along = (g * pixels[image, index]).sum(-1)
                for i in range(rank):
                    gat[..., rank - 1 - i] += along * factor(i)
        return (
            None if gx is None else np.moveaxis(gx, 2, 1).reshape(x.shape),
            None if gat is None else gat.reshape(at.shape),
        )

    return record("GridSample", result, (input, grid), backward, saves=(input, grid))


@in_float32
def affine_grid(theta: Operand, size: Sequence[int], align_corners: bool | None = None) -> Result:
    """The positions for :func:`grid_sample` that an affine map takes a regular grid to.

    Parameters
    ----------
    theta : (N, 2, 3) or (N, 3, 4)
        A matrix for each picture: it takes (x, y, 1) or (x, y, z, 1) of the result to the input.
    size : (N, C, H, W) or (N, C, D, H, W)
        Of the result.
    align_corners : bool, optional
        As in :func:`grid_sample`.

    Returns
    -------
    array or Tensor
        (N, H, W, 2) or (N, D, H, W, 3).

    Raises
    ------
    ValueError
        For shapes that do not fit.
    TypeError
        If `theta` is of no floating-point type.
    """
    matrix, size = raw(theta), tuple(int(n) for n in size)
    rank = len(size) - 2
    if not is_float(matrix):
        raise TypeError(f"affine_grid: theta must be of a floating-point type, got {matrix.dtype}")
    if rank not in (2, 3) or min(size) < 1:
        raise ValueError(f"affine_grid: size must be four or five positive numbers, got {size}")
    if matrix.shape != (size[0], rank, rank + 1):
        raise ValueError(
            f"affine_grid: theta must have shape {(size[0], rank, rank + 1)} for size {size}, "
            f"got {matrix.shape}"
        )
    axes = []
    for n in size[2:]:
        ends = 0 if n == 1 else 1 if align_corners else (n - 1) / n
        axes.append(np.linspace(-ends, ends, n))
    places = np.meshgrid(*axes, indexing="ij")[::-1]
    regular = np.stack([*places, np.ones(size[2:])], -1).reshape(-1, rank + 1).astype(matrix.dtype)
    grid = (regular @ matrix.swapaxes(1, 2)).reshape(size[0], *size[2:], rank)
    if not isinstance(theta, TensorBase):
        return grid

    def backward(g: Array) -> tuple[Array]:
        return (g.reshape(size[0], -1, rank).swapaxes(1, 2) @ regular,)

    return record("AffineGrid", grid, (theta,), backward)
