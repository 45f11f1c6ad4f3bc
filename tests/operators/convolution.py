"""Convolution and its transpose; the truth is that of reference.py."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastconv.nn.functional as F
import reference

from .rows import Row, a, bad, call, classes, ours


def _conv(rank: int) -> Any:
    def truth(
        x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1, *, activation: Any = None, residual: Any = None, out_dtype: Any = None,
    ) -> Any:  # fmt: skip
        single = x.ndim == rank + 1
        y = reference.conv(x[None] if single else x, w, b, stride, padding, dilation, groups)
        y = y[0] if single else y
        y = y if residual is None else y + residual
        return np.maximum(y, 0) if activation == "relu" else y

    return truth


def _close(x: Any, y: Any) -> None:
    np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


def _backward(rank: int) -> Any:
    def backward(
        g: Any, y: Any, x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> Any:  # fmt: skip
        """All four gradient functions, which must agree."""
        how = (stride, padding, dilation, groups)
        named = {n: getattr(F, f"conv{rank}d_{n}") for n in ("backward", "input", "weight", "bias")}
        grads = named["backward"](g, x, w, *how)
        _close(grads.input, named["input"](x.shape, w, g, *how))
        _close(grads.weight, named["weight"](x, w.shape, g, *how))
        _close(grads.bias, named["bias"](g))
        assert named["backward"](g, x, w, *how, need=(False, True, False))[::2] == (None, None)
        return grads if b is not None else grads[:2]

    return backward


def _transposed(
    x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """Every pixel is spread over a window, and the result cropped."""
    rank = w.ndim - 2
    if x.ndim == rank + 1:
        more = (stride, padding, output_padding, groups, dilation)
        return _transposed(x[None], w, b, *more)[0]
    s, p, o, d = (reference.per_axis(v, rank) for v in (stride, padding, output_padding, dilation))
    k, n = w.shape[2:], x.shape[2:]
    per_group = w.shape[0] // groups
    full = [(n[i] - 1) * s[i] + d[i] * (k[i] - 1) + 1 + o[i] for i in range(rank)]
    y = np.zeros((len(x), w.shape[1] * groups, *full))
    for tap in np.ndindex(*k):
        where = tuple(
            slice(t * d[i], t * d[i] + (n[i] - 1) * s[i] + 1, s[i]) for i, t in enumerate(tap)
        )
        for g in range(groups):
            ins, outs = (slice(g * c, (g + 1) * c) for c in (per_group, w.shape[1]))
            part = np.einsum("nc...,ck->nk...", x[:, ins], w[(ins, slice(None), *tap)])
            y[(slice(None), outs, *where)] += part
    y = y[(..., *(slice(p[i], full[i] - p[i]) for i in range(rank)))]
    return y if b is None else y + b.reshape(-1, *[1] * rank)


def _small(low: int, *shape: int) -> Any:
    drawn = classes(200 if low == 0 else 100, *shape)
    return type(drawn)(drawn.values.astype(np.uint8 if low == 0 else np.int8))


_ONE = np.ones((1, 1, 3, 3))

ROWS = [
    Row(
        "conv1d", _conv(1),
        [
            call(a(2, 3, 9), a(4, 3, 3), a(4), 2, 1),
            call(a(3, 9), a(4, 3, 3), padding="same", dilation=2),
            call(a(2, 4, 7), a(6, 2, 2), a(6), groups=2),
        ],
        bad=[bad(ValueError, "channels", a(2, 3, 9), a(4, 2, 3))],
        backward=_backward(1), covers=[f"conv1d_{n}" for n in ("input", "weight", "bias")],
    ),
    Row(
        "conv2d", _conv(2),
        [
            call(a(2, 4, 7, 6), a(6, 2, 3, 2), a(6), (2, 1), (1, 2), 1, 2),
            call(a(2, 3, 8, 7), a(4, 3, 3, 3), a(4), 1, 1),
            call(a(3, 5, 6), a(2, 3, 3, 3), padding="same"),
            call(a(2, 3, 6, 7), a(3, 1, 3, 3), None, 1, 1, 1, 3),
            ours(a(1, 2, 5, 6), a(3, 2, 2, 3), a(3), padding=((0, 1), (2, 0))),
            ours(a(1, 2, 5, 6), a(3, 2, 3, 3), a(3), 1, 1, activation="relu",
                 residual=a(1, 3, 5, 6)),
            call(a(0, 3, 5, 5), a(2, 3, 3, 3)),
        ],
        bad=[
            bad(ValueError, "weight has 3 input channels per group, but input has 4 channels",
                a(1, 4, 5, 5), a(4, 3, 3, 3)),
            bad(ValueError, "stride", a(1, 3, 5, 5), a(4, 3, 3, 3), stride=0),
            bad(ValueError, "padding", a(1, 3, 5, 5), a(4, 3, 3, 3), padding=-1),
            bad(ValueError, "dilation", a(1, 3, 5, 5), a(4, 3, 3, 3), dilation=0),
            bad(ValueError, "groups", a(1, 3, 5, 5), a(4, 3, 3, 3), groups=0),
            bad(ValueError, "bias", a(1, 3, 5, 5), a(4, 3, 3, 3), a(3)),
            bad(ValueError, "kernel", a(1, 3, 2, 2), a(4, 3, 3, 3)),
            bad(ValueError, "needs stride 1", a(1, 3, 5, 5), a(4, 3, 3, 3), None, 2,
                "same"),
            bad(TypeError, "stride", a(1, 3, 5, 5), a(4, 3, 3, 3), stride=1.5),
            bad(TypeError, "input", [[1.0]], a(4, 3, 3, 3)),
            bad(ValueError, "residual", a(1, 3, 5, 5), a(4, 3, 3, 3), residual=a(1, 4, 2, 2)),
            bad(ValueError, "activation", a(1, 3, 5, 5), a(4, 3, 3, 3), activation="tanh"),
            bad(ValueError, "algorithm", a(1, 3, 5, 5), a(4, 3, 3, 3), algorithm="guess"),
        ],
        backward=_backward(2), covers=[f"conv2d_{n}" for n in ("input", "weight", "bias")],
    ),
    Row(
        "conv3d", _conv(3),
        [
            call(a(1, 2, 5, 5, 6), a(3, 2, 2, 3, 2), None, 1, 0, 2),
            call(a(2, 4, 5, 4), a(3, 2, 2, 3, 3), a(3), 1, (0, 1, 1)),
        ],
        bad=[bad(ValueError, "kernel", a(1, 2, 1, 5, 5), a(3, 2, 2, 2, 2))],
        backward=_backward(3), covers=[f"conv3d_{n}" for n in ("input", "weight", "bias")],
    ),
    *(
        Row(
            f"conv_transpose{rank}d", _transposed, calls,
            bad=[
                *refused,
                bad(ValueError, "channels", a(*[2] * (rank + 2)), a(3, *[2] * (rank + 1))),
                bad(TypeError, "input", [1.0], a(*[2] * (rank + 2))),
            ],
            backward=lambda g, y, x, w, b=None, *how, rank=rank, **more: getattr(
                F, f"conv_transpose{rank}d_backward"
            )(g, x, w, *how, **more)[: 2 if b is None else 3],
            covers=[f"conv_transpose{rank}d_backward"],
        )
        for rank, calls, refused in (
            (1, [call(a(2, 3, 5), a(3, 4, 4), a(4), 3, 1, 2), call(a(3, 5), a(3, 2, 2))], []),
            (
                2,
                [
                    call(a(2, 4, 5, 4), a(4, 3, 3, 3), a(6), 2, 1, 1, 2),
                    call(a(2, 3, 4, 5), a(3, 2, 2, 2), a(2), 1, 0, (2, 1), 1, 3),
                    call(a(3, 4, 5), a(3, 2, 2, 3), None, (2, 1)),
                ],
                [
                    bad(ValueError, "output padding must be smaller", a(1, 1, 3, 3), _ONE,
                        output_padding=1),
                    bad(ValueError, "negative output_padding", a(1, 1, 3, 3), _ONE,
                        output_padding=-1),
                    bad(ValueError, "non-positive stride", a(1, 1, 3, 3), _ONE, stride=0),
                    bad(ValueError, "negative padding", a(1, 1, 3, 3), _ONE, padding=-1),
                    bad(ValueError, "dilation should be", a(1, 1, 3, 3), _ONE, dilation=0),
                    bad(ValueError, "groups=3", a(1, 1, 3, 3), _ONE, groups=3),
                    bad(ValueError, "Output size is too small", a(1, 1, 3, 3), _ONE, padding=6),
                    bad(ValueError, "bias of size", a(1, 1, 3, 3), _ONE, a(5)),
                    bad(ValueError, "out must have shape", a(1, 1, 3, 3), _ONE, out=np.zeros(3)),
                ],
            ),
            (3, [call(a(1, 2, 3, 3, 2), a(2, 3, 2, 3, 3), None, 2, (0, 1, 1))], []),
        )
    ),
]  # fmt: skip
