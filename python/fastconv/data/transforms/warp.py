"""Transforms that turn, shift, scale and shear: one inverse affine map, then sampling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..rng import current
from .picture import Array, InterpolationMode, apply_channels_last, fill_value, mode_name, size_of

__all__ = ["RandomAffine", "RandomRotation", "warp_affine"]

_MODES = ("nearest", "bilinear")
Matrix = NDArray[Any]


def warp_affine(
    a: Array, inverse: Matrix, size: tuple[int, int], mode: str, fill: float | Sequence[float]
) -> Array:
    """Sample ``a`` (H, W, C): output pixel (x, y) takes the value at ``inverse @ (x, y, 1)``.

    ``inverse`` is 2x3; both points are measured from their picture's centre.
    """
    height, width, channels = a.shape
    x = np.arange(size[1]) - (size[1] - 1) / 2
    y = (np.arange(size[0]) - (size[0] - 1) / 2)[:, None]
    source_x = inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2] + (width - 1) / 2
    source_y = inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2] + (height - 1) / 2
    # One pixel of fill around the picture, and everything farther out lands on it.
    framed = np.empty((height + 2, width + 2, channels), a.dtype)
    framed[...] = fill_value(fill, a)
    framed[1:-1, 1:-1] = a
    source_x = np.clip(source_x + 1, 0, width + 1)
    source_y = np.clip(source_y + 1, 0, height + 1)
    if mode == "nearest":
        # half away from zero, whatever the parity, so that no row is taken twice
        rows = np.floor(source_y + 0.5).astype(np.intp)
        columns = np.floor(source_x + 0.5).astype(np.intp)
        nearest: Array = framed[rows, columns]
        return nearest
    top = np.minimum(source_y.astype(np.intp), height)
    left = np.minimum(source_x.astype(np.intp), width)
    down = (source_y - top)[..., None].astype(np.float32)
    right = (source_x - left)[..., None].astype(np.float32)
    upper = framed[top, left] * (1 - right) + framed[top, left + 1] * right
    lower = framed[top + 1, left] * (1 - right) + framed[top + 1, left + 1] * right
    blended = upper * (1 - down) + lower * down
    result: Array = (np.rint(blended) if a.dtype == np.uint8 else blended).astype(a.dtype)
    return result


def _linear(angle: float, scale: float, shear: tuple[float, float]) -> Matrix:
    """The 2x2 forward map: shear, then turn by ``angle`` degrees clockwise, then scale."""
    turn, shear_x, shear_y = (math.radians(v) for v in (angle, *shear))
    # torchvision's order: rotation . shear_y . shear_x . scale, with y pointing down
    a = math.cos(turn - shear_y) / math.cos(shear_y)
    b = -a * math.tan(shear_x) - math.sin(turn)
    c = math.sin(turn - shear_y) / math.cos(shear_y)
    d = -c * math.tan(shear_x) + math.cos(turn)
    return scale * np.array([[a, b], [c, d]])


def _range(name: str, argument: str, value: float | Sequence[float]) -> tuple[float, float]:
    """(low, high) from one number, meaning (-number, number), or two."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"{name}: a single {argument} must not be negative, got {value!r}")
        return -float(value), float(value)
    low_high = tuple(float(v) for v in value)
    if len(low_high) != 2 or low_high[0] > low_high[1]:
        raise ValueError(f"{name}: {argument} must be a number or (low, high), got {value!r}")
    return low_high[0], low_high[1]


class RandomRotation:
    """Turn by a random angle in degrees, counter-clockwise; ``degrees`` is a bound or (low, high).

    ``expand`` enlarges the result to hold the whole turned picture; ``center`` is (x, y) in pixels.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: str | InterpolationMode = InterpolationMode.NEAREST,
        expand: bool = False,
        center: tuple[float, float] | None = None,
        fill: float | Sequence[float] = 0,
    ) -> None:
        self.degrees = _range("RandomRotation", "degrees", degrees)
        self.mode = mode_name("RandomRotation", interpolation, _MODES)
        if expand and center is not None:
            raise ValueError("RandomRotation: expand turns about the centre; leave center out")
        self.expand, self.center, self.fill = expand, center, fill

    def __call__(self, image: Any) -> Any:
        height, width, _ = size_of("RandomRotation", image)
        angle = current().uniform(*self.degrees)
        # The y axis points down, so turning the picture counter-clockwise is a negative turn.
        inverse = _about(
            np.linalg.inv(_linear(-angle, 1.0, (0.0, 0.0))), self.center, height, width
        )
        size = (height, width)
        if self.expand:
            sine, cosine = abs(math.sin(math.radians(angle))), abs(math.cos(math.radians(angle)))
            size = (
                math.ceil(height * cosine + width * sine - 1e-6),
                math.ceil(width * cosine + height * sine - 1e-6),
            )
        return apply_channels_last(
            "RandomRotation", image, lambda a: warp_affine(a, inverse, size, self.mode, self.fill)
        )

    def __repr__(self) -> str:
        return f"RandomRotation({self.degrees}, interpolation={self.mode!r}, expand={self.expand})"


class RandomAffine:
    """Turn, shift, scale and shear at random, about the centre.

    Parameters
    ----------
    degrees : float or (low, high)
        Angle, clockwise as in torchvision.
    translate : (float, float), optional
        Largest shift as a share of (width, height).
    scale : (low, high), optional
    shear : float, (low, high) or (x_low, x_high, y_low, y_high), optional
        Shear angles in degrees, along x alone unless four are given.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: tuple[float, float] | None = None,
        scale: tuple[float, float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: str | InterpolationMode = InterpolationMode.NEAREST,
        fill: float | Sequence[float] = 0,
        center: tuple[float, float] | None = None,
    ) -> None:
        self.degrees = _range("RandomAffine", "degrees", degrees)
        if translate is not None and not all(0 <= t <= 1 for t in translate):
            raise ValueError(f"RandomAffine: translate must be within 0..1, got {translate!r}")
        if scale is not None and not 0 < scale[0] <= scale[1]:
            raise ValueError(f"RandomAffine: scale must be (low, high), positive, got {scale!r}")
        self.translate, self.scale = translate, scale
        self.shear_x, self.shear_y = (0.0, 0.0), (0.0, 0.0)
        if isinstance(shear, Sequence) and len(shear) == 4:
            self.shear_x = _range("RandomAffine", "shear", shear[:2])
            self.shear_y = _range("RandomAffine", "shear", shear[2:])
        elif shear is not None:
            self.shear_x = _range("RandomAffine", "shear", shear)
        self.mode = mode_name("RandomAffine", interpolation, _MODES)
        self.fill, self.center = fill, center

    def __call__(self, image: Any) -> Any:
        height, width, _ = size_of("RandomAffine", image)
        rng = current()
        angle = rng.uniform(*self.degrees)
        shift = np.zeros(2)
        if self.translate is not None:
            most = np.array(self.translate) * (width, height)
            shift = np.rint(rng.uniform(-most, most))
        scale = rng.uniform(*self.scale) if self.scale is not None else 1.0
        shear = rng.uniform(*self.shear_x), rng.uniform(*self.shear_y)
        inverse = _about(
            np.linalg.inv(_linear(angle, scale, shear)), self.center, height, width, shift
        )
        size = (height, width)
        return apply_channels_last(
            "RandomAffine", image, lambda a: warp_affine(a, inverse, size, self.mode, self.fill)
        )

    def __repr__(self) -> str:
        return (
            f"RandomAffine({self.degrees}, translate={self.translate}, scale={self.scale}, "
            f"shear={(*self.shear_x, *self.shear_y)}, interpolation={self.mode!r})"
        )


def _about(
    inverse: Matrix,
    center: tuple[float, float] | None,
    height: int,
    width: int,
    shift: NDArray[np.float64] | None = None,
) -> Matrix:
    """The 2x3 inverse map about ``center`` (x, y), after a shift (x, y) of the result."""
    middle = np.zeros(2)
    if center is not None:
        middle = np.array(center, dtype=np.float64) - (width / 2, height / 2)
    moved = middle if shift is None else middle + shift
    return np.column_stack([inverse, middle - inverse @ moved])
