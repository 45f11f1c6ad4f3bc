"""The traps of pooling: ties, NaN, indices, padding, divisors.

PyTorch's rules hold unless a test says otherwise and why.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastconv
import reference
from checks import assert_exact, integers, normals
from layouts import LAYOUTS, is_channels_last


def test_max_pool_ties_nan_and_signed_zero_by_hand() -> None:
    def pool(*values: float) -> tuple[Any, Any]:
        y, i = fastconv.max_pool1d(np.float32([values]), len(values), return_indices=True)
        return y.item(), i.item()

    assert pool(2, 2, 1) == (2, 0)
    assert pool(1, 2, 2) == (2, 1)
    assert pool(-np.inf, -np.inf) == (-np.inf, 0)
    assert np.signbit(pool(-0.0, 0.0)[0])
    assert not np.signbit(pool(0.0, -0.0)[0])
    assert pool(np.nan, 1, np.nan, 3)[1] == 2  # the last NaN, as in PyTorch
    assert np.isnan(pool(np.nan, 1, np.nan, 3)[0])
    values = fastconv.max_pool1d(np.float32([[1, np.nan, 3, 2]]), 2, 1)
    np.testing.assert_array_equal(values, [[np.nan, np.nan, 3]])


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_indices_are_flat_in_the_plane_without_padding(rank: int) -> None:
    shape = (2, 3, 5, 4, 6)[: 2 + rank]
    x = normals(shape)
    y, i = getattr(fastconv, f"max_pool{rank}d")(x, 3, 2, 1, return_indices=True)
    plane = x.reshape(2, 3, -1)
    assert_exact(np.take_along_axis(plane, i.reshape(2, 3, -1), 2).reshape(y.shape), y)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    assert_exact(getattr(fastconv, f"max_pool{rank}d")(last, 3, 2, 1, return_indices=True)[1], i)
    assert_exact(getattr(fastconv, f"max_pool{rank}d")(x[0], 3, 2, 1, return_indices=True)[1], i[0])


def test_a_window_wholly_in_padding() -> None:
    """PyTorch returns an index outside the plane, and its gradient then lands in the next channel.
    Here: -inf, index -1, no gradient; an average over nothing is 0."""
    x = np.float32([[[[5]], [[7]]]])
    y, i = fastconv.max_pool2d(x, 2, 1, 1, 2, return_indices=True)
    assert (y == -np.inf).all()
    assert (i == -1).all()
    assert not fastconv.max_pool2d_backward(np.ones_like(y), x, i, 2, 1, 1, 2).any()
    y = fastconv.avg_pool2d(x, 2, 1, 1, count_include_pad=False, dilation=2)
    assert_exact(y, np.zeros((1, 2, 1, 1)))


def test_pool_padding_counts_the_effective_kernel() -> None:
    """k=3, d=2 reaches over 5 elements, so a padding of 2 is at most half of it.  PyTorch has two
    checks that disagree about this one."""
    x = integers((1, 2, 9, 9))
    assert_exact(fastconv.max_pool2d(x, 3, 1, 2, 2), reference.max_pool(x, 3, 1, 2, 2)[0])
    with pytest.raises(ValueError, match="padding"):
        fastconv.max_pool2d(x, 3, 1, 3, 2)


def test_average_divisors_by_hand() -> None:
    x = np.float32([[3, 6, 9]])
    pool = fastconv.avg_pool1d
    assert pool(x, 3, 1, 1).tolist() == [[3, 6, 5]]
    assert pool(x, 3, 1, 1, count_include_pad=False).tolist() == [[4.5, 6, 7.5]]
    # Rounded up, the last window [9, pad, overhang]: overhang never counts.
    assert pool(x, 3, 3, 1, ceil_mode=True).tolist() == [[3, 4.5]]
    assert pool(x, 3, divisor_override=2).tolist() == [[9]]
    assert pool(x, 3, divisor_override=-2).tolist() == [[-9]]


def test_pool_stride_defaults_to_the_kernel() -> None:
    x = integers((1, 2, 7, 9))
    assert_exact(fastconv.max_pool2d(x, (2, 3)), fastconv.max_pool2d(x, (2, 3), (2, 3)))
    assert_exact(fastconv.avg_pool2d(x, (2, 4)), fastconv.avg_pool2d(x, (2, 4), (2, 4)))


def test_strided_convolution_is_the_third_way_of_pooling() -> None:
    x, w = integers((1, 2, 8, 8)), np.zeros((2, 1, 2, 2), np.float32)
    w[...] = 0.25
    pooled = fastconv.conv2d(x, w, stride=2, groups=2)
    assert_exact(pooled, fastconv.avg_pool2d(x, 2))


def test_nan_outside_the_picture_is_not_read() -> None:
    """A view inside a NaN array: tails and halos must not use what lies around it."""
    around = np.full((4, 10, 40, 50), np.nan, np.float32)
    x = around[1:3, 1:9, 5:18, 7:24]
    x[...] = integers(x.shape)
    y, indices = fastconv.max_pool2d(x, 3, 2, 1, return_indices=True)
    assert_exact(y, reference.max_pool(x, 3, 2, 1)[0])
    assert_exact(indices, reference.max_pool(x, 3, 2, 1)[1])
    assert np.isfinite(fastconv.avg_pool2d(x, 3, 1, 1)).all()


def test_channels_last_in_channels_last_out() -> None:
    x = integers((2, 6, 7, 8))
    last = LAYOUTS["channels_last"](x)
    for pool in (fastconv.max_pool2d, fastconv.avg_pool2d):
        assert pool(x, 2).flags.c_contiguous
        assert is_channels_last(pool(last, 2))
        assert_exact(pool(last, 2), pool(x, 2))
    assert is_channels_last(fastconv.max_pool2d(last, 2, return_indices=True)[1])


def test_results_are_fresh_and_keep_the_dtype() -> None:
    for dtype in ("f4", "f8"):
        x = LAYOUTS["read_only"](integers((1, 1, 4, 4), dtype))
        for pool in (fastconv.max_pool2d, fastconv.avg_pool2d):
            y = pool(x, 1)
            assert y.dtype == dtype
            assert y.flags.writeable
            assert not np.shares_memory(y, x)
