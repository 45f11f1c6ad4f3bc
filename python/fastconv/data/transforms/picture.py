"""What the transforms work on.

A *picture* is a NumPy array (H, W) or (H, W, C), as Pillow and cameras give them, usually uint8;
Pillow images are accepted and become such arrays.  A *tensor* is a `fastconv.Tensor` (C, H, W),
what ``ToTensor`` makes.  The type tells the layout, so each transform is written once, for
channels-last arrays, and serves both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...tensor import Tensor

Array = NDArray[Any]

__all__ = [
    "Array",
    "InterpolationMode",
    "apply_channels_last",
    "as_picture",
    "fill_value",
    "full_scale",
    "mode_name",
    "pair",
    "size_of",
]


class InterpolationMode(str, Enum):
    """How values between pixels are found."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"


def mode_name(name: str, mode: str | InterpolationMode, allowed: Sequence[str]) -> str:
    """The interpolation mode as a plain string, checked."""
    value = mode.value if isinstance(mode, InterpolationMode) else mode
    if value not in allowed:
        raise ValueError(f"{name}: interpolation must be one of {', '.join(allowed)}, got {mode!r}")
    return str(value)


def as_picture(name: str, image: Any) -> Array:
    """A picture as an array (H, W) or (H, W, C); Pillow images are converted."""
    if not isinstance(image, np.ndarray):
        if not hasattr(image, "__array_interface__"):
            raise TypeError(
                f"{name}: expected a picture (array or Pillow image) or a tensor, "
                f"got {type(image).__name__}"
            )
        image = np.asarray(image)
    if image.ndim not in (2, 3):
        raise ValueError(
            f"{name}: expected a picture of shape (H, W) or (H, W, C), got shape {image.shape}"
        )
    if image.dtype != np.uint8 and image.dtype not in (np.float32, np.float64):
        raise TypeError(
            f"{name}: expected a picture of uint8, float32 or float64, got {image.dtype}"
        )
    picture: Array = image
    return picture


def apply_channels_last(name: str, image: Any, change: Callable[[Array], Array]) -> Any:
    """Apply ``change`` to ``image`` seen as (H, W, C); the result has the kind of the input."""
    if isinstance(image, Tensor):
        if image.data.ndim != 3:
            raise ValueError(
                f"{name}: expected a tensor of shape (C, H, W), got shape {image.data.shape}"
            )
        changed = change(np.moveaxis(image.data, 0, 2))
        return Tensor(np.ascontiguousarray(np.moveaxis(changed, 2, 0)))
    picture = as_picture(name, image)
    if picture.ndim == 2:
        return np.ascontiguousarray(change(picture[:, :, None])[:, :, 0])
    return np.ascontiguousarray(change(picture))


def size_of(name: str, image: Any) -> tuple[int, int, int]:
    """(height, width, channels) of a picture or a tensor."""
    if isinstance(image, Tensor):
        if image.data.ndim != 3:
            raise ValueError(
                f"{name}: expected a tensor of shape (C, H, W), got shape {image.data.shape}"
            )
        channels, height, width = image.data.shape
        return height, width, channels
    shape = as_picture(name, image).shape
    return shape[0], shape[1], shape[2] if len(shape) == 3 else 1


def full_scale(array: Array) -> float:
    """The value of white: 255 for uint8, 1 for floats."""
    return 255.0 if array.dtype == np.uint8 else 1.0


def pair(name: str, argument: str, value: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) from an int (a square) or two ints, all positive."""
    numbers = (value, value) if isinstance(value, int) else tuple(value)
    if len(numbers) == 1:
        numbers = (numbers[0], numbers[0])
    if len(numbers) != 2 or any(
        isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in numbers
    ):
        raise ValueError(f"{name}: {argument} must be one or two positive ints, got {value!r}")
    return numbers[0], numbers[1]


def fill_value(fill: float | Sequence[float], like: Array) -> Array:
    """What is put outside the picture, one value per channel of ``like`` (H, W, C)."""
    values = np.atleast_1d(np.asarray(fill, dtype=np.float64))
    if values.ndim != 1 or values.shape[0] not in (1, like.shape[2]):
        raise ValueError(f"fill must be one value or one per channel, got {fill!r}")
    return np.broadcast_to(values, (like.shape[2],)).astype(like.dtype)
