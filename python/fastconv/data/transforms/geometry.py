"""Transforms that move pixels along the axes: resize, crop, pad, flip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..resample import resize_array
from ..rng import current
from .basic import probability
from .picture import (
    Array,
    InterpolationMode,
    apply_channels_last,
    fill_value,
    mode_name,
    pair,
    size_of,
)

__all__ = [
    "CenterCrop",
    "Pad",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Resize",
]

_RESIZE_MODES = ("nearest", "box", "bilinear", "bicubic")
_PAD_MODES = ("constant", "edge", "reflect", "symmetric")  # NumPy's names and torchvision's


class Resize:
    """Resize to ``size``: two ints are (height, width), one is the length of the shorter side.

    ``antialias`` averages over the pixels that fall together when shrinking.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: str | InterpolationMode = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool = True,
    ) -> None:
        self.size = pair("Resize", "size", size)
        self.shorter_side = isinstance(size, int) or len(size) == 1
        self.mode = mode_name("Resize", interpolation, _RESIZE_MODES)
        if max_size is not None and (not self.shorter_side or max_size < self.size[0]):
            raise ValueError("Resize: max_size goes with one int for size, and is at least that")
        self.max_size = max_size
        self.antialias = antialias

    def _target(self, height: int, width: int) -> tuple[int, int]:
        if not self.shorter_side:
            return self.size
        short, long = min(height, width), max(height, width)
        new_short, new_long = self.size[0], int(self.size[0] * long / short)
        if self.max_size is not None and new_long > self.max_size:
            new_short, new_long = int(self.max_size * new_short / new_long), self.max_size
        new_short = max(new_short, 1)
        return (new_short, new_long) if height <= width else (new_long, new_short)

    def __call__(self, image: Any) -> Any:
        height, width, _ = size_of("Resize", image)
        if height < 1 or width < 1:
            raise ValueError(f"Resize: the picture is empty ({height}x{width})")
        target = self._target(height, width)
        return apply_channels_last(
            "Resize", image, lambda a: resize_array(a, *target, self.mode, self.antialias)
        )

    def __repr__(self) -> str:
        size = self.size[0] if self.shorter_side else self.size
        return f"Resize({size}, interpolation={self.mode!r})"


class Pad:
    """Add a border: one int, (left/right, top/bottom) or (left, top, right, bottom)."""

    def __init__(
        self,
        padding: int | Sequence[int],
        fill: float | Sequence[float] = 0,
        padding_mode: str = "constant",
    ) -> None:
        given = (padding,) if isinstance(padding, int) else tuple(padding)
        if len(given) not in (1, 2, 4) or any(p < 0 for p in given):
            raise ValueError(f"Pad: padding must be one, two or four ints >= 0, got {padding!r}")
        if padding_mode not in _PAD_MODES:
            raise ValueError(
                f"Pad: padding_mode must be one of {', '.join(_PAD_MODES)}, got {padding_mode!r}"
            )
        left, top, right, bottom = given * (4 // len(given))
        self.rows, self.columns = (top, bottom), (left, right)
        self.fill = fill
        self.padding_mode = padding_mode

    def __call__(self, image: Any) -> Any:
        return apply_channels_last("Pad", image, self._pad)

    def _pad(self, a: Array) -> Array:
        if self.padding_mode != "constant":
            widths = (self.rows, self.columns, (0, 0))
            return np.pad(a, widths, mode=self.padding_mode)  # type: ignore[call-overload,no-any-return]
        (top, bottom), (left, right) = self.rows, self.columns
        height, width, channels = a.shape
        padded = np.empty((height + top + bottom, width + left + right, channels), a.dtype)
        padded[...] = fill_value(self.fill, a)
        padded[top : top + height, left : left + width] = a
        return padded

    def __repr__(self) -> str:
        return f"Pad(rows={self.rows}, columns={self.columns}, padding_mode={self.padding_mode!r})"


class CenterCrop:
    """Cut ``size`` out of the middle; a smaller picture is padded with zeros first."""

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = pair("CenterCrop", "size", size)

    def __call__(self, image: Any) -> Any:
        height, width, _ = size_of("CenterCrop", image)
        new_height, new_width = self.size
        if height < new_height or width < new_width:
            rows, columns = max(new_height - height, 0), max(new_width - width, 0)
            border = (columns // 2, rows // 2, columns - columns // 2, rows - rows // 2)
            image = Pad(border)(image)
            height, width = height + rows, width + columns
        top, left = round((height - new_height) / 2), round((width - new_width) / 2)
        return _crop("CenterCrop", image, top, left, *self.size)

    def __repr__(self) -> str:
        return f"CenterCrop({self.size})"


class RandomCrop:
    """Cut ``size`` out at a random place, after padding."""

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: float | Sequence[float] = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = pair("RandomCrop", "size", size)
        self.pad = None if padding is None else Pad(padding, fill, padding_mode)
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    def __call__(self, image: Any) -> Any:
        if self.pad is not None:
            image = self.pad(image)
        height, width, _ = size_of("RandomCrop", image)
        if self.pad_if_needed and (height < self.size[0] or width < self.size[1]):
            border = (max(self.size[1] - width, 0), max(self.size[0] - height, 0))
            image = Pad(border, self.fill, self.padding_mode)(image)
            height, width, _ = size_of("RandomCrop", image)
        spare = height - self.size[0], width - self.size[1]
        if min(spare) < 0:
            raise ValueError(
                f"RandomCrop: a picture of {height}x{width} is smaller than "
                f"size={self.size}; give padding or pad_if_needed=True"
            )
        rng = current()
        top, left = int(rng.integers(spare[0] + 1)), int(rng.integers(spare[1] + 1))
        return _crop("RandomCrop", image, top, left, *self.size)

    def __repr__(self) -> str:
        return f"RandomCrop({self.size}, pad={self.pad})"


class RandomResizedCrop:
    """Cut out a random part of the picture, of random proportions, and resize it to ``size``.

    ``scale`` bounds the part's share of the area, ``ratio`` its width over its height.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: str | InterpolationMode = InterpolationMode.BILINEAR,
        antialias: bool = True,
    ) -> None:
        self.size = pair("RandomResizedCrop", "size", size)
        for name, (low, high) in (("scale", scale), ("ratio", ratio)):
            if not 0 < low <= high:
                raise ValueError(
                    f"RandomResizedCrop: {name} must be (low, high) with 0 < low <= high, "
                    f"got {(low, high)}"
                )
        self.scale, self.ratio = scale, ratio
        self.resize = Resize(self.size, interpolation, antialias=antialias)

    def _region(self, height: int, width: int) -> tuple[int, int, int, int]:
        rng, (low, high) = current(), self.ratio
        for _ in range(10):
            area = height * width * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(math.log(low), math.log(high)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
        # No luck: the largest centred part of allowed proportions.
        w, h = width, height
        if width / height < low:
            h = min(height, round(width / low))
        elif width / height > high:
            w = min(width, round(height * high))
        return (height - h) // 2, (width - w) // 2, h, w

    def __call__(self, image: Any) -> Any:
        height, width, _ = size_of("RandomResizedCrop", image)
        return self.resize(_crop("RandomResizedCrop", image, *self._region(height, width)))

    def __repr__(self) -> str:
        return f"RandomResizedCrop({self.size}, scale={self.scale}, ratio={self.ratio})"


class RandomHorizontalFlip:
    """Mirror left and right with probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability("RandomHorizontalFlip", p)

    def __call__(self, image: Any) -> Any:
        flip = current().random() < self.p
        return apply_channels_last(
            "RandomHorizontalFlip", image, lambda a: a[:, ::-1] if flip else a
        )

    def __repr__(self) -> str:
        return f"RandomHorizontalFlip(p={self.p})"


class RandomVerticalFlip:
    """Mirror top and bottom with probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability("RandomVerticalFlip", p)

    def __call__(self, image: Any) -> Any:
        flip = current().random() < self.p
        return apply_channels_last("RandomVerticalFlip", image, lambda a: a[::-1] if flip else a)

    def __repr__(self) -> str:
        return f"RandomVerticalFlip(p={self.p})"


def _crop(name: str, image: Any, top: int, left: int, height: int, width: int) -> Any:
    return apply_channels_last(name, image, lambda a: a[top : top + height, left : left + width])
