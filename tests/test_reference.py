"""The reference itself, held to SciPy, to PyTorch where it is installed, and to its own algebra.

Data are small integers, so every comparison is exact.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from reference import (
    avg_pool,
    avg_pool_input,
    conv,
    conv_bias,
    conv_input,
    conv_weight,
    max_pool,
    max_pool_input,
    output_size,
)

RNG = np.random.default_rng(1)
SPATIAL = {1: (9,), 2: (7, 6), 3: (5, 4, 6)}


def ints(*shape: int) -> NDArray[np.float64]:
    return RNG.integers(-8, 9, shape).astype(np.float64)


# SciPy: one plane, no padding, then "same" -------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_conv_is_scipy_correlate(rank: int, k: int) -> None:
    x, w = ints(2, 3, *SPATIAL[rank]), ints(4, 3, *(k,) * rank)
    expected = [
        [
            sum(signal.correlate(x[n, c], w[o, c], "valid", "direct") for c in range(3))
            for o in range(4)
        ]
        for n in range(2)
    ]
    np.testing.assert_array_equal(conv(x, w), expected)


def test_stride_and_dilation_are_subsampling_and_holes() -> None:
    x, w = ints(1, 1, 11, 12), ints(1, 1, 3, 2)
    holes = np.zeros((5, 4))
    holes[::2, ::3] = w[0, 0]
    expected = signal.correlate(x[0, 0], holes, "valid", "direct")[::2, ::3]
    np.testing.assert_array_equal(conv(x, w, None, (2, 3), 0, (2, 3))[0, 0], expected)


def test_same_puts_the_odd_element_after() -> None:
    y = conv(np.array([[[1.0, 2, 3, 4]]]), np.array([[[1.0, 10]]]), padding="same")
    assert y.tolist() == [[[21, 32, 43, 4]]]


# Algebra: the gradients are the adjoints of the forward ------------------------------------------

PADDINGS = {1: [0, 2, [(2, 1)]], 2: [0, 1, [(0, 2), (3, 1)]], 3: [0, 1, [(1, 0), (0, 2), (2, 2)]]}


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("case", [0, 1, 2])
def test_conv_gradients_are_adjoint(
    rank: int, case: int, stride: int, dilation: int, groups: int
) -> None:
    x, w = ints(2, 4, *SPATIAL[rank]), ints(6, 4 // groups, *(3, 2, 2)[:rank])
    how = (stride, PADDINGS[rank][case], dilation, groups)
    y = conv(x, w, None, *how)
    g = ints(*y.shape)
    inner = np.vdot(y, g)
    assert np.vdot(x, conv_input(x.shape, w, g, *how)) == inner
    assert np.vdot(w, conv_weight(x, w.shape, g, *how)) == inner
    b = ints(6)
    assert np.vdot(conv(x, w, b, *how) - y, g) == np.vdot(b, conv_bias(g))


# PyTorch ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("stride", "padding", "dilation"), [(1, 0, 1), (2, 1, 1), (1, 2, 2), (3, 3, 2)]
)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_conv_agrees_with_torch(
    rank: int, stride: int, padding: int, dilation: int, groups: int
) -> None:
    torch = pytest.importorskip("torch")
    x, w, b = ints(2, 4, *SPATIAL[rank]), ints(6, 4 // groups, *(3, 2, 2)[:rank]), ints(6)
    how: Any = (stride, padding, dilation, groups)
    tx, tw, tb = (torch.from_numpy(a).requires_grad_() for a in (x, w, b))
    ty = getattr(torch.nn.functional, f"conv{rank}d")(tx, tw, tb, *how)
    g = ints(*ty.shape)
    ty.backward(torch.from_numpy(g))
    np.testing.assert_array_equal(conv(x, w, b, *how), ty.detach().numpy())
    np.testing.assert_array_equal(conv_input(x.shape, w, g, *how), tx.grad.numpy())
    np.testing.assert_array_equal(conv_weight(x, w.shape, g, *how), tw.grad.numpy())
    np.testing.assert_array_equal(conv_bias(g), tb.grad.numpy())


POOLS = [
    (n, k, s, p, d, ceil)
    for n, k, s, p, d, ceil in itertools.product(
        range(1, 9), (1, 2, 3), (1, 2, 3), (0, 1), (1, 2), (False, True)
    )
    if p <= k // 2 and not (n < d and p) and output_size(n, k, s, (p, p), d, ceil) > 0
]  # n < d with padding: torch reads outside the plane there


def test_max_pool_agrees_with_torch() -> None:
    torch = pytest.importorskip("torch")
    for n, k, s, p, d, ceil in POOLS:
        x = RNG.integers(-1, 2, (2, 2, n, n + 1)).astype(np.float64)  # many ties
        x[RNG.random(x.shape) < 0.15] = np.nan
        x[RNG.random(x.shape) < 0.15] = -np.inf
        tx = torch.from_numpy(x).requires_grad_()
        ty, ti = torch.nn.functional.max_pool2d(tx, k, s, p, d, ceil, True)
        y, i = max_pool(x, k, s, p, d, ceil)
        np.testing.assert_array_equal(y, ty.detach().numpy())
        np.testing.assert_array_equal(i, ti.numpy())
        g = ints(*y.shape)
        ty.backward(torch.from_numpy(g))
        np.testing.assert_array_equal(max_pool_input(x.shape, g, i), tx.grad.numpy())


@pytest.mark.parametrize(("include", "override"), [(True, None), (False, None), (True, -3)])
def test_avg_pool_agrees_with_torch(include: bool, override: int | None) -> None:
    torch = pytest.importorskip("torch")
    for n, k, s, p, d, ceil in POOLS:
        if d > 1:
            continue
        x = ints(2, 2, n, n + 1)
        tx = torch.from_numpy(x).requires_grad_()
        ty = torch.nn.functional.avg_pool2d(tx, k, s, p, ceil, include, override)
        np.testing.assert_array_equal(
            avg_pool(x, k, s, p, ceil, include, override), ty.detach().numpy()
        )
        g = ints(*ty.shape)
        ty.backward(torch.from_numpy(g))
        dx = avg_pool_input(x.shape, g, k, s, p, ceil, include, override)
        np.testing.assert_allclose(dx, tx.grad.numpy(), rtol=0, atol=1e-14)


# What torch lacks, by hand ------------------------------------------------------------------------


def test_a_window_wholly_in_padding() -> None:
    y, i = max_pool([[[5.0]]], 2, 1, 1, 2)
    assert (y.tolist(), i.tolist()) == ([[[-np.inf]]], [[[-1]]])
    assert max_pool_input((1, 1, 1), [[[7.0]]], i).tolist() == [[[0.0]]]
    assert avg_pool([[[5.0]]], 2, 1, 1, False, False, None, 2).tolist() == [[[0.0]]]


def test_asymmetric_pool_padding() -> None:
    y, i = max_pool([[[1.0, 3, 2]]], 3, 2, [(2, 1)])
    assert (y.tolist(), i.tolist()) == ([[[1, 3]]], [[[0, 1]]])
    mean = avg_pool([[[3.0, 6, 9]]], 3, 2, [(2, 1)])
    assert mean.tolist() == [[[1.0, 6.0]]]


def test_dilated_average() -> None:
    assert avg_pool([[[1.0, 100, 3, 100, 8]]], 3, 1, 0, dilation=2).tolist() == [[[4.0]]]
