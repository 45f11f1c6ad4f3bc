"""The traps: what convolution means where libraries differ or surprise.

PyTorch's rules hold unless a test says otherwise and why.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv
import reference
from checks import DTYPES, assert_exact, integers, normals
from directions import INEXACT, operands, run, supporting, truth
from fastconv import _core
from layouts import LAYOUTS, is_channels_last
from problems import Problem
from strategies import conv_problems

ALGORITHMS = (*_core.algorithms("forward"), "auto")


def by(conv: Any, algorithm: str, *arguments: Any, **options: Any) -> Any:
    """A convolution by one algorithm, or None where that does not support the problem."""
    try:
        return conv(*arguments, algorithm=algorithm, **options)
    except ValueError as refusal:
        if "algorithm" not in str(refusal):
            raise
        return None


conv_by = partial(by, fastconv.conv2d)


# Sizes and padding --------------------------------------------------------------------------------


def test_sizes_follow_the_formulas() -> None:
    """Convolution and pooling floor; a pool in ceil mode drops a window that would begin in the
    padding after the input."""
    for n, k, s, p, d in itertools.product(range(1, 8), (1, 2, 3), (1, 2, 3), (0, 1), (1, 2)):
        x, w = np.zeros((1, 1, n), np.float32), np.zeros((1, 1, k), np.float32)
        size = (n + 2 * p - d * (k - 1) - 1) // s + 1
        if size >= 1:
            assert fastconv.conv1d(x, w, None, s, p, d).shape == (1, 1, size)
            assert fastconv.conv_output_size(n, k, s, p, d) == size
        if p > (d * (k - 1) + 1) // 2:
            continue
        if size >= 1:
            assert fastconv.max_pool1d(x, k, s, p, d).shape == (1, 1, size)
            assert fastconv.avg_pool1d(x, k, s, p, dilation=d).shape == (1, 1, size)
        rounded = -(-(n + 2 * p - d * (k - 1) - 1) // s) + 1
        rounded -= (rounded - 1) * s >= n + p
        if rounded >= 1:
            assert fastconv.max_pool1d(x, k, s, p, d, True).shape == (1, 1, rounded)


@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 4), (5, 2)])
@pytest.mark.parametrize("dilation", [1, 2, (3, 1)])
def test_same_keeps_the_size_and_pads_the_odd_element_after(
    kernel: tuple[int, int], dilation: Any
) -> None:
    x, w = integers((1, 2, 9, 10)), integers((3, 2, *kernel), seed=1)
    y = fastconv.conv2d(x, w, padding="same", dilation=dilation)
    assert y.shape == (1, 3, 9, 10)
    assert_exact(y, reference.conv(x, w, None, 1, "same", dilation))
    sides = reference.pairs("same", kernel, reference.per_axis(dilation, 2))
    assert_exact(fastconv.conv2d(x, w, padding=sides, dilation=dilation), y)


def test_same_by_hand() -> None:
    x, w = np.float32([[[1, 2, 3, 4]]]), np.float32([[[1, 10]]])
    assert fastconv.conv1d(x, w, padding="same").tolist() == [[[21, 32, 43, 4]]]


def test_forms_of_geometry() -> None:
    """An int, one int per axis, a list, a single-element list, NumPy integers, pairs."""
    x, w = integers((1, 2, 9, 9)), integers((3, 2, 3, 3), seed=1)
    two = fastconv.conv2d(x, w, stride=2, padding=1)
    for stride in ((2, 2), [2, 2], [2], (2,), np.int64(2), np.array([2, 2]), (np.int8(2), 2)):
        assert_exact(fastconv.conv2d(x, w, stride=stride, padding=1), two)
    for padding in ((1, 1), [1, 1], [1], np.int32(1), ((1, 1), (1, 1)), [[1, 1], [1, 1]]):
        assert_exact(fastconv.conv2d(x, w, stride=2, padding=padding), two)
    assert_exact(fastconv.conv2d(x, w, padding="valid"), fastconv.conv2d(x, w))


def test_asymmetric_padding_is_padding_by_hand() -> None:
    x, w = integers((2, 3, 5, 6)), integers((4, 3, 3, 2), seed=1)
    padded = np.pad(x, ((0, 0), (0, 0), (2, 0), (1, 3)))
    y = fastconv.conv2d(x, w, padding=((2, 0), (1, 3)))
    assert_exact(y, fastconv.conv2d(padded, w))


# Empty and degenerate -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_empty_batch(dtype: str) -> None:
    x, w, b = np.zeros((0, 3, 8, 9), dtype), integers((4, 3, 3, 3), dtype), integers((4,), dtype)
    y = fastconv.conv2d(x, w, b, padding=1)
    assert (y.shape, y.dtype) == ((0, 4, 8, 9), dtype)
    grads = fastconv.conv2d_backward(y, x, w, padding=1)
    assert grads.input.shape == x.shape
    assert_exact(grads.weight, np.zeros(w.shape))
    assert_exact(grads.bias, np.zeros(4))
    pooled, indices = fastconv.max_pool2d(x, 2, return_indices=True)
    assert pooled.shape == indices.shape == (0, 3, 4, 4)
    assert fastconv.max_pool2d_backward(pooled, x, indices, 2).shape == x.shape
    assert fastconv.avg_pool2d(x, 2).shape == (0, 3, 4, 4)
    assert fastconv.avg_pool2d_backward(pooled, x, 2).shape == x.shape


@pytest.mark.parametrize("algorithm", [*_core.algorithms("forward"), "auto"])
def test_an_empty_batch_on_threads(algorithm: str) -> None:
    """Many weights alone are worth threads, and then there is nothing to share."""
    before = _core.get_num_threads()
    _core.set_num_threads(3)
    try:
        for x, w in (
            ((0, 256, 9, 8), (256, 256, 3, 3)),
            ((0, 160, 12), (128, 160, 5)),
            ((0, 256, 6, 5, 5), (256, 16, 3, 5, 5)),
        ):
            rank = len(x) - 2
            how = (1,) * rank, ((1, 1),) * rank, (1,) * rank, x[1] // w[1]
            shape, _, known = _core.conv_rows(rank, "forward", x, w, *how, 4)
            if algorithm == "auto" or any(row[0] == algorithm and row[2] for row in known):
                data = np.zeros(x, "f4"), np.zeros(w, "f4")
                y = _core.conv(rank, *data, None, *how, None, None, algorithm, None)
                assert y.shape == shape
                dx = _core.conv_input_grad(rank, x, data[1], y, *how, "auto")
                dw = _core.conv_weight_grad(rank, data[0], w, y, *how, "auto")
                assert (dx.shape, dw.any()) == (x, False)
    finally:
        _core.set_num_threads(before)


def test_no_input_channels_gives_the_bias() -> None:
    """PyTorch returns no channels and drops the bias; a sum over nothing is zero."""
    x, w, b = np.zeros((2, 0, 5, 6), "f4"), np.zeros((4, 0, 3, 3), "f4"), integers((4,))
    y = fastconv.conv2d(x, w, b)
    assert_exact(y, np.broadcast_to(b[:, None, None], (2, 4, 3, 4)))
    assert_exact(fastconv.conv2d(x, w), np.zeros((2, 4, 3, 4)))
    grads = fastconv.conv2d_backward(np.ones_like(y), x, w)
    assert (grads.input.shape, grads.weight.shape) == (x.shape, w.shape)
    assert_exact(grads.bias, np.full(4, 24))


def test_one_pixel_everywhere() -> None:
    x, w = np.float32([[[[3]]]]), np.float32([[[[2]]]])
    assert fastconv.conv2d(x, w).item() == 6
    assert fastconv.conv2d(x, w, padding=2).sum() == 6
    assert fastconv.max_pool2d(x, 1).item() == fastconv.avg_pool2d(x, 1).item() == 3


# NaN and infinity ---------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 3, 8, 32])
def test_infinite_weight_on_padding_is_nan(channels: int, rank: int, algorithm: str) -> None:
    """Padding is a literal zero on every path and at every size: 0 * inf is NaN.  (PyTorch's
    answer depends on which kernel it picks.)"""
    sizes = {1: (4, 12, 200), 2: (4, 12, 40), 3: (4, 9)}[rank]
    for size, groups, axis in itertools.product(sizes, {1, channels}, range(rank)):
        x = np.ones((1, channels, *(size,) * rank), np.float32)
        w = np.ones((channels, channels // groups, *(3,) * rank), np.float32)
        tap = [1] * rank
        tap[axis] = 0  # the tap before the centre meets padding where this axis begins
        w[(0, 0, *tap)] = np.inf
        conv = getattr(fastconv, f"conv{rank}d")
        y = by(conv, algorithm, x, w, padding=1, groups=groups)
        if y is None:
            continue
        first = np.moveaxis(y[0, 0], axis, 0)
        assert np.isnan(first[0]).all()
        assert np.isposinf(first[1:]).all()
        assert np.isfinite(y[0, 1:]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_special_inputs_reach_just_the_windows_that_hold_them(algorithm: str, value: float) -> None:
    for groups, at in itertools.product((1, 8), ((0, 0, 0, 0), (0, 3, 5, 6), (1, 7, 12, 13))):
        x, w = normals((2, 8, 13, 14)), np.ones((8, 8 // groups, 3, 3), np.float32)
        x[at] = value
        y = conv_by(algorithm, x, w, padding=1, groups=groups)
        if y is None:
            continue
        expected = reference.conv(x, w, None, 1, 1, 1, groups)
        np.testing.assert_array_equal(np.isfinite(y), np.isfinite(expected))
        special = ~np.isfinite(expected)
        np.testing.assert_array_equal(y[special], expected[special].astype("f4"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_large_numbers_do_not_overflow_on_the_way(algorithm: str) -> None:
    """Sums near the largest float32 are finite on every path if they are on one."""
    x, w = normals((1, 16, 13, 14)) * np.float32(1e37), normals((16, 16, 3, 3), seed=1)
    x[0, 0, 6, 7] = 3e38
    w *= np.float32(0.02)
    y = conv_by(algorithm, x, w, padding=1)
    if y is not None:
        expected = reference.conv(x, w, padding=1)
        assert np.isfinite(y).all()
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("activation", ["relu", "relu6", "leaky_relu", "hardswish", "silu", "gelu"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_activations_keep_nan(activation: str, dtype: str) -> None:
    """A clamp written as a comparison the wrong way round would turn NaN into 0."""
    x = np.ones((1, 2, 5, 21), dtype)
    x[0, 1, 2, ::3] = np.nan
    y = fastconv.conv2d(x, np.ones((3, 2, 1, 1), dtype), activation=activation)
    np.testing.assert_array_equal(np.isnan(y), np.broadcast_to(np.isnan(x[:, 1:]), y.shape))


@given(conv_problems(), st.integers(0, 2**32 - 1), st.sampled_from(["forward", "input", "weight"]))
def test_all_paths_agree_on_what_is_not_finite(problem: Problem, seed: int, direction: str) -> None:
    """NaN and infinities anywhere; infinite weights in the forward only, for what they meet beyond
    the edge of an input gradient is no term of any sum."""
    rng = np.random.default_rng(seed)
    data = operands(problem, "float32", seed=seed % 100)
    for array in data if direction == "forward" else (data.x, data.dy):
        spoilt = rng.random(array.shape) < 1.5 / max(array.size, 1)
        array[spoilt] = rng.choice([np.nan, np.inf, -np.inf], array.shape)[spoilt]
    with np.errstate(invalid="ignore"):
        expected = truth(direction, problem, data)
    finite = np.isfinite(expected)
    for algorithm in supporting(direction, problem, exact=False):
        got = run(direction, problem, data, algorithm)
        np.testing.assert_array_equal(np.isfinite(got), finite, err_msg=algorithm)
        np.testing.assert_array_equal(got[~finite], expected[~finite].astype("f4"))
        np.testing.assert_allclose(got[finite], expected[finite], rtol=1e-4, atol=0.1)


def test_nan_outside_the_picture_is_not_read() -> None:
    """A view inside a NaN array: tails and halos must not touch, or use, what lies around it."""
    around = np.full((4, 10, 40, 50), np.nan, np.float32)
    x = around[1:3, 1:9, 5:18, 7:24]
    x[...] = integers(x.shape)
    w = integers((8, 8, 3, 3), seed=1)
    for algorithm in ALGORITHMS:
        y = conv_by(algorithm, x, w, padding=1)
        if y is not None:
            assert np.isfinite(y).all()
            if not algorithm.startswith(INEXACT) and algorithm != "auto":
                assert_exact(y, reference.conv(x, w, padding=1))


# Memory -------------------------------------------------------------------------------------------


def test_channels_last_in_channels_last_out() -> None:
    """The input or the weight decides, as in PyTorch."""
    x, w = integers((2, 6, 7, 8)), integers((4, 6, 3, 3), seed=1)
    last = LAYOUTS["channels_last"]
    plain = fastconv.conv2d(x, w, padding=1)
    assert plain.flags.c_contiguous
    for a, b in ((last(x), w), (x, last(w)), (last(x), last(w))):
        y = fastconv.conv2d(a, b, padding=1)
        assert is_channels_last(y)
        assert_exact(y, plain)


def test_arguments_are_not_written_and_results_are_fresh() -> None:
    x, w, b = (
        LAYOUTS["read_only"](a)
        for a in (integers((1, 2, 5, 5)), integers((3, 2, 2, 2)), integers((3,)))
    )
    y = fastconv.conv2d(x, w, b)
    assert y.flags.writeable
    assert y.flags.owndata or y.base is not None
    again = fastconv.conv2d(x, w, b)
    assert not np.shares_memory(y, again)
    kept = again.copy()
    y[...] = np.nan
    assert_exact(again, kept)
    identity = np.float32([[[[1]]]])
    one = integers((1, 1, 4, 4))
    assert not np.shares_memory(fastconv.conv2d(one, identity), one)


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_keep_the_dtype(dtype: str) -> None:
    x, w = integers((1, 2, 5, 5), dtype), integers((3, 2, 2, 2), dtype)
    y = fastconv.conv2d(x, w)
    assert y.dtype == dtype
    assert {g.dtype for g in fastconv.conv2d_backward(y, x, w)} == {np.dtype(dtype)}


def test_float64_is_computed_in_float64() -> None:
    """Some runtimes take float64 and compute in float32."""
    x, w = np.full((1, 1, 3), 1 + 2.0**-40), np.full((1, 1, 3), 1.0)
    assert fastconv.conv1d(x, w).item() == 3 + 3 * 2.0**-40


def test_a_picture_alone_is_the_picture_in_a_batch() -> None:
    """Bit for bit, float data too: a result does not depend on what else is in the batch."""
    x, w = normals((5, 8, 14, 15)), normals((16, 8, 3, 3), seed=1)
    for algorithm in _core.algorithms("forward"):
        y = conv_by(algorithm, x, w, padding=1)
        if y is not None:
            assert_exact(conv_by(algorithm, x[3:4], w, padding=1), y[3:4])
