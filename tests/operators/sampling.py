"""Positions of any kind: grids, what lies at them, rows of tables, attention."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from .resizing import _cubic_weights
from .rows import Drawn, Fixed, Row, a, bad, call, classes, ours

# No position near a pixel's centre or edge, where the slope jumps.
X, VOLUME = a(2, 3, 4, 5), a(2, 2, 3, 2, 4)


def at(*shape: int) -> Drawn:
    def draw(rng: Any, s: Any) -> Any:
        near = rng.integers(-18, 19, s) / 11 + 0.013
        return near + rng.uniform(-1e-3, 1e-3, s)

    return Drawn(shape, draw)


GRID, GRID3 = at(2, 3, 2, 2), at(2, 2, 3, 1, 3)


def _mirror(p: float, n: int, corners: bool) -> float:
    low, high = (0, n - 1) if corners else (-0.5, n - 0.5)
    while high > low and not low <= p <= high:
        p = 2 * low - p if p < low else 2 * high - p
    return p if high > low else 0.0


def _read(p: float, n: int, mode: str, padding: str, corners: bool) -> dict[int, float]:
    """Pixels that a position reads along an axis, with their weights."""
    p = (p + 1) / 2 * (n - 1) if corners else ((p + 1) * n - 1) / 2

    def moved(q: float) -> float:
        if padding == "zeros":
            return q
        return min(max(_mirror(q, n, corners) if padding == "reflection" else q, 0), n - 1)

    weights: dict[int, float] = {}
    if mode == "bicubic":
        low, wide = int(np.floor(p)), 10**6  # far from the ends nothing is clipped
        for i, w in _cubic_weights(p - low + wide // 2, wide).items():
            place = int(np.rint(moved(i - wide // 2 + low)))
            weights[place] = weights.get(place, 0) + w
    else:
        p = moved(p)
        low = int(np.floor(p))
        weights = (
            {int(np.rint(p)): 1.0} if mode == "nearest" else {low: 1 - p + low, low + 1: p - low}
        )
    return {i: w for i, w in weights.items() if 0 <= i < n}


def _grid_sample(
    x: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: Any = None,
) -> Any:
    y = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    for image, *place in np.ndindex(grid.shape[:-1]):
        axes = [
            _read(p, n, mode, padding_mode, bool(align_corners)).items()
            for p, n in zip(grid[(image, *place)][::-1], x.shape[2:], strict=True)
        ]
        for taps in product(*axes):
            pixel = x[(image, slice(None), *(i for i, _ in taps))]
            y[(image, slice(None), *place)] += pixel * np.prod([w for _, w in taps])
    return y


def _affine_grid(theta: Any, size: Any, align_corners: Any = None) -> Any:
    grid = np.empty((size[0], *size[2:], len(size) - 2))
    for image, *place in np.ndindex(grid.shape[:-1]):
        ends = [
            0 if n == 1 else 2 * i / (n - 1) - 1 if align_corners else (2 * i + 1) / n - 1
            for i, n in zip(place, size[2:], strict=True)
        ]
        grid[(image, *place)] = theta[image] @ [*ends[::-1], 1]
    return grid


def _embedding(rows: Any, weight: Any, *_: Any, **__: Any) -> Any:
    return np.stack([weight[i] for i in rows.ravel()]).reshape(*rows.shape, -1)


def _attention(
    q: Any, k: Any, v: Any, mask: Any = None, p: float = 0, causal: bool = False, scale: Any = None
) -> Any:
    scores = np.einsum("...le,...se->...ls", q, k) * (
        q.shape[-1] ** -0.5 if scale is None else scale
    )
    mask = np.tri(*scores.shape[-2:], dtype=bool) if causal else mask
    weights = np.exp(scores if mask is None or mask.dtype == bool else scores + mask)
    if mask is not None and mask.dtype == bool:
        weights = weights * mask
    total = weights.sum(-1, keepdims=True)
    return np.where(total > 0, weights / np.where(total > 0, total, 1), 0) @ v


Q, K, V = a(2, 3, 4), a(2, 5, 4), a(2, 5, 6)
SEEN = Fixed(np.random.default_rng(5).random((3, 5)) > 0.4)
BLIND = Fixed(np.arange(15).reshape(3, 5) < 5)  # two rows see nobody

ROWS = [
    Row("scaled_dot_product_attention", _attention,
        [call(Q, K, V), call(Q, K, V, SEEN), call(Q, K, V, BLIND), call(Q, K, V, a(2, 3, 5)),
         call(Q, K, V, None, 0.0, True), call(a(3, 4), a(5, 4), a(5, 2), scale=0.3)],
        bad=[bad(ValueError, "expected query (..., L, E)", Q, a(2, 5, 3), V),
             bad(ValueError, "not both", Q, K, V, SEEN, 0.0, True)]),
    Row("grid_sample", _grid_sample,
        [call(X, GRID, m, p, c) for m in ("bilinear", "nearest", "bicubic")
         for p in ("zeros", "border", "reflection") for c in (False, True)]
        + [call(VOLUME, GRID3), call(VOLUME, GRID3, "nearest", "reflection"),
           call(VOLUME, GRID3, "bilinear", "border", True), call(a(1, 2, 1, 1), at(1, 2, 2, 2))],
        half=False,  # in which the positions themselves are coarse
        bad=[bad(ValueError, "mode must be one of", X, GRID, "area"),
             bad(ValueError, "mode must be one of", X, GRID, "nearest", "circular"),
             bad(ValueError, "expected input (N, C, H, W)", X, a(3, 3, 2, 2)),
             bad(ValueError, "expected input (N, C, H, W)", X, GRID3),
             bad(ValueError, "must have 2 coordinates, got 3", X, a(2, 3, 2, 3)),
             bad(ValueError, "must not be empty", a(2, 3, 0, 5), GRID),
             bad(ValueError, "bicubic is for", VOLUME, GRID3, "bicubic"),
             bad(TypeError, "of one floating-point type", X, Fixed(np.zeros((2, 3, 2, 2), int)))]),
    Row("affine_grid", _affine_grid,
        [call(a(2, 2, 3), (2, 3, 4, 5), False), call(a(2, 2, 3), (2, 1, 1, 3), True),
         call(a(1, 3, 4), (1, 1, 2, 3, 4), False)],
        bad=[bad(ValueError, "theta must have shape (2, 2, 3)", a(2, 3, 2), (2, 3, 4, 5)),
             bad(ValueError, "size must be four or five", a(2, 2, 3), (2, 3, 4)),
             bad(ValueError, "size must be four or five", a(2, 2, 3), (2, 3, 0, 4)),
             bad(TypeError, "theta must be of a floating", Fixed(np.ones((1, 2, 3), int)),
                 (1, 1, 2, 2))]),
    Row("embedding", _embedding,
        [call(classes(5, 2, 3), a(5, 4)), ours(classes(5, 4), a(5, 2), sparse=True)],
        bad=[bad(TypeError, "input must be whole numbers", np.ones(2), a(5, 4)),
             bad(IndexError, "input 5 is no row of 5", np.array([0, 5]), a(5, 4)),
             bad(IndexError, "input -1 is no row", np.array([-1]), a(5, 4)),
             bad(ValueError, "weight must have two axes", np.array([0]), a(5)),
             bad(ValueError, "padding_idx 5 is no row", np.array([0]), a(5, 4), 5)]),
]  # fmt: skip
