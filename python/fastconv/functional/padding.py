"""Padding with constants or with the input's own values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record
from ._tools import array_first

__all__ = ["pad", "pad_backward"]

_MODES = ("constant", "reflect", "replicate", "circular")


def _sides(name: str, pad: Sequence[int], x: Array) -> list[tuple[int, int]]:
    """Before and after each axis, from PyTorch's list, which starts at the last axis."""
    values = [int(p) for p in pad]
    if len(values) % 2 or len(values) > 2 * x.ndim:
        raise ValueError(
            f"{name}: pad must have an even number of values, at most {2 * x.ndim} for shape "
            f"{x.shape}, got {values}"
        )
    pairs = list(zip(values[::2], values[1::2], strict=True))
    sides = [(0, 0)] * (x.ndim - len(pairs)) + pairs[::-1]
    for axis, (before, after) in enumerate(sides):
        if x.shape[axis] + before + after < 0:
            raise ValueError(
                f"{name}: pad {values} takes more from axis {axis} than its extent {x.shape[axis]}"
            )
    return sides


def _sources(name: str, n: int, before: int, after: int, mode: str) -> Array:
    """For each position along a padded axis the index in the input that its value comes from."""
    if mode == "reflect" and max(before, after) >= n:
        raise ValueError(
            f"{name}: Padding size should be less than the corresponding input dimension, "
            f"but got {(before, after)} for extent {n}"
        )
    if mode == "circular" and max(before, after) > n:
        raise ValueError(
            f"{name}: Padding value causes wrapping around more than once: {(before, after)} for "
            f"extent {n}"
        )
    if mode == "replicate" and n == 0 and max(before, after) > 0:
        raise ValueError(f"{name}: nothing to replicate along an axis of extent 0")
    if mode == "circular":  # what negative padding cuts off does not come round
        left = n + min(before, 0) + min(after, 0)
        return np.arange(-max(before, 0), left + max(after, 0)) % max(left, 1) - min(before, 0)
    at = np.arange(-before, n + after)
    if mode == "reflect":
        at = np.abs(at)
        return np.where(at >= n, 2 * (n - 1) - at, at)
    return np.clip(at, 0, max(n - 1, 0))


def _crops(sides: list[tuple[int, int]]) -> tuple[slice, ...]:
    """What negative padding leaves of each axis."""
    return tuple(slice(max(-b, 0), -max(-a, 0) or None) for b, a in sides)


def pad_backward(
    grad_output: Array, input_shape: Sequence[int], pad: Sequence[int], mode: str = "constant"
) -> Array:
    """Gradient of :func:`pad` with respect to its input, of shape `input_shape`."""
    shape = tuple(input_shape)
    sides = _sides("pad_backward", pad, np.broadcast_to(np.zeros((), np.int8), shape))
    if mode == "constant":
        inner = tuple(
            slice(max(b, 0), g - max(a, 0))
            for (b, a), g in zip(sides, grad_output.shape, strict=True)
        )
        if all(b >= 0 and a >= 0 for b, a in sides):
            return grad_output[inner]
        gx = np.zeros(shape, grad_output.dtype)
        gx[_crops(sides)] = grad_output[inner]
        return gx
    g = grad_output
    for axis, (before, after) in enumerate(sides):
        if before == 0 and after == 0:
            continue
        # The inside goes back as it is; each padded slice is added to where it came from.
        n = shape[axis]
        at = _sources("pad_backward", n, before, after, mode)
        moved = np.moveaxis(g, axis, 0)
        gx = np.zeros((n, *moved.shape[1:]), g.dtype)
        first = max(-before, 0)
        last = n - max(-after, 0)
        gx[first:last] = moved[first + before : last + before]
        for i in (*range(max(before, 0)), *range(len(at) - max(after, 0), len(at))):
            gx[at[i]] += moved[i]
        g = np.moveaxis(gx, 0, axis)
    return g


def pad(
    input: Operand, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Result:
    """`input` with more (or, for negative numbers, less) on each side.

    Parameters
    ----------
    input : any shape
    pad : sequence of int
        ``(left, right, top, bottom, ...)``: before and after, from the last axis backwards.
    mode : {"constant", "reflect", "replicate", "circular"}
    value : float, optional
        What ``"constant"`` puts there; 0 if left out.

    Raises
    ------
    ValueError
        For sides that do not fit the shape or the mode.

    Notes
    -----
    Semantics are those of ``torch.nn.functional.pad``.
    """
    x = raw(array_first("pad", input))
    if mode not in _MODES:
        raise ValueError(f"pad: mode must be one of {_MODES}, got {mode!r}")
    sides = _sides("pad", pad, x)
    if mode == "constant":
        shape = tuple(n + b + a for n, (b, a) in zip(x.shape, sides, strict=True))
        y = np.full(shape, 0 if value is None else value, x.dtype)
        inner = tuple(
            slice(max(b, 0), n - max(a, 0)) for (b, a), n in zip(sides, shape, strict=True)
        )
        y[inner] = x[_crops(sides)]
    else:
        if value not in (None, 0):
            raise ValueError(f"pad: mode {mode!r} takes no value, got {value}")
        y = x
        for axis, (before, after) in enumerate(sides):
            if before or after:
                at = _sources("pad", x.shape[axis], before, after, mode)
                y = np.take(y, at, axis)
    if not isinstance(input, TensorBase):
        return y.copy() if y is x else y
    shape, sides_given = x.shape, tuple(pad)
    return record(
        "Pad", y, (input,), lambda g: (pad_backward(g, shape, sides_given, mode),), view_of=input
    )
