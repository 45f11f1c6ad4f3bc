"""Windows as columns and back, and channels as pixels and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Ints, Operand, Result
from ..autograd import TensorBase, raw, record
from ._tools import array_first, compiled, ints
from .narrow import in_float32

__all__ = [
    "channel_shuffle",
    "fold",
    "pixel_shuffle",
    "pixel_unshuffle",
    "unfold",
]


class _Windows:
    """The geometry of sliding windows over an image: (kernel, stride, padding, dilation) pairs."""

    def __init__(
        self,
        name: str,
        size: tuple[int, int],
        kernel: Ints,
        dilation: Ints,
        padding: Ints,
        stride: Ints,
    ) -> None:
        self.size = size
        self.kernel = ints(kernel, 2, name, "kernel_size")
        self.dilation = ints(dilation, 2, name, "dilation")
        self.padding = ints(padding, 2, name, "padding")
        self.stride = ints(stride, 2, name, "stride")
        for what, values, least in (
            ("kernel_size", self.kernel, 1),
            ("dilation", self.dilation, 1),
            ("padding", self.padding, 0),
            ("stride", self.stride, 1),
        ):
            if min(values) < least:
                raise ValueError(f"{name}: {what} must be at least {least}, got {values}")
        self.blocks = tuple(
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, d, p, s in zip(
                size, self.kernel, self.dilation, self.padding, self.stride, strict=True
            )
        )
        if min(self.blocks) < 1:
            raise ValueError(
                f"{name}: the array of sliding blocks has shape {self.blocks} for size {size}, "
                f"kernel_size {self.kernel}, dilation {self.dilation}, padding {self.padding}, "
                f"stride {self.stride}; it must be at least one by one"
            )
        self.padded = tuple(n + 2 * p for n, p in zip(size, self.padding, strict=True))

    def taps(self) -> Iterator[tuple[int, int, slice, slice]]:
        """For each position in the kernel the padded image's pixels that it meets."""
        for r in range(self.kernel[0]):
            for c in range(self.kernel[1]):
                rows, columns = (
                    slice(o * d, o * d + (b - 1) * s + 1, s)
                    for o, d, b, s in zip(
                        (r, c), self.dilation, self.blocks, self.stride, strict=True
                    )
                )
                yield r, c, rows, columns

    def columns(self, x: Array) -> Array:
        """(N, C, H, W) to (N, C * kernel, blocks)."""
        if compiled(x):
            return _core.unfold(x, self.kernel, self.dilation, self.padding, self.stride)
        (top, left), (h, w) = self.padding, self.size
        padded = x
        if top or left:
            padded = np.zeros((*x.shape[:2], *self.padded), x.dtype)
            padded[:, :, top : top + h, left : left + w] = x
        y = np.empty((*x.shape[:2], *self.kernel, *self.blocks), x.dtype)
        for r, c, rows, columns in self.taps():
            y[:, :, r, c] = padded[:, :, rows, columns]
        rows = x.shape[1] * self.kernel[0] * self.kernel[1]
        return y.reshape(x.shape[0], rows, self.blocks[0] * self.blocks[1])

    def image(self, y: Array) -> Array:
        """(N, C * kernel, blocks) to (N, C, H, W), adding where windows overlap."""
        if compiled(y):
            how = (self.kernel, self.dilation, self.padding, self.stride)
            return _core.fold(y, *self.size, *how)
        (top, left), (h, w) = self.padding, self.size
        channels = y.shape[1] // (self.kernel[0] * self.kernel[1])
        parts = y.reshape(y.shape[0], channels, *self.kernel, *self.blocks)
        padded = np.zeros((*parts.shape[:2], *self.padded), y.dtype)
        for r, c, rows, columns in self.taps():
            padded[:, :, rows, columns] += parts[:, :, r, c]
        return padded[:, :, top : top + h, left : left + w]


def unfold(
    input: Operand, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> Result:
    """Each window of an image as a column.

    Parameters
    ----------
    input : (N, C, H, W) or (C, H, W)
    kernel_size, dilation, padding, stride : int or pair

    Returns
    -------
    array or Tensor, (N, C * R * S, L)
        Rows in the order (c, r, s); L windows, row by row.

    Raises
    ------
    ValueError
        For values that do not fit.
    """
    x = raw(array_first("unfold", input))
    if x.ndim not in (3, 4) or 0 in x.shape[-3:]:
        raise ValueError(
            "unfold: Expected 3D or 4D (batch mode) tensor with possibly 0 batch size, "
            f"got {x.shape}"
        )
    windows = _Windows("unfold", x.shape[-2:], kernel_size, dilation, padding, stride)
    single = x.ndim == 3
    y = windows.columns(x[None] if single else x)
    y = y[0] if single else y
    if not isinstance(input, TensorBase):
        return y

    def backward(g: Array) -> tuple[Array]:
        gx = windows.image(g[None] if single else g)
        return (gx[0] if single else gx,)

    return record("Unfold", y, (input,), backward)


@in_float32
def fold(
    input: Operand,
    output_size: Ints,
    kernel_size: Ints,
    dilation: Ints = 1,
    padding: Ints = 0,
    stride: Ints = 1,
) -> Result:
    """Columns back into an image, adding where windows overlap.

    Parameters
    ----------
    input : (N, C * R * S, L) or (C * R * S, L)
    output_size : int or pair
        The image's extents.
    kernel_size, dilation, padding, stride : int or pair

    Returns
    -------
    array or Tensor, (N, C, *output_size)

    Raises
    ------
    ValueError
        For values that do not fit.
    """
    x = raw(input)
    if x.ndim not in (2, 3):
        raise ValueError(f"fold: expected 2 or 3 axes, got shape {x.shape}")
    height, width = ints(output_size, 2, "fold", "output_size")
    windows = _Windows("fold", (height, width), kernel_size, dilation, padding, stride)
    taps = windows.kernel[0] * windows.kernel[1]
    blocks = windows.blocks[0] * windows.blocks[1]
    if x.shape[-2] % taps:
        raise ValueError(
            "fold: Expected size of input's dimension 1 to be divisible by the product of "
            f"kernel_size, but got input.size(1)={x.shape[-2]} and kernel_size={windows.kernel}"
        )
    if x.shape[-1] != blocks:
        raise ValueError(
            f"fold: expected size of input's dimension 2 to match the calculated number of sliding "
            f"blocks {blocks}, but got {x.shape[-1]}"
        )
    single = x.ndim == 2
    y = np.ascontiguousarray(windows.image(x[None] if single else x))
    y = y[0] if single else y
    if not isinstance(input, TensorBase):
        return y

    def backward(g: Array) -> tuple[Array]:
        gx = windows.columns(g[None] if single else g)
        return (gx[0] if single else gx,)

    return record("Fold", y, (input,), backward)


# ---- channels and pixels -------------------------------------------------------------------------


def _rearranged(name: str, input: Operand, split: Any, order: Any, shape: Any) -> Result:
    """Reshape to `split`, permute by `order`, reshape to `shape`; and the same backwards."""
    x = raw(input)
    y = _moved(x, split, order, shape)
    if not isinstance(input, TensorBase):
        return y
    between, back, original = [split[i] for i in order], np.argsort(order), x.shape
    return record(name, y, (input,), lambda g: (_moved(g, between, back, original),))


def _empty(x: Array, shape: Any) -> Array:
    """An array of `shape` in x's type, channels-last in memory where x is."""
    four = x.ndim == 4 and not x.flags.c_contiguous
    last = four and x.transpose(0, 2, 3, 1).flags.c_contiguous
    memory = [shape[i] for i in (0, 2, 3, 1)] if last else shape
    y = _core.empty(memory, x.itemsize) if compiled(x) else np.empty(memory, x.dtype)
    return y.transpose(0, 3, 1, 2) if last else y


def _moved(x: Array, split: Any, order: Any, shape: Any) -> Array:
    """Axes are only split by the reshapes, so that all are views of what is copied once."""
    y = _empty(x, shape)
    _core.copy(y.reshape([split[i] for i in order]), x.reshape(split).transpose(order))
    return y


def pixel_shuffle(input: Operand, upscale_factor: int) -> Result:
    """(..., C * r * r, H, W) to (..., C, H * r, W * r)."""
    x, r = raw(array_first("pixel_shuffle", input)), upscale_factor
    if x.ndim < 3 or r < 1 or x.shape[-3] % (r * r):
        raise ValueError(
            f"pixel_shuffle: channels must be divisible by the square of upscale_factor {r}, "
            f"got shape {x.shape}"
        )
    *lead, channels, h, w = x.shape
    n, c = len(lead), channels // (r * r)
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return _rearranged(
        "PixelShuffle", input, (*lead, c, r, r, h, w), order, (*lead, c, h * r, w * r)
    )


def pixel_unshuffle(input: Operand, downscale_factor: int) -> Result:
    """(..., C, H * r, W * r) to (..., C * r * r, H, W)."""
    x, r = raw(array_first("pixel_unshuffle", input)), downscale_factor
    if x.ndim < 3 or r < 1 or x.shape[-1] % r or x.shape[-2] % r:
        raise ValueError(
            f"pixel_unshuffle: height and width must be divisible by downscale_factor {r}, "
            f"got shape {x.shape}"
        )
    *lead, c, high, wide = x.shape
    n, h, w = len(lead), high // r, wide // r
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return _rearranged(
        "PixelUnshuffle", input, (*lead, c, h, r, w, r), order, (*lead, c * r * r, h, w)
    )


def channel_shuffle(input: Operand, groups: int) -> Result:
    """Channels of `groups` groups dealt out in turn: (N, g * c, ...) as (N, c, g, ...)."""
    x = raw(array_first("channel_shuffle", input))
    if x.ndim < 3 or groups < 1 or x.shape[1] % groups:
        raise ValueError(
            f"channel_shuffle: channels must be divisible by groups {groups}, got shape {x.shape}"
        )
    split = (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    order = (0, 2, 1, *range(3, len(split)))
    return _rearranged("ChannelShuffle", input, split, order, x.shape)
