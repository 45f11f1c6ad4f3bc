"""Filters on pictures, each of them a convolution.

A picture is an array (H, W) or (H, W, C) with 1, 3 or 4 channels, the fourth being opacity, which
filters leave alone; a film is a stack of such pictures (F, H, W, C).  uint8 (0..255) and floats
(0..1) are taken, and the result has the shape and dtype of the input.  Beyond its border a picture
goes on with its outermost pixels unless ``border`` says otherwise.

>>> import numpy as np
>>> picture = np.zeros((5, 5), dtype=np.uint8)
>>> picture[2, 2] = 90
>>> int(blur(picture, 3)[1, 1])
10
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .functional import conv2d

__all__ = [
    "FILTERS",
    "blur",
    "box_kernel",
    "edges",
    "emboss",
    "filter2d",
    "gaussian_blur",
    "gaussian_kernel",
    "sharpen",
    "vintage",
]

Picture = NDArray[Any]
Kernel = NDArray[np.float32]

_LUMA = np.array([0.299, 0.587, 0.114])  # brightness of red, green and blue: ITU-R BT.601

# border -> np.pad's mode
_BORDERS = {"edge": "edge", "reflect": "reflect", "wrap": "wrap", "zero": "constant"}
_DTYPES = (np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.float64))


def box_kernel(size: int) -> Kernel:
    """The averaging kernel: a row of ``size`` equal weights that sum to 1."""
    _check_size("box_kernel", size)
    return np.full(size, 1 / size, dtype=np.float32)


def gaussian_kernel(sigma: float, size: int | None = None) -> Kernel:
    """A row of weights that fall off as a Gaussian of deviation ``sigma`` and sum to 1.

    ``size`` is odd; unless given the row reaches three deviations to either side.
    """
    if not 0 < sigma <= 1000:
        raise ValueError(f"gaussian_kernel: sigma must be between 0 and 1000, got {sigma!r}")
    if size is None:
        size = 2 * math.ceil(3 * sigma) + 1
    _check_size("gaussian_kernel", size)
    distance = np.arange(size) - size // 2
    weights = np.exp(-0.5 * (distance / sigma) ** 2)
    row: Kernel = (weights / weights.sum()).astype(np.float32)
    return row


def filter2d(picture: ArrayLike, kernel: ArrayLike, *, border: str = "edge") -> Picture:
    """Slide a kernel over a picture: each pixel becomes the sum of products around it.

    Parameters
    ----------
    picture : array (H, W), (H, W, C) or (F, H, W, C)
        uint8, float32 or float64.
    kernel : array (R, S), or (R,) for a kernel applied along rows and columns in turn
        Not flipped: this is the convolution of neural networks.  Its centre is at R // 2, S // 2.
    border : "edge", "reflect", "wrap" or "zero"
        What is assumed beyond the border.

    Returns
    -------
    array
        Of the shape and dtype of ``picture``; uint8 is rounded and saturated, floats are not
        clipped.

    Raises
    ------
    ValueError
        If the picture or the kernel has an impossible shape.
    TypeError
        If the picture has another dtype.
    """
    weights = np.asarray(kernel, dtype=np.float64)
    if weights.ndim not in (1, 2) or weights.size == 0 or not np.isfinite(weights).all():
        raise ValueError(
            f"filter2d: kernel must be a finite (R, S) or (R,), got shape {weights.shape}"
        )

    def convolve(values: Picture) -> Picture:
        if weights.ndim == 2:
            return _convolve(values, weights, border)
        return _convolve(_convolve(values, weights[:, None], border), weights[None, :], border)

    return _on_colours("filter2d", picture, convolve)


def blur(picture: ArrayLike, size: int = 5, *, border: str = "edge") -> Picture:
    """Replace each pixel by the mean of the ``size`` x ``size`` pixels around it."""
    _check_size("blur", size)
    return filter2d(picture, box_kernel(size), border=border)


def gaussian_blur(
    picture: ArrayLike, sigma: float = 1.5, size: int | None = None, *, border: str = "edge"
) -> Picture:
    """Blur with weights that fall off smoothly; `gaussian_kernel` says how."""
    return filter2d(picture, gaussian_kernel(sigma, size), border=border)


def sharpen(
    picture: ArrayLike, amount: float = 1.0, sigma: float = 1.5, *, border: str = "edge"
) -> Picture:
    """Add ``amount`` times what a Gaussian blur takes away (unsharp masking)."""
    weights = gaussian_kernel(sigma).astype(np.float64)
    if not np.isfinite(amount):
        raise ValueError(f"sharpen: amount must be finite, got {amount!r}")

    def change(values: Picture) -> Picture:
        soft = _convolve(_convolve(values, weights[:, None], border), weights[None, :], border)
        sharp: Picture = values + values.dtype.type(amount) * (values - soft)
        return sharp

    return _on_colours("sharpen", picture, change, clip=True)


def edges(picture: ArrayLike, *, border: str = "edge") -> Picture:
    """The strength of edges: the length of the Sobel gradient, white on black."""
    slope = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]]) / 4

    def change(values: Picture) -> Picture:
        return np.hypot(_convolve(values, slope, border), _convolve(values, slope.T, border))

    return _on_colours("edges", picture, change, clip=True)


def emboss(picture: ArrayLike, strength: float = 1.0, *, border: str = "edge") -> Picture:
    """As if pressed into grey metal and lit from the upper left."""
    if not np.isfinite(strength):
        raise ValueError(f"emboss: strength must be finite, got {strength!r}")
    relief = strength * np.array([[-2, -1, 0], [-1, 0, 1], [0, 1, 2]]) / 2

    def change(values: Picture) -> Picture:
        height = values
        if values.shape[1] == 3:  # brightness is a 1x1 convolution over colours
            height = conv2d(values, _LUMA[None, :, None, None].astype(values.dtype))
        lit = values.dtype.type(0.5) + _convolve(height, relief, border)
        return np.broadcast_to(lit, values.shape)

    return _on_colours("emboss", picture, change, clip=True)


# Sepia: rows are the red, green and blue that come of the old red, green and blue.
_SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])


def vintage(picture: ArrayLike, strength: float = 1.0) -> Picture:
    """An old photograph: soft, brownish, faded, darker towards the corners.

    ``strength`` blends from the picture itself (0) to the full effect (1).  The colours are a 1x1
    convolution, the softness a 3x3 one.  Grey pictures stay grey.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"vintage: strength must be between 0 and 1, got {strength!r}")
    softness = gaussian_kernel(0.7, 3).astype(np.float64)

    def change(values: Picture) -> Picture:
        height, width = values.shape[2:]
        aged = _convolve(values, np.outer(softness, softness), "edge")
        if values.shape[1] == 3:
            # 1x1 convolution over colours; blended, so that some of the old ones shine through
            tone = 0.8 * _SEPIA + 0.2 * np.eye(3)
            aged = conv2d(aged, tone[:, :, None, None].astype(values.dtype))
        # fade: blacks turn grey and whites cream
        aged = values.dtype.type(0.06) + values.dtype.type(0.86) * np.minimum(aged, 1)
        y = np.linspace(-1, 1, height)[:, None] if height > 1 else np.zeros((1, 1))
        x = np.linspace(-1, 1, width)[None, :] if width > 1 else np.zeros((1, 1))
        light = (1 - 0.35 * (0.5 * (x * x + y * y)) ** 1.5).astype(values.dtype)
        blended: Picture = values + values.dtype.type(strength) * (aged * light - values)
        return blended

    return _on_colours("vintage", picture, change, clip=True)


#: The named filters, as ``fastconv filter`` offers them.
FILTERS: dict[str, Callable[..., Picture]] = {
    "blur": blur,
    "gaussian_blur": gaussian_blur,
    "sharpen": sharpen,
    "edges": edges,
    "emboss": emboss,
    "vintage": vintage,
}


def _check_size(name: str, size: int) -> None:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1 or size % 2 == 0:
        raise ValueError(f"{name}: size must be a positive odd int, got {size!r}")


def _convolve(values: Picture, kernel: NDArray[np.float64], border: str) -> Picture:
    """Every plane of ``values`` (F, C, H, W) with ``kernel`` (R, S), keeping the size."""
    if border not in _BORDERS:
        raise ValueError(f"border must be one of {', '.join(_BORDERS)}, got {border!r}")
    rows, columns = kernel.shape
    top, left = rows // 2, columns // 2
    widths = ((0, 0), (0, 0), (top, rows - 1 - top), (left, columns - 1 - left))
    padded = np.pad(values, widths, mode=_BORDERS[border])  # type: ignore[call-overload]
    channels = values.shape[1]
    weight = np.broadcast_to(kernel.astype(values.dtype), (channels, 1, rows, columns))
    result: Picture = conv2d(padded, np.ascontiguousarray(weight), groups=channels)
    return result


def _on_colours(
    name: str, picture: ArrayLike, change: Callable[[Picture], Picture], clip: bool = False
) -> Picture:
    """Apply ``change`` to the colours of a picture or film seen as (F, C, H, W) within 0..1.

    With ``clip`` the colours of float pictures are kept within 0..1 too, if they were.
    """
    pixels = np.asarray(picture)
    if pixels.dtype not in _DTYPES:
        raise TypeError(f"{name}: picture must be uint8, float32 or float64, got {pixels.dtype}")
    if pixels.ndim not in (2, 3, 4) or (pixels.ndim > 2 and pixels.shape[-1] not in (1, 3, 4)):
        raise ValueError(
            f"{name}: picture must have shape (H, W), (H, W, C) or (F, H, W, C) "
            f"with C 1, 3 or 4, got {pixels.shape}"
        )
    frames = pixels[None, :, :, None] if pixels.ndim == 2 else pixels
    frames = frames[None] if frames.ndim == 3 else frames
    if frames.size == 0:
        raise ValueError(f"{name}: picture is empty: shape {pixels.shape}")
    colours = frames[..., :3]
    planes = np.moveaxis(colours, 3, 1)  # a channels-last view (F, C, H, W)
    white = 1.0
    if pixels.dtype == np.uint8:
        planes, white = planes.astype(np.float32) / np.float32(255), 255.0
    changed = np.moveaxis(change(planes), 1, 3)
    if pixels.dtype == np.uint8:
        changed = np.rint(np.clip(changed, 0, 1) * np.float32(white)).astype(np.uint8)
    elif clip:
        changed = np.clip(changed, min(float(colours.min()), 0.0), max(float(colours.max()), 1.0))
    result = np.concatenate([changed, frames[..., 3:]], axis=3)
    return np.ascontiguousarray(result.reshape(pixels.shape), dtype=pixels.dtype)
