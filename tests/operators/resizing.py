"""Resizing, padding, windows as columns, channels as pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastconv.nn.functional as F
import reference

from .pooling import adaptive
from .rows import Row, a, bad, call

X = a(2, 3, 4, 5)


def _linear_weights(at: float, n: int) -> dict[int, float]:
    at = min(max(at, 0), n - 1)
    low = int(at)
    return {low: 1 - (at - low), min(low + 1, n - 1): at - low} if at > low else {low: 1.0}


def _cubic_weights(at: float, n: int) -> dict[int, float]:
    low, weights = int(np.floor(at)), {}
    for i in range(low - 1, low + 3):
        d = abs(at - i)
        w = 1.25 * d**3 - 2.25 * d**2 + 1 if d <= 1 else -0.75 * (d**3 - 5 * d**2 + 8 * d - 4)
        place = min(max(i, 0), n - 1)
        weights[place] = weights.get(place, 0) + w
    return weights


def _interpolate(
    x: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: Any = None, recompute_scale_factor: Any = None,
) -> Any:  # fmt: skip
    """Each axis by itself, output by output."""
    rank = x.ndim - 2
    for axis in range(2, x.ndim):
        n, scale = x.shape[axis], None
        if size is not None:
            o = reference.per_axis(size, rank)[axis - 2]
        else:
            f = scale_factor if np.isscalar(scale_factor) else scale_factor[axis - 2]
            o = int(np.floor(n * f))
            scale = None if recompute_scale_factor else f
        step = n / o if scale is None else 1 / scale
        rows = []
        for i in range(o):
            if mode == "nearest":
                weights = {min(int(i * step), n - 1): 1.0}
            elif mode == "nearest-exact":
                weights = {min(int((i + 0.5) * step), n - 1): 1.0}
            else:
                at = i * (n - 1) / max(o - 1, 1) if align_corners else (i + 0.5) * step - 0.5
                weights = (_cubic_weights if mode == "bicubic" else _linear_weights)(at, n)
            rows.append(sum(w * np.take(x, j, axis) for j, w in weights.items()))
        x = np.stack(rows, axis)
    return x


def _antialiased(x: Any, size: Any, mode: str, align_corners: bool) -> Any:
    """Every output is the mean of the inputs, weighted by a hat or cubic around its centre."""
    for axis in (2, 3):
        n, o = x.shape[axis], size[axis - 2]
        step = (n - 1) / max(o - 1, 1) if align_corners else n / o
        wide, rows = max(step, 1), []
        for i in range(o):
            d = [abs(j + 0.5 - step * (i + 0.5)) / wide for j in range(n)]
            w = np.array([
                max(1 - v, 0) if mode == "bilinear"
                else 1.5 * v**3 - 2.5 * v**2 + 1 if v < 1
                else -0.5 * (v**3 - 5 * v**2 + 8 * v - 4) * (v < 2)
                for v in d
            ])  # fmt: skip
            rows.append(np.tensordot(x, w / w.sum(), (axis, 0)))
        x = np.stack(rows, axis)
    return x


def _resize(x: Any, *args: Any, mode: str = "nearest", antialias: bool = False, **more: Any) -> Any:
    if antialias:
        return _antialiased(x, args[0], mode, more.get("align_corners", False))
    if mode == "area":
        return adaptive(x.ndim - 2, np.mean, x, args[0])
    return _interpolate(x, *args, mode=mode, **more)


def _pad(x: Any, pad: Any, mode: str = "constant", value: float = 0) -> Any:
    for axis, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True), 1):
        cut = [slice(None)] * x.ndim
        cut[-axis] = slice(max(-before, 0), x.shape[-axis] - max(-after, 0))
        width = [(0, 0)] * x.ndim
        width[-axis] = (max(before, 0), max(after, 0))
        how = {"constant": "constant", "reflect": "reflect", "replicate": "edge",
               "circular": "wrap"}[mode]  # fmt: skip
        more: Any = {"constant_values": value} if mode == "constant" else {}
        x = np.pad(x[tuple(cut)], width, how, **more)
    return x


def _unfold(x: Any, kernel: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    k, d, p, s = (reference.per_axis(v, 2) for v in (kernel, dilation, padding, stride))
    single = x.ndim == 3
    x = np.pad(x[None] if single else x, [(0, 0), (0, 0), (p[0],) * 2, (p[1],) * 2])
    out = [(n - d[i] * (k[i] - 1) - 1) // s[i] + 1 for i, n in enumerate(x.shape[2:])]
    columns = [
        x[:, :, slice(r * s[0], r * s[0] + d[0] * k[0], d[0])][
            :, :, : k[0], slice(c * s[1], c * s[1] + d[1] * k[1], d[1])
        ][..., : k[1]].reshape(len(x), -1)
        for r in range(out[0])
        for c in range(out[1])
    ]  # fmt: skip
    y = np.stack(columns, -1)
    return y[0] if single else y


def _fold(x: Any, size: Any, *how: Any) -> Any:
    """The adjoint of `_unfold`: what each pixel is spread to, summed back."""
    size = reference.per_axis(size, 2)
    single = x.ndim == 2
    x = x[None] if single else x
    channels = x.shape[1] // int(np.prod(reference.per_axis(how[0], 2)))
    pixels = np.eye(int(np.prod(size)) * channels).reshape(-1, channels, *size)
    y = np.einsum("pkl,nkl->np", _unfold(pixels, *how), x).reshape(len(x), channels, *size)
    return y[0] if single else y


def _shuffle(x: Any, r: int) -> Any:
    n, c, h, w = x.shape
    y = np.zeros((n, c // r**2, h * r, w * r))
    for i in range(r):
        for j in range(r):
            y[:, :, i::r, j::r] = x[:, i * r + j :: r**2]
    return y


def _unshuffle(x: Any, r: int) -> Any:
    n, c, h, w = x.shape
    y = np.zeros((n, c * r**2, h // r, w // r))
    for i in range(r):
        for j in range(r):
            y[:, i * r + j :: r**2] = x[:, :, i::r, j::r]
    return y


def _channel_shuffle(x: Any, groups: int) -> Any:
    each = x.shape[1] // groups
    return x[:, [g * each + c for c in range(each) for g in range(groups)]]


ROWS = [
    *(
        Row(
            name, _resize,
            [
                call(X, scale_factor=2),
                call(X, (7, 3)),
                call(X, (7, 3), mode="nearest-exact"),
                call(a(2, 3, 5), 7, mode="linear"),
                call(X, scale_factor=1.7, mode="bilinear"),
                call(X, (6, 2), mode="bilinear", align_corners=True),
                call(X, (6, 9), mode="bicubic"),
                call(X, (6, 3), mode="bicubic", align_corners=True),
                call(a(1, 2, 4, 3, 5), (3, 6, 5), mode="trilinear"),
                call(X, (3, 2), mode="area"),
                *extra,
            ],
            bad=[
                bad(ValueError, "either size or scale_factor", X),
                bad(ValueError, "only one of size or scale_factor", X, 3, 2),
                bad(ValueError, "needs 3 axes", X, 3, mode="linear"),
                bad(ValueError, "mode must be one of", X, 3, mode="cubic"),
                bad(ValueError, "align_corners", X, 3, align_corners=True),
                bad(ValueError, "scale_factor", X, None, -1.0),
                bad(ValueError, "size", X, (1, 2, 3)),
                bad(ValueError, "antialias needs", X, 3, antialias=True),
                bad(TypeError, "floating-point", np.ones((1, 1, 4, 4), np.uint8), 3,
                    mode="bilinear"),
                bad(TypeError, "input must be", [1.0], 2),
            ] if name == "interpolate" else [],
        )
        for name, extra in (
            ("interpolate", [
                call(X, scale_factor=1.7, mode="bilinear", recompute_scale_factor=True),
                call(a(1, 2, 9, 7), (4, 3), mode="bilinear", antialias=True),
                call(a(1, 2, 9, 7), (4, 9), mode="bicubic", antialias=True),
                call(a(1, 2, 9, 7), (4, 3), mode="bilinear", align_corners=True, antialias=True),
            ]),
            ("upsample", []),
        )
    ),
    Row("upsample_nearest", _resize, [call(X, scale_factor=2), call(X, (3, 7))]),
    Row("upsample_bilinear", lambda x, *s, **f: _resize(x, *s, mode="bilinear",
                                                       align_corners=True, **f),
        [call(X, scale_factor=2), call(X, (3, 7))]),
    Row(
        "pad", _pad,
        [
            call(a(2, 3, 4), (1, 2, 0, 3), value=0.5),
            call(a(2, 3, 4), (-1, 2, 1, -2)),
            call(X, (2, 1, 3, 0), mode="reflect"),
            call(X, (6, 1, 2, 5), mode="replicate"),
            call(X, (2, 5, 3, 0), mode="circular"),
            call(a(2, 3, 4), (2, 1), "reflect"),
            call(a(1, 2, 3, 4, 3), (1, 1, 2, 0, 1, 2), "replicate"),
            call(a(3, 4, 5), (1, 2, 2, 1), "reflect"),
            call(a(2, 3, 4, 3), (1, 1, 2, 0, 1, 2), "circular"),
        ],
        bad=[
            bad(ValueError, "even number", X, (1,)),
            bad(ValueError, "should be less", X, (5, 0), mode="reflect"),
            bad(ValueError, "wrapping around", X, (6, 0), mode="circular"),
            bad(ValueError, "mode must be", X, (1, 1), mode="mirror"),
            bad(ValueError, "takes no value", X, (1, 1), "reflect", 2.0),
            bad(ValueError, "takes more from axis", X, (-3, -3)),
            bad(TypeError, "input must be", [1.0], (1, 1)),
        ],
        backward=lambda g, y, x, pad, mode="constant", value=0: (
            F.pad_backward(g, x.shape, pad, mode),
        ),
        covers=["pad_backward"],
    ),
    Row("unfold", _unfold,
        [call(a(2, 3, 6, 7), (2, 3), 2, 1, (1, 2)), call(a(3, 4, 4), 2), call(X, 3, 1, 1, 2)],
        bad=[bad(ValueError, "sliding blocks", X, 9), bad(ValueError, "kernel_size", X, 0),
             bad(ValueError, "3D or 4D", a(3, 4), 2), bad(TypeError, "input must be", [1.0], 1)],
        peer=None),
    Row("fold", _fold, [call(a(2, 12, 9), (5, 6), (2, 3), 1, 1, 2), call(a(8, 9), 4, 2)],
        bad=[
            bad(ValueError, "sliding", a(1, 4, 5), (3, 4), 2),
            bad(ValueError, "divisible by the product", a(1, 5, 4), (3, 4), 2),
            bad(TypeError, "input must be", [1.0], 2, 1),
        ]),
    Row("pixel_shuffle", _shuffle, [call(a(2, 8, 3, 4), 2), call(a(1, 9, 2, 2), 3)],
        bad=[bad(ValueError, "divisible", X, 2), bad(TypeError, "input must be", [1.0], 2)]),
    Row("pixel_unshuffle", _unshuffle, [call(a(2, 3, 4, 6), 2), call(a(1, 1, 3, 6), 3)],
        bad=[bad(ValueError, "divisible", X, 2), bad(TypeError, "input must be", [1.0], 2)]),
    Row("channel_shuffle", _channel_shuffle, [call(a(2, 6, 3, 4), 3), call(a(2, 6, 3), 2)],
        bad=[bad(ValueError, "divisible", X, 2), bad(TypeError, "input must be", [1.0], 2)]),
]  # fmt: skip
