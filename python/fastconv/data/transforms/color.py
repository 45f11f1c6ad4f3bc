"""Transforms of values: colour jitter, grey, noise, erasing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...tensor import Tensor
from ..rng import current
from .basic import probability
from .picture import Array, apply_channels_last, full_scale, size_of

__all__ = ["ColorJitter", "GaussianNoise", "Grayscale", "RandomErasing", "RandomGrayscale"]

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def _gray(a: Array) -> Array:
    """Luminance (H, W, 1) in float32 of (H, W, 3), or the picture itself if it is grey."""
    if a.shape[2] == 1:
        return a.astype(np.float32)
    if a.shape[2] != 3:
        raise ValueError(f"expected 1 or 3 channels, got {a.shape[2]}")
    return (a.astype(np.float32) @ _LUMA)[..., None]


def _store(values: Array, like: Array) -> Array:
    """``values`` clipped to the range of ``like`` and in its dtype."""
    clipped = np.clip(values, 0, full_scale(like))
    stored: Array = (np.rint(clipped) if like.dtype == np.uint8 else clipped).astype(like.dtype)
    return stored


def _turn_hue(values: Array, turn: float) -> Array:
    """Shift the hue of ``values`` (H, W, 3) in 0..1 by ``turn`` of the colour circle."""
    high, low = values.max(axis=2), values.min(axis=2)
    chroma = high - low
    safe = np.where(chroma > 0, chroma, 1)
    red, green, blue = np.moveaxis(values, 2, 0)
    sextant = np.where(
        high == red,
        (green - blue) / safe % 6,
        np.where(high == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    # A channel falls off linearly with its distance from its own place on the circle of six.
    places = np.array([5.0, 3.0, 1.0], dtype=values.dtype)
    k = (sextant[..., None] + 6 * turn + places) % 6
    turned: Array = high[..., None] - chroma[..., None] * np.clip(np.minimum(k, 4 - k), 0, 1)
    return turned


class ColorJitter:
    """Change brightness, contrast, saturation and hue at random, in random order.

    Each of the first three is a bound b, meaning a factor within (max(0, 1-b), 1+b), or (low,
    high); ``hue`` is a bound up to 0.5, or (low, high), as a share of the colour circle.
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0,
        contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0,
        hue: float | Sequence[float] = 0,
    ) -> None:
        self.brightness = self._bounds("brightness", brightness)
        self.contrast = self._bounds("contrast", contrast)
        self.saturation = self._bounds("saturation", saturation)
        self.hue = self._bounds("hue", hue, centre=0.0, lowest=-0.5, highest=0.5)

    @staticmethod
    def _bounds(
        name: str,
        value: float | Sequence[float],
        centre: float = 1.0,
        lowest: float = 0.0,
        highest: float = math.inf,
    ) -> tuple[float, float] | None:
        if isinstance(value, (int, float)):
            if value < 0:
                raise ValueError(f"ColorJitter: a single {name} must not be negative, got {value}")
            low, high = centre - value, centre + value
            low = max(low, 0.0) if centre else low
        else:
            low, high = value
        if not lowest <= low <= high <= highest:
            raise ValueError(
                f"ColorJitter: {name} must lie within {lowest}..{highest}, got {value}"
            )
        return None if low == high == centre else (low, high)

    def __call__(self, image: Any) -> Any:
        return apply_channels_last("ColorJitter", image, self._jitter)

    def _jitter(self, a: Array) -> Array:
        rng, white = current(), full_scale(a)
        for step in rng.permutation(4):
            bounds = (self.brightness, self.contrast, self.saturation, self.hue)[step]
            if bounds is None:
                continue
            factor = rng.uniform(*bounds)
            values = a.astype(np.float32)
            if step == 0:
                values = values * np.float32(factor)
            elif step == 1:
                mean = _gray(a).mean(dtype=np.float32)
                values = mean + (values - mean) * np.float32(factor)
            elif step == 2:
                gray = _gray(a)
                values = gray + (values - gray) * np.float32(factor)
            elif a.shape[2] == 3:
                values = _turn_hue(values / np.float32(white), factor) * np.float32(white)
            a = _store(values, a)
        return a

    def __repr__(self) -> str:
        return (
            f"ColorJitter(brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue})"
        )


class Grayscale:
    """Turn a picture grey, with one channel or three equal ones."""

    def __init__(self, num_output_channels: int = 1) -> None:
        if num_output_channels not in (1, 3):
            raise ValueError(
                f"Grayscale: num_output_channels must be 1 or 3, got {num_output_channels!r}"
            )
        self.num_output_channels = num_output_channels

    def __call__(self, image: Any) -> Any:
        def gray(a: Array) -> Array:
            return np.repeat(_store(_gray(a), a), self.num_output_channels, axis=2)

        if not isinstance(image, Tensor) and self.num_output_channels == 3:
            image = np.asarray(image)
            image = image[..., None] if image.ndim == 2 else image
        return apply_channels_last("Grayscale", image, gray)

    def __repr__(self) -> str:
        return f"Grayscale(num_output_channels={self.num_output_channels})"


class RandomGrayscale:
    """Turn a picture grey with probability ``p``, keeping its number of channels."""

    def __init__(self, p: float = 0.1) -> None:
        self.p = probability("RandomGrayscale", p)

    def __call__(self, image: Any) -> Any:
        channels = size_of("RandomGrayscale", image)[2]
        return Grayscale(channels)(image) if current().random() < self.p else image

    def __repr__(self) -> str:
        return f"RandomGrayscale(p={self.p})"


class GaussianNoise:
    """Add noise of the given ``mean`` and ``sigma``, both as a share of full scale."""

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> None:
        if not sigma >= 0:
            raise ValueError(f"GaussianNoise: sigma must not be negative, got {sigma!r}")
        self.mean, self.sigma, self.clip = mean, sigma, clip

    def __call__(self, image: Any) -> Any:
        return apply_channels_last("GaussianNoise", image, self._add)

    def _add(self, a: Array) -> Array:
        white = full_scale(a)
        noise = current().standard_normal(a.shape, dtype=np.float32)
        values = a + np.float32(white) * (noise * np.float32(self.sigma) + np.float32(self.mean))
        if self.clip or a.dtype == np.uint8:
            return _store(values, a)
        unclipped: Array = values.astype(a.dtype)
        return unclipped

    def __repr__(self) -> str:
        return f"GaussianNoise(mean={self.mean}, sigma={self.sigma}, clip={self.clip})"


class RandomErasing:
    """With probability ``p`` overwrite a random rectangle.

    ``scale`` bounds its share of the area, ``ratio`` its height over its width; ``value`` is one
    number, one per channel, or ``"random"`` for noise.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: float | Sequence[float] | str = 0,
        inplace: bool = False,
    ) -> None:
        self.p = probability("RandomErasing", p)
        if not 0 <= scale[0] <= scale[1] <= 1:
            raise ValueError(f"RandomErasing: scale must lie within 0..1, got {scale!r}")
        if not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"RandomErasing: ratio must be (low, high), positive, got {ratio!r}")
        if isinstance(value, str) and value != "random":
            raise ValueError(f'RandomErasing: value must be numbers or "random", got {value!r}')
        self.scale, self.ratio, self.value, self.inplace = scale, ratio, value, inplace

    def __call__(self, image: Any) -> Any:
        if current().random() >= self.p:
            return image
        if self.inplace and isinstance(image, Tensor):
            self._erase(np.moveaxis(image.data, 0, 2))
            return image
        return apply_channels_last("RandomErasing", image, lambda a: self._erase(a.copy()))

    def _erase(self, a: Array) -> Array:
        rng = current()
        height, width, channels = a.shape
        for _ in range(10):
            area = height * width * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(*np.log(self.ratio)))
            h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < h < height and 0 < w < width:
                top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
                region = a[top : top + h, left : left + w]
                if self.value == "random":
                    region[...] = _random_values(region)
                else:
                    values = np.atleast_1d(np.asarray(self.value, dtype=np.float64))
                    if values.size not in (1, channels):
                        raise ValueError(
                            f"RandomErasing: value has {values.size} numbers "
                            f"for a picture of {channels} channels"
                        )
                    region[...] = values
                break
        return a

    def __repr__(self) -> str:
        return f"RandomErasing(p={self.p}, scale={self.scale}, value={self.value!r})"


def _random_values(region: Array) -> Array:
    """Noise for an erased region: standard normal for floats, any byte for uint8."""
    if region.dtype == np.uint8:
        return current().integers(256, size=region.shape, dtype=np.uint8)
    return current().standard_normal(region.shape)
