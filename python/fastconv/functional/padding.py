"""Padding with constants or with the input's own values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from .. import _core
from .._types import Array, DType, Operand, Result
from ..autograd import TensorBase, raw, record
from ._taps import Plan, Taps, resized_backward
from ._tools import array_first, is_half

__all__ = ["pad", "pad_backward"]

_MODES = ("constant", "reflect", "replicate", "circular")


def _sides(name: str, pad: Sequence[int], shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Before and after each axis, from PyTorch's list, which starts at the last axis."""
    values = [int(p) for p in pad]
    if len(values) % 2 or len(values) > 2 * len(shape):
        raise ValueError(
            f"{name}: pad must have an even number of values, at most {2 * len(shape)} for shape "
            f"{shape}, got {values}"
        )
    pairs = list(zip(values[::2], values[1::2], strict=True))
    sides = [(0, 0)] * (len(shape) - len(pairs)) + pairs[::-1]
    for axis, (before, after) in enumerate(sides):
        if shape[axis] + before + after < 0:
            raise ValueError(
                f"{name}: pad {values} takes more from axis {axis} than its extent {shape[axis]}"
            )
    return sides


def _check(name: str, n: int, before: int, after: int, mode: str) -> None:
    """Whether an axis of extent n can be padded so."""
    if before == after == 0:
        return
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


@lru_cache(256)
def _sources(n: int, before: int, after: int, mode: str) -> Array:
    """For each position along a padded axis the index in the input that its value comes from."""
    if mode == "circular":  # what negative padding cuts off does not come round
        left = n + min(before, 0) + min(after, 0)
        return np.arange(-max(before, 0), left + max(after, 0)) % max(left, 1) - min(before, 0)
    at = np.arange(-before, n + after)
    if mode == "constant":  # -1: not from the input
        return np.where((at >= 0) & (at < n), at, -1)
    if mode == "reflect":
        at = np.abs(at)
        return np.where(at >= n, 2 * (n - 1) - at, at)
    return np.clip(at, 0, max(n - 1, 0))


@lru_cache(256)
def _tables(
    shape: tuple[int, ...], pad: tuple[int, ...], mode: str
) -> tuple[Array | None, ...] | None:
    """The sources along each axis, None for one that stays; None if all do."""
    sides = _sides("pad", pad, shape)
    for n, (before, after) in zip(shape, sides, strict=True):
        _check("pad", n, before, after, mode)
    if not any(before or after for before, after in sides):
        return None
    return tuple(
        _sources(n, before, after, mode) if before or after else None
        for n, (before, after) in zip(shape, sides, strict=True)
    )


@lru_cache(16)
def _zero(dtype: DType) -> Array:
    return np.zeros((), dtype)


@lru_cache(256)
def _taps(n: int, before: int, after: int, mode: str) -> Taps:
    return Taps(_sources(n, before, after, mode)[:, None], None, n)


def pad_backward(
    grad_output: Array, input_shape: Sequence[int], pad: Sequence[int], mode: str = "constant"
) -> Array:
    """Gradient of :func:`pad` with respect to its input, of shape `input_shape`."""
    shape = tuple(input_shape)
    sides = _sides("pad_backward", pad, shape)
    if mode == "constant":
        inner = tuple(
            slice(max(b, 0), g - max(a, 0))
            for (b, a), g in zip(sides, grad_output.shape, strict=True)
        )
        if all(b >= 0 and a >= 0 for b, a in sides):
            return grad_output[inner]
        # The other way round: what was cut off gets zeros.
        tables = tuple(
            _sources(g, -b, -a, mode) if b or a else None
            for (b, a), g in zip(sides, grad_output.shape, strict=True)
        )
        return _core.pad("pad_backward", grad_output, tables, np.zeros((), grad_output.dtype))
    for n, (before, after) in zip(shape, sides, strict=True):
        _check("pad_backward", n, before, after, mode)
    if is_half(grad_output.dtype):
        wide = pad_backward(grad_output.astype(np.float32), shape, pad, mode)
        return wide.astype(grad_output.dtype)
    plan = [
        _taps(n, before, after, mode) if before or after else None
        for n, (before, after) in zip(shape, sides, strict=True)
    ]
    padded = [axis for axis, taps in enumerate(plan) if taps is not None]
    if not padded:
        return grad_output
    # The last axes at once, at most three; channels-last memory where two are in front.
    few = min(max(len(shape) - 2, len(shape) - padded[0], 1), 3)
    g = resized_backward("pad_backward", grad_output, Plan(plan[-few:]))
    for axis in padded:
        if axis < len(shape) - few:
            last = np.moveaxis(g, axis, -1)
            last = resized_backward("pad_backward", last, Plan(plan[axis : axis + 1]))
            g = np.moveaxis(last, -1, axis)
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
    if mode != "constant" and value not in (None, 0):
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value}")
    tables = _tables(x.shape, tuple(int(p) for p in pad), mode)
    y = x
    if tables is not None:
        fill = _zero(x.dtype) if value is None else np.full((), value, x.dtype)
        y = _core.pad("pad", x, tables, fill)
    if not isinstance(input, TensorBase):
        return y.copy() if y is x else y
    shape, sides_given = x.shape, tuple(pad)
    return record(
        "Pad", y, (input,), lambda g: (pad_backward(g, shape, sides_given, mode),), view_of=input
    )
