"""How far Winograd along one axis may err: see `winograd`, of which this is the one-dimensional
case, F(4, 3), with windows as a sum over parts of three taps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from winograd import F64, Pads, matrices


def _tiles(x: F64, size: int, count: int) -> F64:
    """(N, C, L) as (N, C, count, size), four apart, zero-padded where the last overhang."""
    need = 4 * (count - 1) + size
    x = np.pad(x, ((0, 0), (0, 0), (0, max(0, need - x.shape[2]))))
    return sliding_window_view(x, size, 2)[:, :, ::4][:, :, :count]


def _parts(x: F64, parts: int, count: int) -> F64:
    """The inputs of all tiles, part by part, at their points."""
    b = np.abs(matrices(4, 3)[2])
    tiles = [_tiles(x[:, :, 3 * j :], 6, count) for j in range(parts)]
    return np.einsum("ia,jncta->ijnct", b, np.stack(tiles))


def _forward(x: F64, w: F64, pad: tuple[int, int]) -> F64:
    """x (N, C, L), w (K, C, S), absolute values."""
    parts = -(-w.shape[2] // 3)
    x = np.pad(x, ((0, 0), (0, 0), pad))
    out = x.shape[2] - w.shape[2] + 1
    count = -(-out // 4)
    a, g, _ = (np.abs(m) for m in matrices(4, 3))
    filters = np.pad(w, ((0, 0), (0, 0), (0, 3 * parts - w.shape[2])))
    u = np.einsum("ia,kcja->ijkc", g, filters.reshape(*w.shape[:2], parts, 3))
    y = np.einsum("ijnct,ijkc->inkt", _parts(x, parts, count), u, optimize=True)
    y = np.einsum("pi,inkt->nktp", a, y)
    return y.reshape(*y.shape[:2], 4 * count)[:, :, :out]


def _input(dy: F64, w: F64, pad: tuple[int, int]) -> F64:
    last = w.shape[2] - 1
    crop = slice(max(0, pad[0] - last), dy.shape[2] - max(0, pad[1] - last))
    rest = (max(0, last - pad[0]), max(0, last - pad[1]))
    return _forward(dy[:, :, crop], w[:, :, ::-1].swapaxes(0, 1), rest)


def _weight(x: F64, dy: F64, taps: int, pad: tuple[int, int]) -> F64:
    parts, count = -(-taps // 3), -(-dy.shape[2] // 4)
    a, g, _ = (np.abs(m) for m in matrices(3, 4))
    v = _parts(np.pad(x, ((0, 0), (0, 0), pad)), parts, count)
    u = np.einsum("ia,nkta->inkt", g, _tiles(dy, 4, count))
    dw = np.einsum("ijnct,inkt->ijkc", v, u, optimize=True)
    dw = np.einsum("pi,ijkc->kcjp", a, dw)
    return dw.reshape(*dw.shape[:2], 3 * parts)[:, :, :taps]


def error_scale(direction: str, data: Any, pads: Pads, groups: int) -> F64:
    """The bound of F(4, 3) along the only axis of the window that has taps.

    Three times the transform of absolute values: where that is not squared by a second axis, its
    own roundings, a dozen in a row, are not small beside it."""
    target = data[{"forward": 2, "input": 0, "weight": 1}[direction]]
    axis = 2 + int(np.argmax(data[1].shape[2:]))
    moved = [np.moveaxis(np.abs(np.asarray(a, np.float64)), axis, -1) for a in data]
    x, w, dy = moved
    # What lies across the axis is more images.
    images = [np.moveaxis(a, 1, -2).reshape(-1, a.shape[1], a.shape[-1]) for a in (x, dy)]
    lines = w.reshape(*w.shape[:2], w.shape[-1])
    parts = []
    for xg, wg, dyg in zip(
        np.split(images[0], groups, 1),
        np.split(lines, groups, 0),
        np.split(images[1], groups, 1),
        strict=True,
    ):
        pad = pads[axis - 2]
        if direction == "forward":
            parts.append(_forward(xg, wg, pad))
        elif direction == "input":
            parts.append(_input(dyg, wg, pad))
        else:
            parts.append(_weight(xg, dyg, w.shape[-1], pad))
    found = np.concatenate(parts, 0 if direction == "weight" else 1)
    target = np.moveaxis(target, axis, -1)
    found *= 3
    if direction == "weight":
        return np.moveaxis(found.reshape(target.shape), -1, axis)
    across = np.moveaxis(target, 1, -2)
    return np.moveaxis(np.moveaxis(found.reshape(across.shape), -2, 1), -1, axis)
