"""Pools: usual, adaptive, Lp, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastconv.nn.functional as F
import reference

from .rows import Row, a, bad, call, classes, distinct, ours, positive


def _windows(rank: int, x: Any, function: Any) -> Any:
    """A function of (N, C, ...) on unbatched input too."""
    if x.ndim == rank + 2:
        return function(x)
    y = function(x[None])
    return tuple(v[0] for v in y) if isinstance(y, tuple) else y[0]


def _max(rank: int, always: bool = False) -> Any:
    def truth(
        x: Any, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Any:  # fmt: skip
        def pooled(x: Any) -> Any:
            return reference.max_pool(x, kernel, stride, padding, dilation, ceil_mode)

        y = _windows(rank, x, pooled)
        return y if return_indices or always else y[0]

    return truth


def _average(rank: int) -> Any:
    def truth(
        x: Any, kernel: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: Any = None, *, dilation: Any = 1,
    ) -> Any:  # fmt: skip
        return _windows(
            rank, x,
            lambda x: reference.avg_pool(
                x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override,
                dilation,
            ),
        )  # fmt: skip

    return truth


def _max_backward(rank: int) -> Any:
    def backward(g: Any, y: Any, x: Any, *how: Any, **more: Any) -> Any:
        more.pop("return_indices", None)
        if len(how) > 5:
            how = how[:5]
        indices = getattr(F, f"max_pool{rank}d")(x, *how, return_indices=True, **more)[1]
        return (getattr(F, f"max_pool{rank}d_backward")(g, x, indices, *how, **more),)

    return backward


def adaptive(rank: int, reduce: Any, x: Any, output_size: Any) -> Any:
    """Window i of o over n goes from floor(i n / o) to ceil((i + 1) n / o)."""
    if output_size is None or isinstance(output_size, int):
        output_size = (output_size,) * rank
    sizes = [n if o is None else o for n, o in zip(x.shape[-rank:], output_size, strict=True)]
    for axis, o in zip(range(-rank, 0), sizes, strict=True):
        n = x.shape[axis]
        parts = [
            reduce(np.take(x, range(i * n // o, -(-(i + 1) * n // o)), axis), axis)
            for i in range(o)
        ]
        x = np.stack(parts, axis)
    return x


def _adaptive_max(rank: int) -> Any:
    def truth(x: Any, output_size: Any, return_indices: bool = False) -> Any:
        y = adaptive(rank, np.max, x, output_size)
        if not return_indices:
            return y
        flat = x.reshape(*x.shape[:-rank], -1)  # values are distinct: where is each?
        where = (y.reshape(*flat.shape[:-1], -1, 1) == flat[..., None, :]).argmax(-1)
        return y, where.reshape(y.shape)

    return truth


def _lp(rank: int) -> Any:
    def truth(x: Any, p: float, kernel: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
        taps = np.prod(reference.per_axis(kernel, rank))
        return (_average(rank)(x**p, kernel, stride, 0, ceil_mode) * taps) ** (1 / p)

    return truth


def _unpool(rank: int) -> Any:
    def truth(
        x: Any, indices: Any, kernel: Any, stride: Any = None, padding: Any = 0,
        output_size: Any = None,
    ) -> Any:  # fmt: skip
        k, p = reference.per_axis(kernel, rank), reference.per_axis(padding, rank)
        s = k if stride is None else reference.per_axis(stride, rank)
        sizes = tuple((output_size or ())[-rank:]) or tuple(
            (n - 1) * s[i] + k[i] - 2 * p[i] for i, n in enumerate(x.shape[-rank:])
        )
        lead = x.shape[:-rank]
        y = np.zeros((*lead, int(np.prod(sizes))))
        flat = (*lead, -1)
        np.put_along_axis(y, indices.reshape(flat), x.reshape(flat), -1)
        return y.reshape(*lead, *sizes)

    return truth


def _spread(*shape: int, size: int) -> Any:
    """Indices for unpooling: within each plane of `size` places no place twice."""
    drawn = classes(1, *shape)
    rng = np.random.default_rng(2)
    planes, each = int(np.prod(shape[:2])), int(np.prod(shape[2:]))
    values = np.stack([rng.choice(size, each, replace=False) for _ in range(planes)])
    return type(drawn)(values.reshape(shape))


_IMAGE = a(1, 1, 4, 4)

ROWS = [
    *(
        Row(
            f"max_pool{rank}d", _max(rank), calls, backward=_max_backward(rank),
            covers=[f"max_pool{rank}d_backward"],
            bad=[
                bad(ValueError, "stride", a(*[4] * (rank + 2)), 2, 0),
                bad(ValueError, "pad", a(*[4] * (rank + 2)), 2, 1, 2),
                bad(ValueError, "dilation", a(*[4] * (rank + 2)), 2, dilation=0),
                bad(TypeError, "kernel", a(*[4] * (rank + 2)), 2.5),
                bad(ValueError, "input must have shape", a(4), 2),
                bad(TypeError, "input", [[[1.0]]], 1),
            ],
        )
        for rank, calls in (
            (1, [call(distinct(2, 3, 9), 3, 2, 1), call(distinct(3, 9), 2)]),
            (
                2,
                [
                    call(distinct(2, 3, 8, 7), 3, 2, 1, 1, True),
                    call(distinct(3, 8, 7), (2, 3), (1, 2), return_indices=True),
                    call(distinct(1, 2, 8, 7), 2, 1, 1, 2),
                    ours(distinct(1, 2, 5, 6), 3, 2, ((0, 1), (1, 2))),
                    call(distinct(0, 3, 4, 4), 2),
                ],
            ),
            (3, [call(distinct(2, 3, 4, 5, 4), 2), call(distinct(2, 4, 5, 4), 3, 1, 1)]),
        )
    ),
    *(
        Row(f"max_pool{rank}d_with_indices", _max(rank, True),
            [call(distinct(2, 3, *[6] * rank), 3, 2, 1)], peer=False)
        for rank in (1, 2, 3)
    ),
    *(
        Row(
            f"avg_pool{rank}d", _average(rank), calls,
            bad=[
                bad(ValueError, "stride", a(*[4] * (rank + 2)), 2, 0),
                bad(ValueError, "pad", a(*[4] * (rank + 2)), 2, 1, 2),
                bad(ValueError, "divisor", a(*[4] * (rank + 2)), 2, divisor_override=0),
                bad(TypeError, "input", [[[1.0]]], 1),
            ],
        )
        for rank, calls in (
            (1, [call(a(2, 3, 9), 3, 2, 1), call(a(3, 9), 2, ceil_mode=True)]),
            (
                2,
                [
                    call(a(2, 3, 8, 7), 3, 2, 1, True, False),
                    call(a(2, 3, 8, 7), 3, 2, 1, True),
                    call(a(3, 8, 7), (2, 3), divisor_override=5),
                    ours(a(1, 2, 8, 7), 2, 1, dilation=2),
                    ours(a(1, 2, 5, 6), 3, 2, ((0, 1), (1, 2))),
                ],
            ),
            (3, [call(a(2, 3, 4, 5, 4), 2), call(a(2, 4, 5, 4), 3, 1, 1, False, False)]),
        )
    ),
    *(
        Row(
            f"adaptive_avg_pool{rank}d",
            lambda x, o, rank=rank: adaptive(rank, np.mean, x, o), calls,
            bad=[
                bad(ValueError, "output_size", a(*[4] * (rank + 2)), -1),
                bad(ValueError, "axes", a(4), 1),
                bad(ValueError, "non-empty", a(2, 3, *[0] * rank), 1),
                bad(TypeError, "input must be", [[[1.0]]], 1),
            ],
        )
        for rank, calls in (
            (1, [call(a(2, 3, 10), 4), call(a(3, 10), 5)]),
            (2, [call(a(2, 3, 7, 4), o) for o in ((3, None), 9, 1)] + [call(a(3, 8, 6), (4, 3))]),
            (3, [call(a(1, 3, 5, 4, 4), 2), call(a(3, 4, 4, 4), (2, 1, 4))]),
        )
    ),
    *(
        Row(
            f"adaptive_max_pool{rank}d", _adaptive_max(rank),
            [*calls, call(distinct(2, 3, *[5] * rank), 3, return_indices=True)],
            bad=[
                bad(ValueError, "output_size", a(*[4] * (rank + 2)), -1),
                bad(TypeError, "input must be", [[[1.0]]], 1),
            ],
        )
        for rank, calls in (
            (1, [call(distinct(2, 3, 10), 4)]),
            (2, [call(distinct(2, 3, 7, 4), (3, 5)), call(distinct(3, 6, 6), (None, 2))]),
            (3, [call(distinct(1, 3, 5, 4, 4), 2)]),
        )
    ),
    *(
        Row(f"adaptive_max_pool{rank}d_with_indices",
            lambda x, o, rank=rank: _adaptive_max(rank)(x, o, True),
            [call(distinct(2, 3, *[5] * rank), 3)])
        for rank in (1, 2, 3)
    ),
    *(
        Row(f"lp_pool{rank}d", _lp(rank), calls,
            bad=[bad(TypeError, "input must be", [[[1.0]]], 2.0, 1),
                 bad(ValueError, "kernel_size", a(*[4] * (rank + 2)), 2.0, [1] * (rank + 1))])
        for rank, calls in (
            (1, [call(positive(2, 3, 9), 3.0, 2), call(positive(2, 3, 9), 2.0, 2, 2, True)]),
            (2, [call(a(2, 3, 8, 7), 2, 3, 2), call(positive(3, 8, 7), 1.5, (2, 3))]),
            (3, [call(positive(2, 3, 4, 5, 4), 2.0, 2)]),
        )
    ),
    *(
        Row(
            f"max_unpool{rank}d", _unpool(rank),
            [
                call(a(2, 3, *[3] * rank), _spread(2, 3, *[3] * rank, size=6**rank), 2),
                call(a(2, 3, *[3] * rank), _spread(2, 3, *[3] * rank, size=7**rank), 2,
                     output_size=(7,) * rank),
            ],
            bad=[
                bad(ValueError, "Found an invalid max index", a(1, 1, *[2] * rank),
                    np.full((1, 1, *[2] * rank), 10**6), 2),
                bad(TypeError, "indices must be int64", a(1, 1, *[2] * rank),
                    np.zeros((1, 1, *[2] * rank), np.int32), 2),
                bad(ValueError, "invalid output_size", a(1, 1, *[2] * rank),
                    np.zeros((1, 1, *[2] * rank), np.int64), 2, output_size=(20,) * rank),
                bad(ValueError, "indices have shape", a(1, 1, *[2] * rank),
                    np.zeros((1, 1, *[3] * rank), np.int64), 2),
            ],
        )
        for rank in (1, 2, 3)
    ),
]  # fmt: skip
