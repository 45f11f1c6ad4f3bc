"""Rows of losses, softmax and learnt slopes: layouts, threads, nothing at all, and bad targets."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv
import fastconv.nn.functional as F

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 21, 33, 35)).astype(np.float32)
T = RNG.uniform(0.01, 0.99, X.shape).astype(np.float32)
LABELS = RNG.integers(0, 21, (3, 33, 35))
PAIRS = {
    "mse": lambda x, t, how: F.mse_loss(x, t, reduction=how),
    "l1": lambda x, t, how: F.l1_loss(x, t, reduction=how),
    "smooth l1": lambda x, t, how: F.smooth_l1_loss(x, t, reduction=how, beta=0.3),
    "huber": lambda x, t, how: F.huber_loss(x, t, reduction=how, delta=0.7),
    "bce": lambda x, t, how: F.binary_cross_entropy(abs(x) / 8, t, reduction=how),
    "bce logits": lambda x, t, how: F.binary_cross_entropy_with_logits(x, t, reduction=how),
}


def last(x):
    """The same values in channels-last memory."""
    return np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)


@pytest.mark.parametrize("name", list(PAIRS))
def test_pairs_in_any_order_of_memory(name):
    loss = PAIRS[name]
    each = loss(X, T, "none")
    for x, t in [(last(X), last(T)), (X, last(T)), (X[..., ::-1].copy()[..., ::-1], T)]:
        np.testing.assert_array_equal(loss(x, t, "none"), each)
        np.testing.assert_allclose(loss(x, t, "sum"), each.sum(dtype=np.float64), rtol=1e-6)
        np.testing.assert_allclose(loss(x, t, "mean"), each.mean(dtype=np.float64), rtol=1e-6)


@pytest.mark.parametrize("name", list(PAIRS))
def test_pairs_of_nothing(name):
    nothing = np.zeros((0, 3), np.float32)
    assert PAIRS[name](nothing, nothing, "sum") == 0
    assert np.isnan(PAIRS[name](nothing, nothing, "mean"))
    assert PAIRS[name](nothing, nothing, "none").shape == (0, 3)


def test_bce_at_the_ends():
    p = np.array([0, 1, 0, 1, 1e-40, np.float32(1e-38)], np.float32)
    t = np.array([0, 1, 1, 0, 1, 1], np.float32)
    got = F.binary_cross_entropy(p, t, reduction="none")
    expected = np.minimum(-np.log(np.where(t == 1, p, 1 - p).astype(np.float64) + 1e-300), 100)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_softmax_along_every_axis(axis):
    wide = X.astype(np.float64)
    e = np.exp(wide - wide.max(axis, keepdims=True))
    expected = e / e.sum(axis, keepdims=True)
    g = RNG.standard_normal(X.shape).astype(np.float32)
    gx = expected * (g - (g * expected).sum(axis, keepdims=True))
    for x, gradient in [(X, g), (last(X), last(g)), (last(X), g)]:
        y = F.softmax(x, axis)
        np.testing.assert_allclose(y, expected, rtol=2e-6)
        np.testing.assert_allclose(F.log_softmax(x, axis), np.log(expected), rtol=0, atol=2e-6)
        np.testing.assert_allclose(F.softmax_backward(gradient, y, axis), gx, rtol=0, atol=1e-6)


def test_softmax_of_infinities():
    x = np.zeros((2, 3, 40), np.float32)
    x[0, 1] = -np.inf
    x[1, 2, 5] = np.nan
    y = F.softmax(x, 1)
    assert (y[0, 1] == 0).all()
    assert np.isnan(y[1, :, 5]).all()
    assert np.isnan(y).sum() == 3
    assert np.isneginf(F.log_softmax(x, 1)[0, 1]).all()


def test_results_do_not_depend_on_threads():
    w = RNG.uniform(0.1, 0.9, 21).astype(np.float32)
    g = RNG.standard_normal(X.shape).astype(np.float32)
    big = np.tile(X, (4, 1, 2, 2))
    calls = [
        lambda: F.mse_loss(big, big * 0.5),
        lambda: F.softmax(big, 1),
        lambda: F.prelu_backward(np.tile(g, (4, 1, 2, 2)), big, w)[1],
        lambda: F.prelu_backward(last(np.tile(g, (4, 1, 2, 2))), last(big), w)[1],
        lambda: F.prelu_backward(np.tile(g, (4, 1, 2, 2)), big, w[:1])[1],
    ]
    with fastconv.threads(1):
        first = [call() for call in calls]
    with fastconv.threads(3):
        for call, one in zip(calls, first, strict=True):
            np.testing.assert_array_equal(call(), one)


@pytest.mark.parametrize("weight", [np.array([0.25]), RNG.uniform(-1, 1, 21)])
def test_prelu_in_either_layout(weight):
    w = weight.astype(np.float32)
    slope = w if w.size == 1 else w[:, None, None]
    g = RNG.standard_normal(X.shape).astype(np.float32)
    below = np.where(X > 0, 0, X.astype(np.float64) * g)
    for x, gradient in [(X, g), (last(X), last(g)), (X, last(g)), (last(X), g)]:
        np.testing.assert_array_equal(F.prelu(x, w), np.where(X > 0, X, X * slope))
        gx, gw = F.prelu_backward(gradient, x, w)
        np.testing.assert_array_equal(gx, np.where(X > 0, g, g * slope))
        expected = below.sum() if w.size == 1 else below.sum((0, 2, 3))
        np.testing.assert_allclose(gw, np.ravel(expected), rtol=1e-4, atol=1e-3)


def test_classes_that_do_not_count():
    scores = fastconv.tensor(X, requires_grad=True)
    ignored = np.full_like(LABELS, -100)
    loss = F.cross_entropy(scores, ignored)
    assert np.isnan(loss.item())
    some = LABELS.copy()
    some[:, ::2] = 7
    logp = F.log_softmax(X, 1)
    kept = some != 7
    picked = np.take_along_axis(logp, some[:, None], 1)[:, 0]
    np.testing.assert_allclose(
        F.nll_loss(logp, some, ignore_index=7), -picked[kept].mean(), rtol=1e-5
    )
    gx = F.nll_loss_backward(np.float32(1), logp, some, None, 7)
    assert (gx != 0).sum() == kept.sum()
    assert gx.sum() == pytest.approx(-1, rel=1e-5)


@pytest.mark.parametrize("bad", [21, -1, 2**40])
def test_classes_out_of_bounds(bad):
    labels = LABELS.copy()
    labels[1, 2, 3] = bad
    with pytest.raises(IndexError, match=f"target {bad} is out of bounds for 21 classes"):
        F.cross_entropy(X, labels)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
def test_normalize_along_every_axis(axis, dtype):
    x = RNG.standard_normal((2, 19, 6, 35)).astype(dtype)
    x[np.index_exp[:] * (axis % 4) + (0,)] = 0
    if axis % 4 == 1:
        x[1, :, 2, 3] = 0  # below eps: not normalised
    g = RNG.standard_normal(x.shape).astype(dtype)
    length = np.sqrt((x.astype(np.float64) ** 2).sum(axis, keepdims=True))
    unit = x / np.maximum(length, 1e-3)
    gx = g - np.where(length > 1e-3, unit * (g * unit).sum(axis, keepdims=True), 0)
    gx = gx / np.maximum(length, 1e-3)
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    for given, gradient in [(x, g), (last(x), last(g)), (last(x), g)]:
        tensor = fastconv.tensor(given, requires_grad=True)
        y = F.normalize(tensor, dim=axis, eps=1e-3)
        np.testing.assert_allclose(y.detach().numpy(), unit, rtol=rtol, atol=rtol)
        np.testing.assert_array_equal(F.normalize(given, dim=axis, eps=1e-3), y.detach().numpy())
        (back,) = fastconv.autograd.grad(y, [tensor], [gradient])
        np.testing.assert_allclose(np.asarray(back), gx, rtol=rtol, atol=rtol * np.abs(gx).max())


@pytest.mark.parametrize("shape", [(2, 6, 5, 7), (3, 64, 4, 4), (2, 8, 9)])
def test_glu_in_either_layout(shape):
    x = RNG.standard_normal(shape).astype(np.float32)
    first, gate = np.split(x, 2, 1)
    s = 1 / (1 + np.exp(-gate.astype(np.float64)))
    g = RNG.standard_normal(first.shape).astype(np.float32)
    gx = np.concatenate([g * s, g * first * s * (1 - s)], 1)
    for given, gradient in [(x, g), (last(x), last(g)), (last(x), g)]:
        tensor = fastconv.tensor(given, requires_grad=True)
        y = F.glu(tensor, 1)
        np.testing.assert_allclose(y.detach().numpy(), first * s, rtol=1e-6, atol=1e-7)
        (back,) = fastconv.autograd.grad(y, [tensor], [gradient])
        np.testing.assert_allclose(np.asarray(back), gx, rtol=1e-5, atol=1e-6)


def test_classes_in_channels_last_memory():
    w = RNG.uniform(0.1, 2, 21).astype(np.float32)
    for how in ("mean", "sum", "none"):
        expected = F.nll_loss(X, LABELS, w, ignore_index=3, reduction=how)
        np.testing.assert_array_equal(
            F.nll_loss(last(X), LABELS, w, ignore_index=3, reduction=how), expected
        )
        g = RNG.standard_normal(expected.shape).astype(np.float32)
        gx = F.nll_loss_backward(g, X, LABELS, w, 3, how)
        got = F.nll_loss_backward(g, last(X), LABELS, w, 3, how)
        np.testing.assert_array_equal(got, gx)
        assert np.moveaxis(got, 1, -1).flags.c_contiguous
