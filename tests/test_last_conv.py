"""Convolutions of channels-last pictures, read and written where they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn.functional as F
from checks import assert_exact, integers
from reference import conv, conv_bias, conv_input, conv_weight
from test_pixel_rows import last, lies_last

# N, C, K, the picture, the kernel, groups, and how
PROBLEMS: list[tuple[Any, ...]] = [
    (1, 32, 32, (9, 23), (3, 3), 32, {"padding": 1}),
    (2, 37, 37, (7, 7), (3, 3), 37, {"padding": 1, "stride": 2}),
    (1, 100, 100, (5, 40), (5, 5), 100, {"padding": 2}),
    (2, 17, 17, (12, 3), (3, 2), 17, {"padding": (4, 1), "dilation": (2, 1)}),
    (1, 16, 16, (1, 1), (7, 7), 16, {"padding": 3}),
    (1, 48, 48, (30,), (3,), 48, {"padding": 1}),
    (2, 3, 64, (21, 30), (3, 3), 1, {"padding": 1}),
    (1, 3, 24, (19, 33), (7, 7), 1, {"padding": 3, "stride": 2}),
    (3, 20, 33, (9, 10), (1, 1), 1, {"stride": 2}),
    (1, 16, 70, (11, 8), (3, 3), 1, {"padding": 1, "stride": (2, 1)}),
    (1, 8, 16, (6, 9), (3, 3), 1, {"padding": 2, "dilation": 2, "stride": 2}),
    (2, 5, 17, (13, 4), (2, 5), 1, {"padding": (0, 2)}),
    (1, 4, 130, (4, 4), (4, 4), 1, {"stride": 4}),
    (1, 2, 16, (40,), (9,), 1, {"stride": 3, "padding": 4}),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_values(problem: tuple[Any, ...], bias: bool) -> None:
    n, c, k, picture, kernel, groups, how = problem
    x, w = integers((n, c, *picture)), integers((k, c // groups, *kernel), seed=1)
    b = integers((k,), seed=2) if bias else None
    call = getattr(F, f"conv{len(picture)}d")
    truth = conv(x, w, b, groups=groups, **how)
    y = call(last(x), w, b, groups=groups, **how)
    assert_exact(y, truth)
    assert lies_last(y)
    relu6 = call(last(x), w, b, groups=groups, activation="relu6", **how)
    assert_exact(relu6, np.clip(truth, 0, 6))
    silu = call(last(x), w, b, groups=groups, activation="silu", **how)
    expected = call(x, w, b, groups=groups, activation="silu", **how)
    np.testing.assert_allclose(silu, expected, rtol=1e-6, atol=1e-6)
    plan = getattr(fastconv, f"Conv{len(picture)}dPlan")(w, b, groups=groups, **how)
    assert_exact(plan(last(x)), truth)
    residual = integers(truth.shape, seed=3)
    assert_exact(plan(last(x), residual=residual), truth + residual)
    if n == 1:  # without its batch axis
        one = np.moveaxis(np.ascontiguousarray(np.moveaxis(x[0], 0, -1)), -1, 0)
        assert_exact(call(one, w, b, groups=groups, **how), truth[0])


@pytest.mark.parametrize("problem", PROBLEMS[1::3])
def test_the_same_bits_with_any_number_of_threads(problem: tuple[Any, ...]) -> None:
    n, c, k, picture, kernel, groups, how = problem
    rng = np.random.default_rng(0)
    x = last(rng.normal(size=(4 * n, c, *(5 * e for e in picture))).astype(np.float32))
    w = rng.normal(size=(k, c // groups, *kernel)).astype(np.float32)
    found, call = [], getattr(F, f"conv{len(picture)}d")
    for threads in (1, 2, 3):
        with fastconv.threads(threads):
            found.append(call(x, w, groups=groups, **how))
    for got in found[1:]:
        np.testing.assert_array_equal(got, found[0])


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("groups", [1, 16])
def test_infinite_weights_meet_the_padding(groups: int, value: float) -> None:
    x, w = integers((1, 16, 6, 7)), integers((16, 16 // groups, 5, 5), seed=1)
    w[3, 0, 0, 0] = value
    y = F.conv2d(last(x), w, padding=2, groups=groups)
    truth = F.conv2d(x, w, padding=2, groups=groups)
    np.testing.assert_array_equal(y, truth)
    assert np.isnan(y[0, 3, 0, 0])  # zeros of the padding times infinity


GRADIENTS = [
    *PROBLEMS,
    (3, 100, 100, (8, 9), (3, 3), 100, {"padding": 1, "stride": 2}),
    (1, 33, 33, (10, 7), (5, 2), 33, {"padding": (1, 0), "stride": (3, 2), "dilation": (1, 3)}),
    (2, 20, 20, (40, 5), (4, 3), 20, {"stride": (4, 1), "dilation": (2, 1)}),
    (40, 16, 16, (4, 4), (3, 3), 16, {"padding": 1}),
    (1, 18, 18, (6, 6), (1, 1), 18, {"stride": 3}),
    (1, 16, 16, (50, 60), (7, 7), 16, {"padding": ((3, 2), (0, 5))}),
    (2, 40, 24, (11, 14), (1, 1), 1, {"stride": (3, 2)}),
    (2, 24, 20, (7, 4, 6), (1, 1, 1), 1, {"stride": (2, 1, 3)}),
    (1, 33, 20, (12, 17), (3, 3), 1, {"padding": 1, "stride": 2}),
    (2, 20, 40, (15, 9), (5, 4), 1, {"padding": (2, 1), "stride": (3, 2)}),
    (1, 70, 9, (20, 9), (3, 2), 1, {"stride": (4, 3)}),
    (1, 17, 8, (13, 12), (3, 3), 1, {"padding": 2, "dilation": 2, "stride": 3}),
    (1, 48, 16, (30,), (5,), 1, {"padding": 2, "stride": 2}),
    (3, 3, 33, (15, 40), (3, 3), 1, {"padding": 1, "stride": 2}),
    (1, 4, 18, (9, 9), (5, 4), 1, {"padding": 2, "dilation": (1, 2)}),
    (20, 1, 64, (8, 8), (3, 3), 1, {"padding": 1}),
]


@pytest.mark.parametrize("problem", GRADIENTS)
def test_gradients(problem: tuple[Any, ...]) -> None:
    n, c, k, picture, kernel, groups, how = problem
    x, w = integers((n, c, *picture)), integers((k, c // groups, *kernel), seed=1)
    shape = getattr(F, f"conv{len(picture)}d")(x, w, groups=groups, **how).shape
    g = integers(shape, seed=2)
    truth = (
        conv_input(x.shape, w, g, groups=groups, **how),
        conv_weight(x, w.shape, g, groups=groups, **how),
        conv_bias(g),
    )
    backward = getattr(F, f"conv{len(picture)}d_backward")
    for threads in (1, 2, 3):
        with fastconv.threads(threads):
            grads = backward(last(g), last(x), w, groups=groups, **how)
        for got, expected in zip(grads, truth, strict=True):
            assert_exact(got, expected)
        assert lies_last(grads[0])
    alone = backward(last(g), last(x), w, groups=groups, need=(False, True, False), **how)
    assert_exact(alone[1], truth[1])
    assert alone[0] is None
    assert alone[2] is None


def test_gradients_are_the_same_bits_with_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    x, g = (last(rng.normal(size=(3, 40, 45, 50)).astype(np.float32)) for _ in range(2))
    w = rng.normal(size=(40, 1, 5, 5)).astype(np.float32)
    found = []
    for threads in (1, 2, 3):
        with fastconv.threads(threads):
            found.append(F.conv2d_backward(g, x, w, padding=2, groups=40))
    for grads in found[1:]:
        for got, first in zip(grads, found[0], strict=True):
            np.testing.assert_array_equal(got, first)


def test_infinite_gradients_reach_their_windows_alone() -> None:
    x, w = integers((1, 16, 9, 9)), integers((16, 1, 3, 3), seed=1)
    g = integers((1, 16, 9, 9), seed=2)
    g[0, 3, 4, 4] = np.inf
    dx, dw, _ = F.conv2d_backward(last(g), last(x), w, padding=1, groups=16)
    expected = F.conv2d_backward(g, x, w, padding=1, groups=16)
    np.testing.assert_array_equal(dx, expected[0])
    np.testing.assert_array_equal(np.isfinite(dw).all((1, 2, 3)), np.arange(16) != 3)
