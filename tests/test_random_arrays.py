"""Arrays that are odd in memory: huge views on little memory, extremes of shape, overlaps."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided, sliding_window_view

import fastconv
from checks import DTYPES, assert_exact, integers, python

BIG = 2**31 + 10


def test_a_view_of_more_than_2_31_elements() -> None:
    """Zero strides make it small; every index into it must still be 64-bit.  A copy would need
    17 GB: where one is made, the answer may be a MemoryError, but nothing else."""
    code = f"""
import resource
import numpy as np
import fastconv
resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
x = np.broadcast_to(np.float32(1), (1, 1, 2, {BIG}))
w = np.ones((1, 1, 2, 1), np.float32)
for call in (
    lambda: fastconv.conv2d(x, w, stride=(1, 2**30)) == 2,
    lambda: fastconv.max_pool2d(x, (2, 1), (1, 2**30)) == 1,
    lambda: fastconv.max_pool2d(x, (2, 1), (1, 2**30), return_indices=True)[1]
    == [0, 2**30, 2**31],
    lambda: fastconv.avg_pool2d(x, (2, 1), (1, 2**30)) == 1,
):
    try:
        right = call()
    except MemoryError:
        continue
    assert right.shape == (1, 1, 1, 3) and right.all()
"""
    python("-c", code)


def test_a_stride_of_more_than_2_31_bytes() -> None:
    """Two far apart rows of one large, never touched allocation."""
    far = np.zeros(BIG // 4 + 64, np.float32)
    x = as_strided(far, (1, 2, 4, 4), (0, BIG // 4 * 4, 16, 4))
    x[0, 1] = 3
    assert_exact(fastconv.conv2d(x, np.ones((1, 2, 2, 2), np.float32)), np.full((1, 1, 3, 3), 12))


def test_a_result_too_large_for_memory_is_a_memory_error() -> None:
    x = np.broadcast_to(np.float32(1), (2**24, 1, 2**12, 2**12))
    for call in (
        lambda: fastconv.conv2d(x, np.ones((1, 1, 1, 1), np.float32)),
        lambda: fastconv.max_pool2d(x, 1),
        lambda: fastconv.avg_pool2d(x, 1),
    ):
        with pytest.raises((MemoryError, ValueError)):
            call()


@pytest.mark.parametrize("dtype", DTYPES)
def test_extremes_of_shape(dtype: str) -> None:
    for shape, kernel in [
        ((1, 1, 1, 5000), (1, 3)),
        ((1, 1, 5000, 1), (3, 1)),
        ((1, 3000, 1, 1), (1, 1)),
        ((3000, 1, 1, 2), (1, 2)),
    ]:
        x, w = integers(shape, dtype), np.ones((2, shape[1], *kernel), dtype)
        y = fastconv.conv2d(x, w)
        windows = sliding_window_view(x.astype("f8"), (shape[1], *kernel), (1, 2, 3))
        assert_exact(y, np.repeat(windows.sum((-3, -2, -1)), 2, 1))


@given(st.data())
def test_any_view_of_any_buffer(data: st.DataObject) -> None:
    """Random offsets and strides, negative, zero and overlapping, inside one buffer."""
    buffer = integers((4000,), seed=1)
    shape = (2, 3, 7, 9)
    strides = [data.draw(st.integers(-40, 40)) for _ in shape]
    low = sum(min(0, s * (n - 1)) for s, n in zip(strides, shape, strict=True))
    x = as_strided(buffer[-low:], shape, [s * buffer.itemsize for s in strides], writeable=False)
    w = integers((4, 3, 3, 3), seed=2)
    kept = buffer.copy()
    plain = x.copy()
    assert_exact(fastconv.conv2d(x, w, padding=1), fastconv.conv2d(plain, w, padding=1))
    assert_exact(fastconv.max_pool2d(x, 3, 2, 1), fastconv.max_pool2d(plain, 3, 2, 1))
    dy = x[:, :2, :5, :7]
    same = fastconv.conv2d_backward(dy.copy(), plain, w[:2])
    for actual, expected in zip(fastconv.conv2d_backward(dy, x, w[:2]), same, strict=True):
        assert_exact(actual, expected)
    np.testing.assert_array_equal(buffer, kept)


@given(st.integers(-60, 60))
def test_every_shifted_overlap_is_refused_or_right(shift: int) -> None:
    """`out` slides over the input: apart it works, overlapping it is refused."""
    buffer = integers((400,))
    x = buffer[100:136].reshape(1, 1, 6, 6)
    w = np.ones((1, 1, 3, 3), np.float32)
    expected = fastconv.conv2d(x.copy(), w)
    start = 110 + shift
    out = buffer[start : start + 16].reshape(1, 1, 4, 4)
    if start + 16 <= 100 or start >= 136:
        assert_exact(fastconv.conv2d(x, w, out=out), expected)
    else:
        with pytest.raises(ValueError, match="out"):
            fastconv.conv2d(x, w, out=out)
        assert_exact(buffer, integers((400,)))


def test_subclasses_and_scalars_come_back_as_plain_arrays() -> None:
    x, w = integers((1, 1, 4, 4)), integers((1, 1, 2, 2))
    shared = x.view(np.recarray)
    assert type(fastconv.conv2d(shared, w)) is np.ndarray
    assert_exact(fastconv.conv2d(shared, w), fastconv.conv2d(x, w))


def test_nothing_keeps_the_arguments_alive() -> None:
    x, w, b = integers((1, 2, 6, 6)), integers((3, 2, 3, 3)), integers((3,))
    before = [sys.getrefcount(a) for a in (x, w, b)]
    for _ in range(5):
        y = fastconv.conv2d(x, w, b)
        fastconv.conv2d_backward(y, x, w)
        with pytest.raises(ValueError, match="stride"):
            fastconv.conv2d(x, w, b, stride=0)
        with pytest.raises(TypeError, match="stride"):
            fastconv.conv2d(x, w, b, stride=0.5)
    del y
    gc.collect()
    assert [sys.getrefcount(a) for a in (x, w, b)] == before
