"""Convolution and pooling in plain NumPy and float64: the truth that every kernel is held to.

Written to be read, not to be fast.  One code serves every rank: arrays are (N, C, *spatial),
and everything spatial is a tuple with one entry per axis.  The single idea is the *tap*.  A kernel
of extent (R, S) has R*S taps; the inputs that tap (r, s) meets, over all outputs, are one strided
slice of the padded input.  Every operator below is a loop over taps:

    forward            y        += slice * w[tap]
    input gradient     dx[slice] += dy * w[tap]
    weight gradient    dw[tap]   = sum(slice * dy)

Padding arrives here in its final form, one (before, after) pair per axis; `pairs` turns what a user
may write into that form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

F64 = NDArray[np.float64]
Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


# Geometry -----------------------------------------------------------------------------------------


def per_axis(value: int | Sequence[int], rank: int) -> Ints:
    """An int for all axes, or one int per axis, as a tuple of `rank` ints."""
    if isinstance(value, (int, np.integer)):
        return (int(value),) * rank
    values = tuple(int(v) for v in value)
    return values * rank if len(values) == 1 else values


def pairs(padding: Any, kernel: Ints, dilation: Ints) -> Pairs:
    """Padding as a user writes it, as one (before, after) pair per axis.

    "same" pads d(k-1) in all; where that is odd the extra element goes after (PyTorch's rule).
    """
    rank = len(kernel)
    if padding == "valid":
        return ((0, 0),) * rank
    if padding == "same":
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    if isinstance(padding, (int, np.integer)):
        return ((int(padding), int(padding)),) * rank
    sides = [p if isinstance(p, Sequence) else (p, p) for p in padding]
    return tuple((int(before), int(after)) for before, after in sides * (rank // len(sides)))


def output_size(n: int, k: int, s: int, pad: tuple[int, int], d: int, ceil: bool = False) -> int:
    """Outputs along one axis.  Rounding up may add a last window that overhangs the padding, but
    that window has to begin inside the input or the padding before it."""
    before, after = pad
    room = n + before + after - (d * (k - 1) + 1)
    if not ceil:
        return room // s + 1
    size = (room + s - 1) // s + 1
    return size - 1 if (size - 1) * s >= n + before else size


def output_shape(
    spatial: Ints, kernel: Ints, stride: Ints, padding: Pairs, dilation: Ints, ceil: bool = False
) -> Ints:
    axes = zip(spatial, kernel, stride, padding, dilation, strict=True)
    return tuple(output_size(n, k, s, p, d, ceil) for n, k, s, p, d in axes)


def tap_slices(
    kernel: Ints, out: Ints, stride: Ints, dilation: Ints
) -> Iterator[tuple[Ints, tuple[Any, ...]]]:
    """Each tap in row-major order, with the slice of the padded array that it meets."""
    for tap in np.ndindex(*kernel):
        axes = zip(tap, out, stride, dilation, strict=True)
        yield tap, (..., *(slice(t * d, t * d + (o - 1) * s + 1, s) for t, o, s, d in axes))


def pad_spatial(a: NDArray[Any], padding: Pairs, value: float) -> NDArray[Any]:
    return np.pad(a, [(0, 0)] * (a.ndim - len(padding)) + list(padding), constant_values=value)


def crop_spatial(a: NDArray[Any], padding: Pairs, spatial: Ints) -> NDArray[Any]:
    axes = zip(padding, spatial, strict=True)
    return a[(..., *(slice(before, before + n) for (before, _), n in axes))]


# Convolution (cross-correlation, as in every deep-learning library) -------------------------------
# x (N, C, *spatial), w (K, C/G, *kernel), y (N, K, *out); channels split into G groups.


def _split(a: F64, groups: int) -> F64:
    """(N, C, ...) as (N, G, C/G, ...)."""
    return a.reshape(a.shape[0], groups, a.shape[1] // groups, *a.shape[2:])


def _flat(a: F64) -> F64:
    """(N, G, C/G, *spatial) with all positions on one axis."""
    return a.reshape(*a.shape[:3], int(np.prod(a.shape[3:])))


def conv(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> F64:
    x, w = np.asarray(x, np.float64), np.asarray(w, np.float64)
    kernel, rank = w.shape[2:], w.ndim - 2
    stride, dilation = per_axis(stride, rank), per_axis(dilation, rank)
    padding = pairs(padding, kernel, dilation)
    out = output_shape(x.shape[2:], kernel, stride, padding, dilation)

    xp = _split(pad_spatial(x, padding, 0.0), groups)
    wg = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    y = np.zeros((x.shape[0], groups, w.shape[0] // groups, *out))
    for tap, at in tap_slices(kernel, out, stride, dilation):
        y += np.einsum("ngc...,gkc->ngk...", xp[at], wg[(..., *tap)])
    y = y.reshape(x.shape[0], w.shape[0], *out)
    return y if b is None else y + np.reshape(np.asarray(b, np.float64), (-1, *(1,) * rank))


def conv_input(
    x_shape: Sequence[int],
    w: ArrayLike,
    dy: ArrayLike,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> F64:
    """Gradient with respect to x: each output hands dy * w back to the inputs it was made from."""
    w, dy = np.asarray(w, np.float64), np.asarray(dy, np.float64)
    kernel, rank = w.shape[2:], w.ndim - 2
    stride, dilation = per_axis(stride, rank), per_axis(dilation, rank)
    padding = pairs(padding, kernel, dilation)

    dyg = _split(dy, groups)
    wg = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    dxp = _split(pad_spatial(np.zeros(x_shape), padding, 0.0), groups)
    for tap, at in tap_slices(kernel, dy.shape[2:], stride, dilation):
        dxp[at] += np.einsum("ngk...,gkc->ngc...", dyg, wg[(..., *tap)])
    return crop_spatial(dxp, padding, tuple(x_shape[2:])).reshape(x_shape)


def conv_weight(
    x: ArrayLike,
    w_shape: Sequence[int],
    dy: ArrayLike,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> F64:
    """Gradient with respect to w: each tap collects x * dy over all images and positions."""
    x, dy = np.asarray(x, np.float64), np.asarray(dy, np.float64)
    kernel, rank = tuple(w_shape[2:]), len(w_shape) - 2
    stride, dilation = per_axis(stride, rank), per_axis(dilation, rank)
    padding = pairs(padding, kernel, dilation)

    xp, dyg = _split(pad_spatial(x, padding, 0.0), groups), _split(dy, groups)
    dw = np.zeros((groups, w_shape[0] // groups, *w_shape[1:]))
    for tap, at in tap_slices(kernel, dy.shape[2:], stride, dilation):
        dw[(..., *tap)] = np.einsum("ngcp,ngkp->gkc", _flat(xp[at]), _flat(dyg))
    return dw.reshape(w_shape)


def conv_bias(dy: ArrayLike) -> F64:
    dy = np.asarray(dy, np.float64)
    return dy.sum(axis=(0, *range(2, dy.ndim)))


# Pooling ------------------------------------------------------------------------------------------


class Windows:
    """The windows of one pooling problem: their output shape, and a frame round the input wide
    enough that every window, overhanging ones too, lies inside it."""

    def __init__(
        self, spatial: Ints, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: bool
    ) -> None:
        rank = len(spatial)
        self.spatial = spatial
        self.kernel = per_axis(kernel, rank)
        self.stride = self.kernel if stride is None else per_axis(stride, rank)
        self.dilation = per_axis(dilation, rank)
        self.padding = pairs(padding, self.kernel, self.dilation)
        self.out = output_shape(
            spatial, self.kernel, self.stride, self.padding, self.dilation, ceil
        )
        axes = zip(
            self.out, self.kernel, self.stride, self.dilation, self.padding, spatial, strict=True
        )
        self.frame = tuple(
            (before, max(after, (o - 1) * s + d * (k - 1) + 1 - before - n))
            for o, k, s, d, (before, after), n in axes
        )

    def taps(self) -> Iterator[tuple[Any, ...]]:
        for _, at in tap_slices(self.kernel, self.out, self.stride, self.dilation):
            yield at

    def framed(self, a: NDArray[Any], value: float) -> NDArray[Any]:
        return pad_spatial(a, self.frame, value)

    def positions(self) -> NDArray[np.int64]:
        """Flat index of each input element in its plane, -1 in the frame."""
        flat = np.arange(int(np.prod(self.spatial)), dtype=np.int64).reshape(self.spatial)
        return self.framed(flat, -1)

    def divisors(self, count_include_pad: bool, override: int | None) -> F64:
        """What each window's sum is divided by; a window that meets nothing counts as one."""
        if override is not None:
            return np.full(self.out, float(override))
        counted = np.ones(self.spatial)
        if count_include_pad:
            counted = pad_spatial(counted, self.padding, 1.0)
        # What the frame has beyond the counted part is overhang: it never counts.
        have = self.padding if count_include_pad else ((0, 0),) * len(self.spatial)
        rest = [(f[0] - p[0], f[1] - p[1]) for f, p in zip(self.frame, have, strict=True)]
        counted = np.pad(counted, rest)
        total = sum((counted[at] for at in self.taps()), np.zeros(self.out))
        return np.maximum(total, 1.0)


def max_pool(
    x: ArrayLike,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> tuple[F64, NDArray[np.int64]]:
    """Maxima, and the flat index in its plane of each one.

    The first of equal values wins (so -0.0 before 0.0 stays -0.0); a NaN beats every number, and
    the last NaN wins; a window that meets no input at all gives -inf and index -1.
    """
    x = np.asarray(x, np.float64)
    win = Windows(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    xf, positions = win.framed(x, -np.inf), win.positions()
    best = np.full((*x.shape[:2], *win.out), -np.inf)
    index = np.full(best.shape, -1, np.int64)
    for at in win.taps():
        v, position = xf[at], np.broadcast_to(positions[at], best.shape)
        wins = (position >= 0) & ((index < 0) | (v > best) | np.isnan(v))
        best, index = np.where(wins, v, best), np.where(wins, position, index)
    return best, index


def max_pool_input(x_shape: Sequence[int], dy: ArrayLike, index: NDArray[np.int64]) -> F64:
    """Gradient of max pooling: all of dy goes to the element that won, nowhere if none did."""
    dy = np.asarray(dy, np.float64)
    dx = np.zeros((x_shape[0], x_shape[1], int(np.prod(x_shape[2:]))))
    for plane in np.ndindex(*x_shape[:2]):
        won = index[plane] >= 0
        np.add.at(dx[plane], index[plane][won], dy[plane][won])
    return dx.reshape(x_shape)


def avg_pool(
    x: ArrayLike,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    dilation: Any = 1,
) -> F64:
    x = np.asarray(x, np.float64)
    win = Windows(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    xf = win.framed(x, 0.0)
    total = sum((xf[at] for at in win.taps()), np.zeros((*x.shape[:2], *win.out)))
    return total / win.divisors(count_include_pad, divisor_override)


def avg_pool_input(
    x_shape: Sequence[int],
    dy: ArrayLike,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    dilation: Any = 1,
) -> F64:
    """Gradient of average pooling: dy / divisor to every element of the window."""
    win = Windows(tuple(x_shape[2:]), kernel, stride, padding, dilation, ceil_mode)
    share = np.asarray(dy, np.float64) / win.divisors(count_include_pad, divisor_override)
    dxf = win.framed(np.zeros(x_shape), 0.0)
    for at in win.taps():
        dxf[at] += share
    return crop_spatial(dxf, win.frame, win.spatial)
