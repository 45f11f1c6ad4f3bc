"""Padding and resizing by tables: every mode against plain NumPy, in every layout and type."""

from __future__ import annotations

import numpy as np
import pytest

import fastconv
import fastconv.nn.functional as F
from fastconv import _core

RNG = np.random.default_rng(0)
NUMPY_MODES = {
    "constant": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}


def layouts(x):
    """The same values in C order, channels-last, mirrored, and as every other element."""
    yield np.ascontiguousarray(x)
    if x.ndim >= 3:
        yield np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)
    yield x[..., ::-1].copy()[..., ::-1]
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    yield wide[..., ::2]


# ---- padding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i1", "u2", "i8", "c16", "?", ">f4"])
@pytest.mark.parametrize("mode", list(NUMPY_MODES))
@pytest.mark.parametrize("sides", [(1, 2), (2, 1, 0, 3), (0, 0, 3, 3), (1, 1, 2, 2, 1, 0)])
def test_pad_is_numpys(sides, mode, dtype):
    x = RNG.integers(0, 100, (2, 3, 5, 6, 40)).astype(dtype)
    pairs = [(0, 0)] * (x.ndim - len(sides) // 2) + list(zip(sides[::2], sides[1::2], strict=True))[
        ::-1
    ]
    expected = np.pad(x, pairs, NUMPY_MODES[mode])
    for given in layouts(x):
        got = F.pad(given, sides, mode)
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 7, 7), (2, 3, 1, 70), (1, 1, 300, 3)])
def test_pad_with_a_value_and_crops(shape):
    x = RNG.standard_normal(shape).astype(np.float32)
    for sides in [(2, 1), (-1, 2), (3, -2), (-1, -1)] if shape[-1] > 2 else [(2, 1)]:
        before, after = sides
        kept = x[..., max(-before, 0) : shape[-1] - max(-after, 0)]
        expected = np.pad(
            kept,
            [(0, 0)] * (x.ndim - 1) + [(max(before, 0), max(after, 0))],
            constant_values=np.nan,
        )
        for given in layouts(x):
            np.testing.assert_array_equal(F.pad(given, sides, value=np.nan), expected)


@pytest.mark.parametrize("mode", list(NUMPY_MODES))
@pytest.mark.parametrize("shape", [(2, 3, 9), (2, 3, 8, 9), (1, 2, 6, 5, 8), (3, 40, 7, 7)])
def test_pad_backward_is_the_adjoint(shape, mode):
    x = RNG.integers(-4, 5, shape).astype(np.float64)
    sides = (2, 1, 3, 2, 1, 4)[: 2 * (len(shape) - 2)]
    y = F.pad(x, sides, mode)
    g = RNG.integers(-4, 5, y.shape).astype(np.float64)
    for given in layouts(g):
        gx = F.pad_backward(given, x.shape, sides, mode)
        assert gx.shape == x.shape
        assert (gx * x).sum() == (g * y).sum()  # small integers: exact


def test_pad_keeps_channels_last():
    x = np.moveaxis(RNG.standard_normal((2, 5, 6, 3)), -1, 1)
    for mode in NUMPY_MODES:
        assert np.moveaxis(F.pad(x, (1, 1, 2, 0), mode), 1, -1).flags.c_contiguous


def test_pad_of_nothing():
    assert F.pad(np.zeros((0, 3, 4, 4), np.float32), (1, 1)).shape == (0, 3, 4, 6)
    assert F.pad(np.zeros((2, 0), np.float32), (1, 2)).tolist() == [[0, 0, 0]] * 2
    np.testing.assert_array_equal(F.pad(np.ones((1, 2, 3)), (0, 0)), np.ones((1, 2, 3)))


def test_objects_cannot_be_padded():
    with pytest.raises(TypeError, match="pad: cannot pad an array of object"):
        F.pad(np.array([None, None]), (1, 1))


# ---- resizing ------------------------------------------------------------------------------------


def matrix(n, o, mode, align):
    """The weights of one axis, by its unit vectors."""
    if mode in ("nearest", "nearest-exact", "area"):
        return F.interpolate(np.eye(n)[:, None], o, mode=mode)[:, 0].T
    if mode == "linear":
        return F.interpolate(np.eye(n)[:, None], o, mode=mode, align_corners=align)[:, 0].T
    columns = F.interpolate(np.eye(n)[:, None, :, None].repeat(2, 3), (o, 2), mode=mode,
                            align_corners=align)  # fmt: skip
    return columns[:, 0, :, 0].T


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("mode", "align"),
    [("nearest", None), ("nearest-exact", None), ("area", None), ("bilinear", False),
     ("bilinear", True), ("bicubic", False), ("bicubic", True)],
)  # fmt: skip
@pytest.mark.parametrize(
    ("size", "target"),
    [((7, 9), (14, 18)), ((40, 50), (13, 7)), ((3, 70), (70, 3)), ((6, 5), (6, 9))],
)
def test_two_axes_are_two_matrices(size, target, mode, align, dtype):
    one = "linear" if mode == "bilinear" else mode
    rows, columns = (matrix(n, o, one, align) for n, o in zip(size, target, strict=True))
    assert rows.sum(1) == pytest.approx(1)
    x = RNG.standard_normal((2, 3, *size)).astype(dtype)
    g = RNG.standard_normal((2, 3, *target)).astype(dtype)
    expected = rows @ x.astype(np.float64) @ columns.T
    expected_gx = rows.T @ g.astype(np.float64) @ columns
    atol = 1e-12 if dtype == np.float64 else 3e-6
    for given, gradient in zip(layouts(x), layouts(g), strict=True):
        got = F.interpolate(given, target, mode=mode, align_corners=align)
        np.testing.assert_allclose(got, expected, rtol=0, atol=atol)
        gx = F.interpolate_backward(gradient, given, target, mode=mode, align_corners=align)
        np.testing.assert_allclose(gx, expected_gx, rtol=0, atol=8 * atol)


def test_resizing_keeps_channels_last():
    x = np.moveaxis(RNG.standard_normal((2, 5, 6, 40)), -1, 1)
    y = F.interpolate(x, scale_factor=2.0, mode="bilinear")
    assert np.moveaxis(y, 1, -1).flags.c_contiguous
    dense = F.interpolate(np.ascontiguousarray(x), scale_factor=2.0, mode="bilinear")
    np.testing.assert_allclose(y, dense, rtol=0, atol=1e-14)


@pytest.mark.parametrize("n", [5, 20, 100])
def test_a_window_with_an_infinity_does_not_spoil_its_neighbours(n):
    for o in (2, 3, 4):
        for at in range(n):
            x = np.ones((1, 2, n), np.float32)
            x[0, 0, at] = np.inf
            y = F.adaptive_avg_pool1d(x, o)
            starts = np.arange(o) * n // o
            ends = -(-(np.arange(o) + 1) * n // o)
            np.testing.assert_array_equal(np.isinf(y[0, 0]), (starts <= at) & (at < ends))
            assert not np.isnan(y).any()
            assert np.isfinite(y[0, 1]).all()


def test_results_do_not_depend_on_threads():
    x = RNG.standard_normal((3, 16, 61, 67)).astype(np.float32)
    calls = [
        lambda: F.interpolate(x, 100, mode="bicubic"),
        lambda: F.adaptive_avg_pool2d(x, 5),
        lambda: F.pad(x, (3, 3, 3, 3), "reflect"),
    ]
    with fastconv.threads(1):
        first = [call() for call in calls]
    with fastconv.threads(3):
        for call, one in zip(calls, first, strict=True):
            np.testing.assert_array_equal(call(), one)


@pytest.mark.parametrize(
    "tables",
    [
        ((np.array([0, 1]), np.array([9]), np.array([1.0])),),
        ((np.array([0, 2]), np.array([0]), np.array([1.0])),),
        ((np.array([0, 1, 0, 1]), np.array([0]), np.array([1.0])),),
        ((np.array([0, 1]), np.array([-1]), np.array([1.0])),),
    ],
)
def test_the_engine_refuses_tables_that_do_not_fit(tables):
    with pytest.raises(ValueError, match="does not fit its axis"):
        _core.resample("resample", np.ones((2, 4)), tables)
    with pytest.raises(ValueError, match="does not fit its axis"):
        _core.pad("pad", np.ones(4), (np.array([4]),), np.zeros(()))
