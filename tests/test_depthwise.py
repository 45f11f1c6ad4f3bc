"""Depthwise and grouped kernels at the edges of arrays: nothing outside is read into a result or
written, for planes narrower than a vector and for every phase of a stride."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import reference
from directions import geometry, operands, run
from fastconv import _core
from problems import parse

GUARD = 64  # elements of NaN on either side: as wide as the widest vector and more

# (channels, multiplier, plane, kernel, stride, padding, dilation)
PROBLEMS = [
    (3, 1, (7, 7), (3, 3), (1, 1), (1, 1), (1, 1)),
    (5, 1, (1, 1), (3, 3), (1, 1), (1, 1), (1, 1)),
    (2, 1, (14, 15), (5, 5), (2, 2), (2, 2), (1, 1)),
    (3, 2, (9, 33), (3, 4), (1, 1), (0, 0), (1, 1)),
    (2, 1, (31, 17), (7, 2), (3, 2), (3, 0), (1, 2)),
    (1, 1, (20, 70), (11, 11), (1, 1), (5, 5), (1, 1)),
    (4, 1, (2, 5), (1, 1), (4, 4), (0, 0), (1, 1)),
    (2, 3, (16, 16), (4, 1), (1, 1), (6, 0), (2, 1)),
    # many units: most are read where they lie, those at the ends from a copy
    (70, 1, (7, 7), (3, 3), (1, 1), (1, 1), (1, 1)),
    (33, 2, (5, 8), (5, 5), (1, 1), (2, 2), (1, 1)),
    (20, 1, (14, 14), (7, 7), (1, 1), (3, 3), (1, 1)),
    (18, 4, (15, 30), (3, 3), (1, 1), (1, 2), (1, 1)),
    (24, 1, (14, 14), (5, 5), (2, 2), (2, 2), (1, 1)),
    (17, 3, (57, 35), (3, 3), (2, 2), (1, 1), (1, 1)),
    (32, 1, (20, 20), (3, 1), (2, 2), (1, 0), (1, 1)),
    (32, 1, (21, 20), (5, 2), (2, 2), (2, 1), (1, 1)),
    (24, 1, (20, 18), (5, 1), (1, 1), (2, 0), (1, 1)),
]


def guarded(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A contiguous copy of the values between NaNs, and the buffer around it."""
    buffer = np.full(values.size + 2 * GUARD, np.nan, np.float32)
    inner = buffer[GUARD : GUARD + values.size].reshape(values.shape)
    inner[...] = values
    return inner, buffer


def untouched(buffer: NDArray[np.float32]) -> bool:
    return bool(np.isnan(buffer[:GUARD]).all() and np.isnan(buffer[-GUARD:]).all())


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("per_group", [1, 3], ids=["depthwise", "grouped"])
def test_stays_within_the_arrays(problem: tuple, per_group: int) -> None:
    groups, multiplier, plane, kernel, stride, padding, dilation = problem
    name = "depthwise" if per_group == 1 else "grouped"
    rng = np.random.default_rng(7)
    x, _ = guarded(rng.integers(-4, 5, (2, groups * per_group, *plane)).astype(np.float32))
    w, _ = guarded(
        rng.integers(-4, 5, (groups * multiplier, per_group, *kernel)).astype(np.float32)
    )
    geometry = (stride, padding, dilation, groups)
    want = reference.conv(x, w, None, stride, padding, dilation, groups)
    out, around = guarded(np.zeros(want.shape, np.float32))
    _core.conv(2, x, w, None, *geometry, None, None, name, out)
    np.testing.assert_array_equal(out, want)
    assert untouched(around)

    dy, _ = guarded(rng.integers(-4, 5, want.shape).astype(np.float32))
    dx = _core.conv_input_grad(2, x.shape, w, dy, *geometry, name)
    dw = _core.conv_weight_grad(2, x, w.shape, dy, *geometry, name)
    np.testing.assert_array_equal(dx, _core.conv_input_grad(2, x.shape, w, dy, *geometry, "im2col"))
    np.testing.assert_array_equal(
        dw, _core.conv_weight_grad(2, x, w.shape, dy, *geometry, "im2col")
    )


def test_infinite_weight_beside_padding_is_nan() -> None:
    """Padding is a literal zero, so a row of it may be skipped only beside finite weights."""
    x = np.ones((1, 2, 12, 12), np.float32)
    w = np.ones((2, 1, 5, 5), np.float32)
    w[0, 0, 0, 0] = np.inf
    y = _core.conv(2, x, w, None, 1, 2, 1, 2, None, None, "depthwise", None)
    assert np.isnan(y[0, 0, :2]).all()
    assert np.isnan(y[0, 0, :, :2]).all()
    assert np.isinf(y[0, 0, 2:, 2:]).all()
    assert np.isfinite(y[0, 1]).all()


@pytest.mark.parametrize("stride", [1, 2])
def test_infinite_gradient_beside_padding_is_nan(stride: int) -> None:
    """Taps that multiply it with padding are NaN, the others infinite, whatever skips padding."""
    x = np.ones((1, 40, 9, 9), np.float32)
    dy = np.ones((1, 40, -(-9 // stride), -(-9 // stride)), np.float32)
    dy[0, 3, 0, 0] = np.inf
    dw = _core.conv_weight_grad(2, x, (40, 1, 3, 3), dy, stride, 1, 1, 40, "depthwise")
    assert np.isnan(dw[3, 0, 0]).all()
    assert np.isnan(dw[3, 0, :, 0]).all()
    assert np.isinf(dw[3, 0, 1:, 1:]).all()
    assert np.isfinite(np.delete(dw, 3, 0)).all()


def test_infinite_values_stay_with_their_taps() -> None:
    """The last vector of a row is partly outside the output: what lies there is not multiplied."""
    x = np.ones((1, 1, 4, 21), np.float32)
    x[..., -1] = np.inf
    dy = np.ones((1, 1, 4, 19), np.float32)
    dw = _core.conv_weight_grad(2, x, (1, 1, 1, 3), dy, 1, 0, 1, 1, "depthwise")
    np.testing.assert_array_equal(dw, [[[[76.0, 76.0, np.inf]]]])


@pytest.mark.parametrize("line", ["n1c40h112w112 k40r3s3 p1 g40", "n1c96h72w72 k96r3s3 p1 g24"])
@pytest.mark.parametrize("bad", [None, np.inf])
def test_groups_of_large_arrays_some_at_a_time(line: str, bad: float | None) -> None:
    """Both gradients of a call are made some groups at a time, and are those of calls for one."""
    problem = parse(line)
    data = operands(problem, "float32", "normals")
    if bad is not None:
        data.w[7, 0, 1, 1] = data.dy[0, 3, 5, 5] = bad
    how = geometry(problem)
    before = _core.get_num_threads()
    try:
        for threads in (1, 3):
            _core.set_num_threads(threads)
            got = _core.conv_backward(2, data.dy, data.x, data.w, *how, (True,) * 3, "auto")
            for gradient, direction in zip(got[:2], ("input", "weight"), strict=True):
                alone = run(direction, problem, data, "auto")
                if bad is None:
                    np.testing.assert_array_equal(gradient, alone)
                np.testing.assert_allclose(gradient, alone, rtol=1e-4, atol=1e-3)
            sums = _core.conv_backward(
                2, data.dy, data.x, data.w, *how, (False, False, True), "auto"
            )
            np.testing.assert_allclose(got[2], sums[2], rtol=1e-4, atol=1e-3)
    finally:
        _core.set_num_threads(before)
