"""Products of matrices: every layout exact, and NumPy's pool of threads left asleep."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv
import fastconv.nn.functional as F

core = fastconv._core
RNG = np.random.default_rng(0)
EXTENTS = [
    (1, 1, 1),
    (3, 5, 7),
    (64, 10, 50),
    (1, 300, 20),
    (300, 1, 20),
    (17, 33, 1),
    (70, 80, 90),
]


def small(shape, dtype):
    return RNG.integers(-4, 5, shape).astype(dtype)


def turned(a):
    """The same values, transposed in memory."""
    return np.ascontiguousarray(np.swapaxes(a, -1, -2)).swapaxes(-1, -2)


def spread(a):
    """The same values with gaps between them."""
    return np.repeat(a, 2, -1)[..., ::2]


def unaligned(a):
    """The same values at an odd address."""
    raw = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    raw[...] = a
    return raw


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [(), (1,), (3,), (2, 5)], ids=str)
@pytest.mark.parametrize("extents", EXTENTS, ids=str)
def test_exact_in_every_layout(extents, batch, dtype):
    m, n, k = extents
    a, b = small((*batch, m, k), dtype), small((*batch, k, n), dtype)
    truth = np.matmul(a, b)
    for lay_a in (np.asarray, turned, spread, unaligned):
        for lay_b in (np.asarray, turned, spread, unaligned):
            y = core.product(lay_a(a), lay_b(b))
            assert y.dtype == truth.dtype
            np.testing.assert_array_equal(y, truth)


def test_bad_arrays_are_named():
    a = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"matmul: expected arrays .* got \(2, 3\) and \(2, 3\)"):
        core.product(a, a)
    with pytest.raises(ValueError, match="matmul: expected arrays"):
        core.product(a[:0], a.T)
    with pytest.raises(ValueError, match="matmul: expected arrays"):
        core.product(a[0], a.T)
    with pytest.raises(TypeError, match="matmul: other"):
        core.product(a, a.T.astype(np.float64))
    with pytest.raises(TypeError, match="matmul: input"):
        core.product([1.0], a)


def test_a_step_leaves_numpys_threads_asleep(monkeypatch):
    # Beside ours they would wait in a loop: a training step took five times as long.
    def refuse(*args, **kwargs):
        raise AssertionError("NumPy's matrix product was called")

    monkeypatch.setattr(np, "matmul", refuse)
    x = fastconv.from_numpy(small((64, 300), "float32")).requires_grad_()
    w = fastconv.from_numpy(small((50, 300), "float32")).requires_grad_()
    b = fastconv.from_numpy(small((50,), "float32")).requires_grad_()
    y = F.linear(x, w, b)
    y.backward(fastconv.ones_like(y))
    (x @ w.T).sum().backward()
    fastconv.bmm(x.reshape(2, 32, 300), w.reshape(2, 300, 25)).sum().backward()
    assert all(t.grad is not None for t in (x, w, b))
