"""Resampling along one axis as a small matrix, the idea under every resize in this package.

A picture of height H and width W becomes ``rows @ picture @ columns.T`` where ``rows`` is
(H_out, H) and ``columns`` is (W_out, W).  Row i of such a matrix holds the weights with which the
input samples make output sample i.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["resample_matrix", "resize_array"]


def _box(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return ((t > -0.5) & (t <= 0.5)).astype(np.float64)


def _triangle(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1.0 - np.abs(t), 0.0)


def _cubic(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic with a = -1/2 (Catmull-Rom), the one that Pillow uses."""
    t = np.abs(t)
    near = (1.5 * t - 2.5) * t * t + 1.0
    far = ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0
    return np.where(t < 1.0, near, np.where(t < 2.0, far, 0.0))


_FILTERS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "box": _box,
    "bilinear": _triangle,
    "bicubic": _cubic,
}


@lru_cache(maxsize=64)
def resample_matrix(
    size: int, new_size: int, mode: str = "bilinear", antialias: bool = True
) -> NDArray[np.float32]:
    """Weights (new_size, size) that resample an axis of ``size`` samples to ``new_size``.

    Sample centres are at half-integers (``align_corners=False``), weights beyond the border are
    dropped and the rest is renormalised, as Pillow does.  With ``antialias`` the filter is widened
    when shrinking, so that every input sample counts.
    """
    if size < 1 or new_size < 1:
        raise ValueError(f"resample_matrix: sizes must be positive, got {size} and {new_size}")
    scale = size / new_size
    if mode == "nearest":
        taken = np.minimum(((np.arange(new_size) + 0.5) * scale).astype(np.int64), size - 1)
        weights = np.zeros((new_size, size))
        weights[np.arange(new_size), taken] = 1.0
    else:
        if mode not in _FILTERS:
            known = ", ".join(["nearest", *_FILTERS])
            raise ValueError(f"resample_matrix: mode must be one of {known}, got {mode!r}")
        stretch = max(scale, 1.0) if antialias else 1.0
        centres = (np.arange(new_size)[:, None] + 0.5) * scale - 0.5
        weights = _FILTERS[mode]((np.arange(size)[None, :] - centres) / stretch)
        weights /= weights.sum(axis=1, keepdims=True)
    matrix = weights.astype(np.float32)
    matrix.setflags(write=False)  # it is cached and shared
    return matrix


def resize_array(
    picture: NDArray[Any],
    height: int,
    width: int,
    mode: str = "bilinear",
    antialias: bool = True,
) -> NDArray[Any]:
    """Resize a picture (H, W) or (H, W, C) to (height, width[, C]) in its own dtype.

    Integer pictures are rounded and saturated; ``mode`` is "nearest", "box", "bilinear" or
    "bicubic".
    """
    rows = resample_matrix(picture.shape[0], height, mode, antialias)
    columns = resample_matrix(picture.shape[1], width, mode, antialias)
    planes = picture if picture.ndim == 3 else picture[:, :, None]
    # (C, H, W): matmul then works on one plane per channel
    planes = np.moveaxis(planes, 2, 0).astype(np.float32)
    planes = np.moveaxis(rows @ planes @ columns.T, 0, 2)
    result = planes if picture.ndim == 3 else planes[:, :, 0]
    if np.issubdtype(picture.dtype, np.integer):
        limits = np.iinfo(picture.dtype)
        result = np.clip(np.rint(result), limits.min, limits.max)
    return np.ascontiguousarray(result.astype(picture.dtype))
