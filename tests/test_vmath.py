"""The elementwise functions, to a few units in the last place, and at the ends of the range."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastconv
import fastconv.nn.functional as F

# Each entry is a function, its reference, the range of arguments and how many units in the last
# place it may be off.
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _cdf(x):
    return 0.5 * _erfc(-x / math.sqrt(2))


def _softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


FUNCTIONS = {
    "sigmoid": (F.sigmoid, _sigmoid, (-80, 80), 3),
    "tanh": (F.tanh, np.tanh, (-12, 12), 3),
    "tanh small": (F.tanh, np.tanh, (-1e-3, 1e-3), 3),
    "elu": (F.elu, lambda x: np.where(x > 0, x, np.expm1(x)), (-20, 5), 3),
    "elu small": (F.elu, lambda x: np.where(x > 0, x, np.expm1(x)), (-1e-3, 1e-3), 2),
    "celu": (
        lambda x: F.celu(x, 0.5),
        lambda x: np.where(x > 0, x, 0.5 * np.expm1(x / 0.5)),
        (-20, 5),
        3,
    ),
    "softplus": (F.softplus, lambda x: np.where(x > 20, x, _softplus(x)), (-80, 30), 6),
    "logsigmoid": (F.logsigmoid, lambda x: -_softplus(-x), (-80, 80), 6),
    "silu": (F.silu, lambda x: x * _sigmoid(x), (-80, 80), 4),
    "gelu": (F.gelu, lambda x: x * _cdf(x), (-5, 12), 14),
    "gelu small": (F.gelu, lambda x: x * _cdf(x), (-1, 1), 8),
    "mish": (F.mish, lambda x: x * np.tanh(_softplus(x)), (-60, 30), 6),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_units_in_the_last_place(name, dtype):
    function, reference, (low, high), units = FUNCTIONS[name]
    x = np.random.default_rng(0).uniform(low, high, 20_000).astype(dtype)
    expected = reference(x.astype(np.float64))
    with np.errstate(under="ignore"):
        spacing = np.spacing(np.abs(expected.astype(dtype))).astype(np.float64)
    off = np.abs(function(x).astype(np.float64) - expected) / spacing
    if dtype == np.float64:  # the reference itself is off by a few, and in gelu's tail by many
        units += 300 if name == "gelu" else 4
    worst = off.argmax()
    assert off[worst] <= units, f"{name}({x[worst]!r}) is off by {off[worst]:.1f} units"


ENDS = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e30, -1e30, 1e-40])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (F.relu, [np.inf, 0, np.nan, 0, 0, 1e30, 0, 1e-40]),
        (F.relu6, [6, 0, np.nan, 0, 0, 6, 0, 1e-40]),
        (F.elu, [np.inf, -1, np.nan, 0, 0, 1e30, -1, 1e-40]),
        (F.celu, [np.inf, -1, np.nan, 0, 0, 1e30, -1, 1e-40]),
        (F.sigmoid, [1, 0, np.nan, 0.5, 0.5, 1, 0, 0.5]),
        (F.tanh, [1, -1, np.nan, 0, 0, 1, -1, 1e-40]),
        (F.softplus, [np.inf, 0, np.nan, np.log(2), np.log(2), 1e30, 0, np.log(2)]),
        (F.logsigmoid, [0, -np.inf, np.nan, -np.log(2), -np.log(2), 0, -1e30, -np.log(2)]),
        (F.silu, [np.inf, 0, np.nan, 0, 0, 1e30, 0, 5e-41]),
        (F.mish, [np.inf, 0, np.nan, 0, 0, 1e30, 0, 6e-41]),
        (lambda x: F.threshold(x, 0.1, 7), [np.inf, 7, np.nan, 7, 7, 1e30, 7, 7]),
        (F.hardshrink, [np.inf, -np.inf, np.nan, 0, 0, 1e30, -1e30, 0]),
        (F.softshrink, [np.inf, -np.inf, np.nan, 0, 0, 1e30, -1e30, 0]),
        (F.tanhshrink, [np.inf, -np.inf, np.nan, 0, 0, 1e30, -1e30, 0]),
    ],
)
def test_ends_of_the_range(function, expected, dtype):
    got = function(np.tile(ENDS.astype(dtype), 3))  # whole vectors and a rest
    with np.errstate(under="ignore"):
        atol = 1e-40 if dtype == np.float32 else 0
        np.testing.assert_allclose(got, np.tile(np.array(expected, dtype), 3), 1e-6, atol)


@pytest.mark.parametrize(
    "function",
    [
        F.relu,
        F.relu6,
        F.leaky_relu,
        F.hardsigmoid,
        F.hardshrink,
        F.softshrink,
        lambda x: F.threshold(x, 0.1, 7),
    ],
)
def test_an_infinite_gradient_stays_out_of_flat_pieces(function):
    x = fastconv.tensor(np.array([-7.0, 0.0, 0.2, 7.0], np.float32), requires_grad=True)
    (gx,) = fastconv.autograd.grad(function(x), [x], [np.full(4, np.inf, np.float32)])
    assert not np.isnan(np.asarray(gx)).any()
