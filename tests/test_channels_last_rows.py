"""Norms and pools of channels-last arrays: the results of C order, kept in their own order."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv
import fastconv.nn.functional as F

RNG = np.random.default_rng(0)
SHAPES = [(2, 3, 5, 7), (3, 64, 13, 11), (1, 100, 1, 300), (4, 17, 33), (2, 24, 3, 4, 5)]


def last(x):
    """The same values in channels-last memory."""
    return np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)


def is_last(x):
    return np.moveaxis(x, 1, -1).flags.c_contiguous


def close(got, expected, atol):
    np.testing.assert_allclose(got, expected, rtol=0, atol=atol * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(shape, dtype, training):
    atol = 1e-12 if dtype == np.float64 else 2e-5
    c = shape[1]
    x = (RNG.standard_normal(shape) * 2 + 30).astype(dtype)  # far from zero: sums must not cancel
    g = RNG.standard_normal(shape).astype(dtype)
    mean, w, b = (RNG.standard_normal(c).astype(dtype) for _ in range(3))
    var = RNG.uniform(0.5, 2, c).astype(dtype)
    y = F.batch_norm(x, mean.copy(), var.copy(), w, b, training)
    kept = mean.copy(), var.copy()
    y_last = F.batch_norm(last(x), *kept, w, b, training)
    assert is_last(y_last)
    close(y_last, y, atol)
    axes = (0, *range(2, len(shape)))
    m = x.mean(axes, dtype=np.float64).astype(dtype) if training else mean
    v = x.var(axes, dtype=np.float64).astype(dtype) if training else var
    grads = F.batch_norm_backward(g, x, w, m, 1 / np.sqrt(v + dtype(1e-5)), training)
    for gradient in (last(g), g):
        others = F.batch_norm_backward(
            gradient, last(x), w, m, 1 / np.sqrt(v + dtype(1e-5)), training
        )
        assert is_last(others.input)
        for got, expected in zip(others, grads, strict=True):
            close(got, expected, 10 * atol)


@pytest.mark.parametrize("groups", [1, 4, 8])
@pytest.mark.parametrize("shape", [(2, 8, 5, 7), (3, 64, 13, 11), (2, 24, 3, 4, 5)])
def test_group_norm(shape, groups):
    x = (RNG.standard_normal(shape) * 2 + 5).astype(np.float32)
    g = RNG.standard_normal(shape).astype(np.float32)
    w, b = (RNG.standard_normal(shape[1]).astype(np.float32) for _ in range(2))
    y = F.group_norm(last(x), groups, w, b)
    assert is_last(y)
    close(y, F.group_norm(x, groups, w, b), 1e-5)
    grads = F.group_norm_backward(g, x, groups, w)
    for got, expected in zip(
        F.group_norm_backward(last(g), last(x), groups, w), grads, strict=True
    ):
        close(got, expected, 2e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "window",
    [((2, 2), None, 0, 1), ((3, 3), 2, 1, 1), ((3, 3), 1, 1, 1), ((5, 3), (1, 2), (2, 1), 1),
     ((2, 2), 1, 0, 2), ((1, 1), 3, 0, 1)],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(2, 3, 8, 9), (1, 40, 7, 7), (2, 64, 12, 10)])
def test_max_pool_backward(shape, window, dtype):
    x = RNG.integers(-3, 4, shape).astype(dtype)  # many ties
    y, indices = F.max_pool2d(x, *window, return_indices=True)
    g = RNG.integers(-9, 10, y.shape).astype(dtype)
    expected = F.max_pool2d_backward(g, x, indices, *window)
    got = F.max_pool2d_backward(last(g), last(x), last(indices), *window)
    np.testing.assert_array_equal(got, expected)
    assert is_last(got)
    tensor = fastconv.tensor(last(x), requires_grad=True)
    (gx,) = fastconv.autograd.grad(F.max_pool2d(tensor, *window), [tensor], [last(g)])
    np.testing.assert_array_equal(np.asarray(gx), expected)
    if min(y.shape[2:]) > 1:
        assert is_last(np.asarray(gx))


def test_max_pool_backward_with_indices_of_another_window():
    x = RNG.standard_normal((2, 19, 6, 6)).astype(np.float32)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    indices[:, 3] = 35
    indices[1, 4] = -1
    g = np.ones_like(y)
    expected = F.max_pool2d_backward(g, x, indices, 2)
    got = F.max_pool2d_backward(last(g), last(x), last(indices), 2)
    np.testing.assert_array_equal(got, expected)
    indices[0, 0, 0, 0] = 36
    with pytest.raises(ValueError, match="invalid max index"):
        F.max_pool2d_backward(last(g), last(x), last(indices), 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (3, 4), (9, 11), (12, 15)])
def test_adaptive_max(size, dtype):
    x = RNG.integers(-3, 4, (2, 21, 9, 11)).astype(dtype)
    x[0, 0, 4, 4] = np.nan
    x[1, 1] = -np.inf
    y, indices = F.adaptive_max_pool2d(x, size, True)
    g = RNG.integers(-9, 10, y.shape).astype(dtype)
    gx = np.zeros_like(x)
    for place in np.ndindex(y.shape):
        n, c, p, q = place
        rows = slice(p * 9 // size[0], -(-(p + 1) * 9 // size[0]))
        columns = slice(q * 11 // size[1], -(-(q + 1) * 11 // size[1]))
        window = x[n, c, rows, columns]
        at = np.unravel_index(np.argmax(window), window.shape)
        np.testing.assert_array_equal(y[place], window[at])
        found = (rows.start + at[0], columns.start + at[1])
        assert indices[place] == found[0] * 11 + found[1]
        gx[n, c, found[0], found[1]] += g[place]
    for given, gradient in [(x, g), (last(x), last(g)), (x[..., ::-1].copy()[..., ::-1], g)]:
        got = F.adaptive_max_pool2d(given, size, True)
        np.testing.assert_array_equal(got[0], y)
        np.testing.assert_array_equal(got[1], indices)
        tensor = fastconv.tensor(given, requires_grad=True)
        (back,) = fastconv.autograd.grad(F.adaptive_max_pool2d(tensor, size), [tensor], [gradient])
        np.testing.assert_array_equal(np.asarray(back), gx)


@pytest.mark.parametrize("shape", [(2, 5, 8, 6), (5, 8, 6), (1, 33, 4, 4)])
def test_unpool(shape):
    x = RNG.standard_normal(shape).astype(np.float32)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    expected = np.where(np.isin(x, y), x, 0)
    orders = [(y, indices)]
    if len(shape) == 4:
        orders.append((last(y), last(indices)))
    for values, places in orders:
        np.testing.assert_array_equal(F.max_unpool2d(values, places, 2), expected)
        tensor = fastconv.tensor(values, requires_grad=True)
        (g,) = fastconv.autograd.grad(F.max_unpool2d(tensor, places, 2), [tensor], [x])
        np.testing.assert_array_equal(np.asarray(g), y)
    bad = indices.copy()
    bad.flat[3] = x.shape[-1] * x.shape[-2]
    with pytest.raises(ValueError, match="Found an invalid max index: "):
        F.max_unpool2d(y, bad, 2)
