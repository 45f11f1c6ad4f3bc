"""Interpolation and adaptive averages: each axis resized by itself, by a table of weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record
from ._taps import Plan, Taps, resized, resized_backward
from ._tools import compiled, is_float
from .narrow import floats_only, in_float32
from .pooling import avg_pool1d, avg_pool2d, avg_pool3d

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "interpolate",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]


def _resized(name: str, input: Operand, plan: Plan) -> Result:
    """The last axes by `plan`, with its gradient on the tape."""
    x = raw(input)
    y = resized(name, x, plan)
    if y is x:
        y = x.copy()
    if not isinstance(input, TensorBase):
        return y
    title = name[:1].upper() + name[1:]
    return record(title, y, (input,), lambda g: (resized_backward(name, g, plan),))


# ---- adaptive average pooling: windows that share out the axis -----------------------------------


@lru_cache(256)
def _windows(n: int, o: int) -> Taps | None:
    """Output i is the mean over inputs ``floor(i n / o)`` up to ``ceil((i + 1) n / o)``."""
    if n == o:
        return None
    i = np.arange(o)
    starts, ends = i * n // o, -(-(i + 1) * n // o)
    widest = int((ends - starts).max()) if o else 1
    at = starts[:, None] + np.arange(widest)
    inside = at < ends[:, None]
    weights = np.broadcast_to(1 / (ends - starts)[:, None], at.shape)
    return Taps(np.where(inside, at, 0), weights, n, inside)


def adaptive_sizes(
    name: str, x: Array, rank: int, output_size: Any
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """The output's extents, and the extents of its windows where they are all of one size."""
    if output_size is not None and not isinstance(output_size, (int, np.integer)):
        output_size = tuple(output_size)
    return _adaptive_sizes(name, x.shape, rank, output_size)


@lru_cache(256, typed=True)
def _adaptive_sizes(
    name: str, shape: tuple[int, ...], rank: int, output_size: Any
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """The same of a shape, checked; None keeps an extent of the input."""
    if len(shape) not in (rank + 1, rank + 2):
        raise ValueError(
            f"{name}: expected {rank + 1} (unbatched) or {rank + 2} axes, got shape {shape}"
        )
    spatial = shape[-rank:]
    if 0 in shape[-rank - 1 :]:
        raise ValueError(f"{name}: expected non-empty channels and extents, got shape {shape}")
    if not isinstance(output_size, tuple):
        output_size = (output_size,) * rank
    sizes = tuple(n if o is None else int(o) for n, o in zip(spatial, output_size, strict=False))
    if len(output_size) != rank or min(sizes) < 0:
        raise ValueError(
            f"{name}: output_size must be an int or {rank} ints, none negative, got {output_size}"
        )
    if any(o == 0 or n % o for n, o in zip(spatial, sizes, strict=True)):
        return sizes, None
    return sizes, tuple(n // o for n, o in zip(spatial, sizes, strict=True))


_AVERAGE = {1: avg_pool1d, 2: avg_pool2d, 3: avg_pool3d}


def _adaptive_average(rank: int, input: Operand, output_size: Any) -> Result:
    x = raw(input)
    name = f"adaptive_avg_pool{rank}d"
    sizes, window = adaptive_sizes(name, x, rank, output_size)
    spatial = x.shape[-rank:]
    if sizes == spatial:
        y = x.copy("K")
        return record("Clone", y, (input,), lambda g: (g,)) if isinstance(input, TensorBase) else y
    if window and compiled(x):  # side by side: an ordinary average pool
        return _AVERAGE[rank](input, window)
    y = _core.adaptive_pool(name, rank, x, sizes, False) if compiled(x) else None
    if y is not None and not isinstance(input, TensorBase):
        return y
    plan = Plan(_windows(n, o) for n, o in zip(spatial, sizes, strict=True))
    if y is None:
        return _resized(name, input, plan)
    title = f"AdaptiveAvgPool{rank}d"
    return record(title, y, (input,), lambda g: (resized_backward(name, g, plan),))


@floats_only
def adaptive_avg_pool1d(input: Operand, output_size: Any) -> Result:
    """The means of windows that share out (N, C, L) into `output_size` parts."""
    return _adaptive_average(1, input, output_size)


@floats_only
def adaptive_avg_pool2d(input: Operand, output_size: Any) -> Result:
    """The means of windows that share out the axes of an image.

    Parameters
    ----------
    input : (N, C, H, W) or (C, H, W)
    output_size : int or pair
        None keeps an extent. Window i covers ``floor(i H / P)`` up to ``ceil((i + 1) H / P)``.
    """
    return _adaptive_average(2, input, output_size)


@floats_only
def adaptive_avg_pool3d(input: Operand, output_size: Any) -> Result:
    """The means of windows that share out the axes of (N, C, D, H, W)."""
    return _adaptive_average(3, input, output_size)


# ---- interpolation -------------------------------------------------------------------------------


def _positions(n: int, o: int, scale: float | None, align_corners: bool) -> Array:
    """Where each output lies between the inputs."""
    i = np.arange(o)
    if align_corners:
        return i * ((n - 1) / (o - 1)) if o > 1 else np.zeros(o)
    step = n / o if scale is None else 1 / scale
    return (i + 0.5) * step - 0.5


@lru_cache(256)
def _nearest(n: int, o: int, scale: float | None, exact: bool) -> Taps:
    # PyTorch multiplies in float32 here, and which neighbour is nearest may hang on that.
    step = np.float32(n / o if scale is None else 1 / scale)
    at = (np.arange(o, dtype=np.float32) + np.float32(0.5 if exact else 0)) * step
    return Taps(np.minimum(np.floor(at).astype(np.int64), n - 1)[:, None], None, n)


@lru_cache(256)
def _linear(n: int, o: int, scale: float | None, align_corners: bool) -> Taps:
    at = np.maximum(_positions(n, o, scale, align_corners), 0)
    low = np.minimum(np.floor(at).astype(np.int64), n - 1)
    share = np.minimum(at - low, 1)
    sources = np.stack([low, np.minimum(low + 1, n - 1)], 1)
    return Taps(sources, np.stack([1 - share, share], 1), n)


@lru_cache(256)
def _cubic(n: int, o: int, scale: float | None, align_corners: bool) -> Taps:
    at = _positions(n, o, scale, align_corners)
    low = np.floor(at).astype(np.int64)
    distance = np.abs(at[:, None] - (low[:, None] + np.arange(-1, 3)))
    a = -0.75  # the sharpness that PyTorch and OpenCV use
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    sources = np.clip(low[:, None] + np.arange(-1, 3), 0, n - 1)
    return Taps(sources, np.where(distance <= 1, near, far), n)


def _antialiased(n: int, o: int, scale: float | None, align_corners: bool, cubic: bool) -> Taps:
    """A triangle or a cubic, as wide as the step between outputs where that is above 1."""
    if align_corners:
        step = (n - 1) / (o - 1) if o > 1 else 0.0
    else:
        step = n / o if scale is None else 1 / scale
    stretch = max(step, 1.0)
    reach = (2 if cubic else 1) * stretch
    centre = step * (np.arange(o) + 0.5)
    first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + reach + 0.5).astype(np.int64), n)
    at = first[:, None] + np.arange(int((last - first).max()))
    d = np.abs(at - centre[:, None] + 0.5) / stretch
    if cubic:
        a = -0.5  # the sharpness that PyTorch and Pillow use here
        near = ((a + 2) * d - (a + 3)) * d**2 + 1
        weights = np.where(d < 1, near, np.where(d < 2, a * (((d - 5) * d + 8) * d - 4), 0))
    else:
        weights = np.maximum(1 - d, 0)
    inside = at < last[:, None]
    weights *= inside
    weights /= weights.sum(1, keepdims=True)
    return Taps(np.where(inside, at, 0), weights, n, inside)


_RANKS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
_MODES = ("nearest", "nearest-exact", "area", *_RANKS)


@in_float32
def interpolate(
    input: Operand,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Result:
    """Resize the axes after the channels.

    Parameters
    ----------
    input : (N, C, ...) with 1, 2 or 3 more axes
    size : int or one per axis
        Extents of the output; either this or `scale_factor`.
    scale_factor : float or one per axis
        Used as it is given, unless `recompute_scale_factor`.
    mode : {"nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear", "area"}
    align_corners : bool
        Whether the corner values keep their places; for the linear and cubic modes.
    antialias : bool
        Average over what lies between outputs when shrinking, ``"bilinear"`` and ``"bicubic"``.

    Raises
    ------
    ValueError
        For values that do not fit together.

    Notes
    -----
    Semantics are those of ``torch.nn.functional.interpolate``.
    """
    x = raw(input)
    if size is not None and not isinstance(size, (int, np.integer)):
        size = tuple(size)
    if isinstance(scale_factor, Sequence):
        scale_factor = tuple(scale_factor)
    sizes, plan = _interpolation(
        x.shape, size, scale_factor, mode, align_corners, bool(recompute_scale_factor), antialias
    )
    if not is_float(x) and not mode.startswith("nearest"):
        raise TypeError(
            f"interpolate: input must be of a floating-point type for mode {mode!r}, got {x.dtype}"
        )
    if mode == "area":
        return _adaptive_average(len(sizes), input, sizes)
    return _resized("interpolate", input, plan)


@lru_cache(256, typed=True)
def _interpolation(
    shape: tuple[int, ...],
    size: Any,
    scale_factor: Any,
    mode: str,
    align_corners: bool | None,
    recompute: bool,
    antialias: bool,
) -> tuple[tuple[int, ...], Plan]:
    """The output's extents and how they are made, from arguments that are checked here."""
    rank = len(shape) - 2
    if mode not in _MODES:
        raise ValueError(f"interpolate: mode must be one of {_MODES}, got {mode!r}")
    if not 1 <= rank <= 3:
        raise ValueError(f"interpolate: expected 3, 4 or 5 axes, got shape {shape}")
    if mode in _RANKS and _RANKS[mode] != rank:
        raise ValueError(
            f"interpolate: mode {mode!r} needs {_RANKS[mode] + 2} axes, got shape {shape}"
        )
    if align_corners is not None and mode not in _RANKS:
        raise ValueError(
            "interpolate: align_corners option can only be set with the interpolating modes: "
            "linear | bilinear | bicubic | trilinear"
        )
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(f"interpolate: antialias needs mode 'bilinear' or 'bicubic', got {mode!r}")
    sizes, scales = _target(shape[2:], size, scale_factor, recompute)
    if min(shape[2:]) < 1 or min(sizes) < 1:
        raise ValueError(
            f"interpolate: Input and output sizes should be greater than 0, "
            f"got {shape[2:]} and {sizes}"
        )
    aligned = bool(align_corners)
    plan: list[Taps | None] = []
    for n, o, scale in zip(shape[2:], sizes, scales, strict=True):
        if mode == "area" or (n == o and (scale is None or scale == 1)):
            plan.append(None)
        elif antialias:
            plan.append(_antialiased(n, o, scale, aligned, mode == "bicubic"))
        elif mode.startswith("nearest"):
            plan.append(_nearest(n, o, scale, mode == "nearest-exact"))
        elif mode == "bicubic":
            plan.append(_cubic(n, o, scale, aligned))
        else:
            plan.append(_linear(n, o, scale, aligned))
    return sizes, Plan(plan)


def _target(
    spatial: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool
) -> tuple[tuple[int, ...], list[float | None]]:
    """The output's extents, and the scales to use where they are not the ratio of extents."""
    rank = len(spatial)
    if (size is None) == (scale_factor is None):
        raise ValueError(
            "interpolate: only one of size or scale_factor should be defined"
            if size is not None
            else "interpolate: either size or scale_factor should be defined"
        )
    if size is not None:
        if recompute:
            raise ValueError(
                "interpolate: recompute_scale_factor is not meaningful with an explicit size."
            )
        given = (size,) * rank if isinstance(size, (int, np.integer)) else tuple(size)
        if len(given) != rank:
            raise ValueError(f"interpolate: size must be an int or {rank} ints, got {size}")
        return tuple(int(s) for s in given), [None] * rank
    factors: Sequence[Any] = (
        tuple(scale_factor) if isinstance(scale_factor, Sequence) else (scale_factor,) * rank
    )
    if len(factors) != rank or min(factors) <= 0:
        raise ValueError(
            f"interpolate: scale_factor must be positive, one or {rank} values, got {scale_factor}"
        )
    sizes = tuple(math.floor(n * float(f)) for n, f in zip(spatial, factors, strict=True))
    return sizes, [None if recompute else float(f) for f in factors]


def upsample(
    input: Operand,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Result:
    """The older name of :func:`interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Operand, size: Any = None, scale_factor: Any = None) -> Result:
    """:func:`interpolate` by repeating values."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Operand, size: Any = None, scale_factor: Any = None) -> Result:
    """:func:`interpolate` bilinear, the corner values keeping their places."""
    return interpolate(input, size, scale_factor, "bilinear", True)
