"""How far a Winograd convolution may err: the transform itself, evaluated on absolute values.

F(m x m, 3 x 3) computes tiles of m x m outputs as A [(G w G^T) * (B d B^T)] A^T.  Rounding can lose
at most a small multiple of u times the same expression with every matrix and every datum replaced
by its absolute value; that is the bound the kernels are held to, with a multiple of 1.

`magnitude=False` evaluates the transform as it is, in float64, which proves the matrices.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Pads = tuple[tuple[int, int], ...]
Axes = tuple[int, ...]

# The finite points of tiles of 4 and of 6; infinity always comes last.
POINTS = {4: (0.0, 1.0, -1.0), 6: (0.0, 0.625, -0.625, 1.5, -1.5)}


def matrices(outputs: int, taps: int) -> tuple[F64, F64, F64]:
    """A (outputs, n), G (n, taps) and B (n, n) of F(outputs, taps), n = outputs + taps - 1.

    Toom and Cook: evaluate both polynomials at n points, multiply, interpolate.  How the factor of
    each point is shared between G and B does not change the bound.
    """
    n = outputs + taps - 1
    points = POINTS[n]
    a, g, b = np.zeros((outputs, n)), np.zeros((n, taps)), np.zeros((n, n))
    for i, point in enumerate(points):
        others = [p for p in points if p != point]
        a[:, i] = [point**j for j in range(outputs)]
        g[i] = [point**j / prod(point - p for p in others) for j in range(taps)]
        b[i, : n - 1] = np.poly(others)[::-1]
    a[-1, -1] = g[-1, -1] = 1
    b[-1] = np.poly(points)[::-1]
    return a, g, b


def _tiles(x: F64, size: int, step: int, count: tuple[int, int]) -> F64:
    """(N, C, H, W) as (N, C, *count, size, size), zero-padded where the last tiles overhang."""
    need = [(c - 1) * step + size for c in count]
    fill = [(0, max(0, n - have)) for n, have in zip(need, x.shape[2:], strict=True)]
    x = np.pad(x, ((0, 0), (0, 0), *fill))[:, :, : need[0], : need[1]]
    return sliding_window_view(x, (size, size), (2, 3))[:, :, ::step, ::step]


def _absolute(magnitude: bool, *arrays: F64) -> list[F64]:
    return [np.abs(a) if magnitude else a for a in arrays]


def forward(x: F64, w: F64, pads: Pads, m: int, magnitude: bool = True) -> F64:
    """x (N, C, H, W), w (K, C, 3, 3), stride 1."""
    size = m + 2
    x = np.pad(x, ((0, 0), (0, 0), *pads))
    out = (x.shape[2] - 2, x.shape[3] - 2)
    count = (-(-out[0] // m), -(-out[1] // m))
    x, w, a, g, b = _absolute(magnitude, _tiles(x, size, m, count), w, *matrices(m, 3))
    v = np.einsum("ia,ncyxab,jb->ijncyx", b, x, b, optimize=True)
    u = np.einsum("ia,kcab,jb->ijkc", g, w, g, optimize=True)
    y = np.einsum("ijncyx,ijkc->ijnkyx", v, u, optimize=True)
    y = np.einsum("pi,ijnkyx,qj->nkypxq", a, y, a, optimize=True)
    return y.reshape(*y.shape[:2], m * count[0], m * count[1])[:, :, : out[0], : out[1]]


def input_gradient(dy: F64, w: F64, pads: Pads, m: int, magnitude: bool = True) -> F64:
    """The forward on dy with the kernel turned round and its channels swapped."""
    turned = w[:, :, ::-1, ::-1].swapaxes(0, 1)
    crop = tuple(
        slice(max(0, p - 2), n - max(0, q - 2))
        for (p, q), n in zip(pads, dy.shape[2:], strict=True)
    )
    rest = tuple((max(0, 2 - p), max(0, 2 - q)) for p, q in pads)
    return forward(dy[(..., *crop)], turned, rest, m, magnitude)


def weight_gradient(x: F64, dy: F64, pads: Pads, m: int, magnitude: bool = True) -> F64:
    """F(3 x 3, m x m): tiles of dy are the kernels, and the sum over tiles is taken before the
    transform back."""
    count = (-(-dy.shape[2] // m), -(-dy.shape[3] // m))
    x = np.pad(x, ((0, 0), (0, 0), *pads))
    x, dy, a, g, b = _absolute(
        magnitude, _tiles(x, m + 2, m, count), _tiles(dy, m, m, count), *matrices(3, m)
    )
    v = np.einsum("ia,ncyxab,jb->ijncyx", b, x, b, optimize=True)
    u = np.einsum("ia,nkyxab,jb->ijnkyx", g, dy, g, optimize=True)
    dw = np.einsum("ijncyx,ijnkyx->ijkc", v, u, optimize=True)
    return np.einsum("pi,ijkc,qj->kcpq", a, dw, a, optimize=True)


def error_scale(direction: str, data: Any, pads: Pads, groups: int) -> F64:
    """The bound's b for F(4), the least exact tile in use, group by group."""
    x, w, dy = (np.asarray(a, np.float64) for a in data)
    parts = []
    for xg, wg, dyg in zip(
        np.split(x, groups, 1), np.split(w, groups, 0), np.split(dy, groups, 1), strict=True
    ):
        if direction == "forward":
            parts.append(forward(xg, wg, pads, 4))
        elif direction == "input":
            parts.append(input_gradient(dyg, wg, pads, 4))
        else:
            parts.append(weight_gradient(xg, dyg, pads, 4))
    return np.concatenate(parts, 0 if direction == "weight" else 1)


def window_error_scale(direction: str, data: Any, pads: Pads, groups: int) -> F64:
    """The same for windows of any size, which are sums over parts of 3 x 3 taps."""
    if data[1].shape[2:] == (3, 3):
        return error_scale(direction, data, pads, groups)
    return pieces_error_scale(direction, data, pads, groups, (1, 1), (1, 1))


def pieces_error_scale(
    direction: str, data: Any, pads: Pads, groups: int, stride: Axes, dilation: Axes
) -> F64:
    """The same for large, strided or dilated windows, by pieces of 3 x 3 taps: each is a channel
    of its own, and every phase of the dilation an image without padding."""
    x, w, dy = (np.asarray(a, np.float64) for a in data)
    before = [p for p, _ in pads]
    if direction != "input":
        return _pieces(direction, x, w, dy, before, groups, stride, dilation)
    # Every phase of the input's gradient is the forward on dy with taps turned round.
    scale = np.zeros_like(x)
    swapped = (
        w.reshape(groups, -1, *w.shape[1:])
        .swapaxes(1, 2)
        .reshape(-1, len(w) // groups, *w.shape[2:])
    )
    for phase in np.ndindex(*stride):
        part = scale[(..., *(slice(e, None, s) for e, s in zip(phase, stride, strict=True)))]
        if not part.size:
            continue
        first, taps = [], []
        for r, s, d, pad, e in zip(w.shape[2:], stride, dilation, before, phase, strict=True):
            first.append(-(((r - 1) * d - pad) // s))
            count = r if s == 1 else (s - 1 + pad) // s - first[-1] + 1
            at = r - 1 if s == 1 else e + pad - first[-1] * s
            taps.append([at - j * s for j in range(count)])
        turned, ones = _at(swapped, taps), (1, 1)
        part[:] = _pieces("forward", dy, turned, part, [-f for f in first], groups, ones, dilation)
    return scale


def _pieces(
    direction: str,
    x: F64,
    w: F64,
    dy: F64,
    before: list[int],
    groups: int,
    stride: Axes,
    dilation: Axes,
) -> F64:
    axes = list(zip(before, stride, dilation, strict=True))
    firsts = [
        [o for o in range(n) if o // s % 3 == 0] for n, s in zip(w.shape[2:], stride, strict=True)
    ]
    pieces = [(o, p) for o in firsts[0] for p in firsts[1]]
    taps = [[[o + s * t for t in range(3)] for o, s in zip(p, stride, strict=True)] for p in pieces]
    scale = np.zeros_like({"forward": dy, "weight": w}[direction])
    wq = np.stack([_at(w, at) for at in taps], 2).reshape(len(w), -1, 3, 3)
    for phase in np.ndindex(*dilation):
        part = (..., *(slice(f, None, d) for f, d in zip(phase, dilation, strict=True)))
        counts = dy[part].shape[2:]
        if not min(counts):
            continue
        planes = []
        for piece in pieces:
            at = [
                [f - b + o * d + s * d * i for i in range(n + 2)]
                for f, (b, s, d), o, n in zip(phase, axes, piece, counts, strict=True)
            ]
            planes.append(_at(x, at))
        xq = np.stack(planes, 2)
        xq = xq.reshape(len(x), x.shape[1] * len(pieces), *xq.shape[3:])
        found = error_scale(direction, (xq, wq, dy[part]), ((0, 0), (0, 0)), groups)
        if direction == "forward":
            scale[part] = found
            continue
        found = found.reshape(*w.shape[:2], len(pieces), 3, 3)
        for i, (ys, xs) in enumerate(taps):
            rows = [r for r in ys if r < w.shape[2]]
            cols = [c for c in xs if c < w.shape[3]]
            scale[:, :, np.ix_(rows, cols)[0], np.ix_(rows, cols)[1]] += found[
                :, :, i, : len(rows), : len(cols)
            ]
    return scale


def _at(a: F64, positions: list[list[int]]) -> F64:
    """a at those places of its last two axes, zero outside."""
    for axis, places in zip((-2, -1), positions, strict=True):
        at = np.asarray(places)
        inside = (at >= 0) & (at < a.shape[axis])
        a = np.take(a, np.where(inside, at, 0), axis) * (inside if axis == -1 else inside[:, None])
    return a


def slabs_error_scale(
    direction: str, data: Any, pads: Pads, groups: int, depth: tuple[int, int]
) -> F64:
    """The same for a 3-D convolution, slab by slab of dy; depth: stride and dilation along
    the first axis. The slabs of x that a window reaches are channels."""
    x, w, dy = (np.asarray(a, np.float64) for a in data)
    stride, dilation = depth
    before, filters = pads[0][0], w.reshape(len(w), -1, *w.shape[3:])
    padded = np.pad(x, ((0, 0), (0, 0), pads[0], (0, 0), (0, 0)))
    scale = np.zeros_like({"forward": dy, "input": padded, "weight": filters}[direction])
    for z in range(dy.shape[2]):
        reached = [z * stride + t * dilation for t in range(w.shape[2])]
        slabs = padded[:, :, reached].reshape(len(x), -1, *x.shape[3:])
        part = window_error_scale(direction, (slabs, filters, dy[:, :, z]), pads[1:], groups)
        if direction == "forward":
            scale[:, :, z] = part
        elif direction == "input":
            np.add.at(
                scale, (slice(None), slice(None), reached), part.reshape(scale[:, :, reached].shape)
            )
        else:
            scale += part
    if direction == "input":
        return scale[:, :, before : before + x.shape[2]]
    return scale.reshape(w.shape) if direction == "weight" else scale
