"""Winograd where it could go wrong: every remainder of a tile, padding of every kind, data that is
not finite or nearly so, few channels, groups, any number of threads.  The rows are also walked, on
many more problems, by test_conv_*.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import reference
import winograd
from checks import ROUNDOFF, assert_exact, assert_within, bits, integers, normals
from fastconv import _core

Array = NDArray[Any]
Pads = tuple[tuple[int, int], ...]

TILE = {"winograd": 4, "winograd2": 2}
ROWS = sorted(TILE)
DIRECTIONS = ("forward", "input", "weight")


def conv(
    x: Array,
    w: Array,
    pads: Any,
    algorithm: str,
    groups: int = 1,
    bias: Array | None = None,
    activation: str | None = None,
    residual: Array | None = None,
) -> Array:
    y: Array = _core.conv(2, x, w, bias, 1, pads, 1, groups, activation, residual, algorithm, None)
    return y


def input_grad(x: Array, w: Array, dy: Array, pads: Any, algorithm: str, groups: int = 1) -> Array:
    dx: Array = _core.conv_input_grad(2, x.shape, w, dy, 1, pads, 1, groups, algorithm)
    return dx


def weight_grad(x: Array, w: Array, dy: Array, pads: Any, algorithm: str, groups: int = 1) -> Array:
    dw: Array = _core.conv_weight_grad(2, x, w.shape, dy, 1, pads, 1, groups, algorithm)
    return dw


def three(x: Array, w: Array, dy: Array, pads: Any, algorithm: str) -> list[Array]:
    return [
        conv(x, w, pads, algorithm),
        input_grad(x, w, dy, pads, algorithm),
        weight_grad(x, w, dy, pads, algorithm),
    ]


def output_shape(x: Array, w: Array, pads: Pads) -> tuple[int, ...]:
    out = [n + a + b - 2 for n, (a, b) in zip(x.shape[2:], pads, strict=True)]
    return (x.shape[0], w.shape[0], *out)


@pytest.mark.parametrize("algorithm", ROWS)
@pytest.mark.parametrize("pad", [0, 1, 2, (0, 1), (2, 0), (4, 3)], ids=str)
def test_every_remainder_of_a_tile(algorithm: str, pad: Any) -> None:
    """All heights and widths up to three tiles and one more, all three directions.  Sums of one or
    two terms do not average their roundings: they get three times the usual bound."""
    m = TILE[algorithm]
    sides = pad if isinstance(pad, tuple) else (pad, pad)
    pads = (sides, sides)
    w = normals((5, 4, 3, 3), seed=1)
    for height in range(1, 3 * m + 2):
        for width in range(1, 3 * m + 2):
            if min(height, width) + sum(sides) < 3:
                continue
            x = normals((1, 4, height, width), seed=height * 100 + width)
            dy = normals(output_shape(x, w, pads), seed=2)
            data = (x, w, dy)
            truths = (
                reference.conv(x, w, None, 1, pads),
                reference.conv_input(x.shape, w, dy, 1, pads),
                reference.conv_weight(x, w.shape, dy, 1, pads),
            )
            results = three(x, w, dy, pads, algorithm)
            for direction, result, truth in zip(DIRECTIONS, results, truths, strict=True):
                assert_within(result, truth, 3 * winograd.error_scale(direction, data, pads, 1))


@pytest.mark.parametrize(
    "channels", [(4, 4, 1), (5, 33, 1), (67, 17, 1), (16, 40, 2), (130, 70, 1)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("algorithm", ROWS)
def test_channels_groups_and_epilogue(
    algorithm: str, dtype: str, channels: tuple[int, int, int]
) -> None:
    """Bias, residual and activation, channels that fill no vector, groups."""
    c, k, groups = channels
    pads = ((1, 1), (1, 2))
    x, w = normals((2, c * groups, 9, 30), dtype), normals((k * groups, c, 3, 3), dtype, 1)
    b, r = normals((k * groups,), dtype, 2), normals((2, k * groups, 9, 31), dtype, 3)
    y = conv(x, w, pads, algorithm, groups, b, "relu6", r)
    exact = np.clip(reference.conv(x, w, b, 1, pads, 1, groups) + r, 0, 6)
    scale = winograd.error_scale("forward", (x, w, r), pads, groups)
    assert_within(y, exact, scale + 4 * (np.abs(b)[:, None, None] + np.abs(r)))


def test_f2_is_exact_on_small_integers() -> None:
    x, w = integers((2, 70, 11, 13)), integers((40, 70, 3, 3), seed=1)
    dy = integers((2, 40, 11, 13), seed=2)
    y, dx, dw = three(x, w, dy, 1, "winograd2")
    assert_exact(y, reference.conv(x, w, None, 1, 1))
    assert_exact(dx, reference.conv_input(x.shape, w, dy, 1, 1))
    assert_exact(dw, reference.conv_weight(x, w.shape, dy, 1, 1))


@pytest.mark.parametrize("algorithm", ROWS)
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, 3e37])
def test_what_is_finite_does_not_depend_on_the_row(algorithm: str, bad: float) -> None:
    """One bad value, anywhere: exactly the outputs that the definition says are not finite."""
    pads = ((1, 0), (2, 1))
    x0, w0 = normals((2, 6, 11, 14)), normals((9, 6, 3, 3), seed=1)
    dy0 = normals((2, 9, 10, 15), seed=2)
    for place in ((0, 0, 0, 0), (1, 5, 10, 9), (0, 3, 5, 13), (1, 2, 4, 4)):
        for which in range(3):
            x, w, dy = x0.copy(), w0.copy(), dy0.copy()
            target = (x, w, dy)[which]
            target[tuple(p % n for p, n in zip(place, target.shape, strict=True))] = bad
            rows = zip(
                three(x, w, dy, pads, algorithm), three(x, w, dy, pads, "im2col"), strict=True
            )
            for mine, plain in rows:
                np.testing.assert_array_equal(np.isfinite(mine), np.isfinite(plain))


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_a_clamp_does_not_hide_an_overflow(activation: str) -> None:
    """Data near the largest float overflows within the transform; clamped, that would look fine."""
    x, w = np.full((1, 8, 8, 8), 2e38, np.float32), -1e-3 * np.abs(normals((8, 8, 3, 3)))
    for algorithm in (*ROWS, "im2col"):
        assert not conv(x, w, 1, algorithm, activation=activation).any()


@pytest.mark.parametrize("algorithm", ROWS)
def test_threads_change_no_bit(algorithm: str) -> None:
    problems = [((1, 40, 30, 30), 70), ((5, 64, 7, 7), 64), ((1, 16, 61, 70), 16)]
    before = _core.get_num_threads()
    try:
        for shape, k in problems:
            x, w = normals(shape), normals((k, shape[1], 3, 3), seed=1)
            dy = normals((shape[0], k, *shape[2:]), seed=2)
            _core.set_num_threads(1)
            first = [bits(a) for a in three(x, w, dy, 1, algorithm)]
            for threads in (2, 3, 5):
                _core.set_num_threads(threads)
                assert [bits(a) for a in three(x, w, dy, 1, algorithm)] == first
    finally:
        _core.set_num_threads(before)


# Largest error over largest output, normal data.
ACCURACY = {("winograd", 16): 2e-6, ("winograd", 64): 3.5e-6, ("winograd", 256): 6e-6}
ACCURACY |= {("winograd2", 16): 8e-7, ("winograd2", 64): 1e-6, ("winograd2", 256): 1.6e-6}


@pytest.mark.parametrize(("algorithm", "channels"), ACCURACY)
def test_accuracy_on_normal_data(algorithm: str, channels: int) -> None:
    x, w = normals((1, channels, 48, 48)), normals((32, channels, 3, 3), seed=1)
    exact = reference.conv(x, w, None, 1, 1)
    error = np.abs(conv(x, w, 1, algorithm) - exact).max() / np.abs(exact).max()
    assert error <= ACCURACY[algorithm, channels]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_auto_never_takes_f4_in_double_precision(dtype: str) -> None:
    x, w = normals((1, 64, 28, 28), dtype), normals((64, 64, 3, 3), dtype, 1)
    error = np.abs(conv(x, w, 1, "auto") - reference.conv(x, w, None, 1, 1)).max()
    assert error <= 200 * 64 * ROUNDOFF[dtype]
    rows = _core.conv_rows(2, "forward", x.shape, w.shape, 1, 1, 1, 1, np.dtype(dtype).itemsize)[2]
    costs = {row[0]: row[3] for row in rows}
    if dtype == "float64":
        assert costs["winograd"] > 1e3 * min(costs.values())


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_where_it_does_not_apply(direction: str) -> None:
    """Lines, strides, dilations, other ranks and few channels are refused, naming who can."""
    cases = [
        (2, (1, 8, 9, 9), (8, 8, 1, 5), 1, 1, 1),
        (2, (1, 8, 9, 9), (8, 8, 3, 3), 2, 1, 1),
        (2, (1, 8, 9, 9), (8, 8, 3, 3), 1, 2, 1),
        (2, (1, 8, 9, 9), (8, 1, 3, 3), 1, 1, 8),
        (2, (1, 3, 9, 9), (8, 3, 3, 3), 1, 1, 1),
        (1, (1, 8, 9), (8, 8, 3), 1, 1, 1),
        (3, (1, 8, 1, 9, 9), (8, 8, 1, 3, 3), 1, 1, 1),
    ]
    for rank, x, w, stride, dilation, groups in cases:
        rows = _core.conv_rows(rank, direction, x, w, stride, 0, dilation, groups, 4)[2]
        supported = {row[0]: row[2] for row in rows}
        assert not any(supported[name] for name in ROWS)
