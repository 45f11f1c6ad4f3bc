"""Copies between layouts: any permutation, step and extent, in every size of element."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv
from fastconv import _core

EXTENTS = (1, 2, 3, 4, 5, 8, 16, 17, 33)


def shuffled(rng: np.random.Generator, axes: int) -> list[int]:
    return [int(i) for i in rng.permutation(axes)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_any_permutation_and_step(dtype):
    rng = np.random.default_rng(0)
    for _ in range(300):
        shape = [int(rng.choice(EXTENTS)) for _ in range(rng.integers(1, 6))]
        if rng.random() < 0.1:
            shape[0] = 1030
        if np.prod(shape) > 50000:
            continue
        source = rng.integers(0, 100, shape).astype(dtype).transpose(shuffled(rng, len(shape)))
        if rng.random() < 0.3:
            source = source[tuple(slice(None, None, rng.choice([1, -1, 2])) for _ in shape)]
        order = shuffled(rng, len(shape))
        to = np.empty([source.shape[i] for i in order], dtype).transpose(np.argsort(order))
        _core.copy(to, source)
        np.testing.assert_array_equal(to, source)


def test_refusals():
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="copy: to must have shape"):
        _core.copy(np.zeros((3, 2), np.float32), x)
    still = np.zeros((2, 3), np.float32)
    still.flags.writeable = False
    with pytest.raises(ValueError, match="copy: to must be writable"):
        _core.copy(still, x)
    with pytest.raises(TypeError, match="copy:"):
        _core.copy([1.0], x)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("channels", [12, 16, 36, 2056])
def test_shuffles_keep_the_layout_both_ways(channels, last):
    x = np.random.default_rng(1).standard_normal((2, channels, 4, 6)).astype(np.float32)
    if last:
        x = np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)
    shuffles = {
        "channel_shuffle": (4, lambda a: a.reshape(2, 4, -1, 4, 6).swapaxes(1, 2)),
        "pixel_shuffle": (2, lambda a: a.reshape(2, -1, 2, 2, 4, 6).transpose(0, 1, 4, 2, 5, 3)),
        "pixel_unshuffle": (2, lambda a: a.reshape(2, -1, 2, 2, 3, 2).transpose(0, 1, 3, 5, 2, 4)),
    }
    for name, (factor, pieces) in shuffles.items():
        tensor = fastconv.tensor(x, requires_grad=True)
        y = getattr(fastconv, name)(tensor, factor)
        if name != "pixel_unshuffle":
            np.testing.assert_array_equal(y.data, pieces(x).reshape(y.shape))
        assert y.data.transpose(0, 2, 3, 1).flags.c_contiguous == last
        g = np.random.default_rng(2).standard_normal(y.shape).astype(np.float32)
        y.backward(g)
        assert float((g * y.data).sum()) == pytest.approx(float((tensor.grad * x).sum()), rel=1e-4)


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_whose_images_lie_apart(threads: int) -> None:
    """As those of a concatenation's parts: they are read where they lie."""
    rng = np.random.default_rng(0)
    g, y = rng.normal(size=(2, 5, 9, 20, 31)).astype(np.float32)
    views = {
        "channels": (g[:, 2:6], y[:, :4].copy()),
        "last channels, some images": (g[::2, 7:], y[::2, 7:].copy()),
        "columns": (g[..., 3:9], y[..., :6].copy()),
        "backwards": (g[::-1], y),
        "one for all": (np.broadcast_to(g[:1], g.shape), y),
        "one image": (g[1:2, 3:], y[:1, 3:].copy()),
        "none": (g[:0, 2:4], y[:0, 2:4].copy()),
        "input apart, too": (g[:, 2:6], y[:, 2:6]),
    }
    for name, (grad, output) in views.items():
        with fastconv.threads(threads):
            got = fastconv.relu_backward(grad, output)
        np.testing.assert_array_equal(got, grad * (output > 0), err_msg=name)
