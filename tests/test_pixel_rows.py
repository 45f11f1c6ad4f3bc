"""1x1 convolutions of channels-last pictures, multiplied where they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
import fastconv.nn.functional as F
from checks import assert_exact, integers
from reference import conv, conv_bias, conv_input, conv_weight

PROBLEMS = [  # N, C, K and the pixels
    (1, 8, 4, (6, 5)),
    (2, 3, 17, (7, 9)),
    (3, 33, 20, (4, 6, 5)),
    (1, 64, 40, (13, 11)),
    (2, 5, 1, (40,)),
    (1, 2, 130, (31, 33)),
]


def last(x: np.ndarray) -> np.ndarray:
    """The same values, the channels beside each other in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def lies_last(x: Any) -> bool:
    return bool(np.moveaxis(np.asarray(x), 1, -1).flags.c_contiguous)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "c", "k", "pixels"), PROBLEMS)
def test_values_and_gradients(n: int, c: int, k: int, pixels: tuple[int, ...], dtype: str) -> None:
    rank = len(pixels)
    x, w = integers((n, c, *pixels), dtype), integers((k, c, *[1] * rank), dtype, 1)
    b, r = integers((k,), dtype, 2), integers((n, k, *pixels), dtype, 3)
    forward, backward = getattr(F, f"conv{rank}d"), getattr(F, f"conv{rank}d_backward")
    truth = conv(x, w)
    assert_exact(forward(last(x), w), truth)
    along = b.reshape(-1, *[1] * rank)
    y = forward(last(x), w, b)
    assert_exact(y, truth + along)
    assert lies_last(y)
    assert_exact(forward(last(x), w, residual=r), truth + r)
    relu = forward(last(x), w, b, activation="relu", residual=last(r))
    assert_exact(relu, np.maximum(truth + along + r, 0))
    for activation in ("relu6", "silu", "leaky_relu"):
        expected = forward(x, w, b, activation=activation)
        got = forward(last(x), w, b, activation=activation)
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
    grads = backward(last(r), last(x), w)
    assert_exact(grads.input, conv_input(x.shape, w, r))
    assert_exact(grads.weight, conv_weight(x, w.shape, r))
    assert_exact(grads.bias, conv_bias(r))
    assert lies_last(grads[0])
    some = backward(last(r), last(x), w, need=(False, True, False))
    assert some.input is None
    assert some.bias is None
    assert_exact(some.weight, grads[1])


def test_the_same_bits_with_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    x = last(rng.normal(size=(2, 48, 20, 21)).astype(np.float32))
    w = rng.normal(size=(72, 48, 1, 1)).astype(np.float32)
    b, g = w[:, 0, 0, 0], last(rng.normal(size=(2, 72, 20, 21)).astype(np.float32))
    found = []
    for threads in (1, 2, 3):
        with fastconv.threads(threads):
            found.append([F.conv2d(x, w, b), *F.conv2d_backward(g, x, w)])
    for results in found[1:]:
        for got, expected in zip(results, found[0], strict=True):
            np.testing.assert_array_equal(got, expected)


def test_plans_and_layers_take_them_too() -> None:
    x, w, b = integers((2, 24, 9, 8)), integers((40, 24, 1, 1), seed=1), integers((40,), seed=2)
    r = integers((2, 40, 9, 8), seed=3)
    truth = np.maximum(conv(x, w, b) + r, 0)
    plan = fastconv.Conv2dPlan(w, b, activation="relu")
    for residual in (r, last(r)):
        y = plan(last(x), residual=residual)
        assert_exact(y, truth)
        assert lies_last(y)
    out = last(np.empty_like(r))
    assert plan(last(x), residual=r, out=out) is out
    assert_exact(out, truth)
    layer = fastconv.nn.Conv2d(24, 40, 1).eval()
    layer.load_state_dict({"weight": w, "bias": b})
    with fastconv.no_grad():
        y = layer(fastconv.tensor(x).contiguous(memory_format=fastconv.channels_last))
    assert_exact(y.numpy(), conv(x, w, b))
    assert lies_last(y.numpy())


def test_not_finite_values_reach_their_pixel_alone() -> None:
    x, w = last(np.ones((1, 8, 6, 6), np.float32)), np.ones((5, 8, 1, 1), np.float32)
    x[0, 3, 2, 4], x[0, 1, 5, 5] = np.nan, np.inf
    y = F.conv2d(x, w)
    assert np.isnan(y[0, :, 2, 4]).all()
    assert np.isinf(y[0, :, 5, 5]).all()
    assert np.isfinite(y).sum() == y.size - 10
