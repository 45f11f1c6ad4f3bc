"""Gradients of pooling against the reference, against differences, and on hostile indices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv
import reference
from checks import DTYPES, assert_exact, assert_within, integers, refuses
from layouts import LAYOUTS
from pools import (
    AVG_LINES,
    MAX_LINES,
    avg,
    avg_backward,
    avg_backward_truth,
    max_,
    max_backward,
    max_truth,
)
from problems import Problem, parse
from strategies import pool_problems

MAX_PROBLEMS = [pytest.param(parse(line), id=line) for line in MAX_LINES]
AVG_PROBLEMS = [pytest.param(parse(line), id=line) for line in AVG_LINES]


# Max pooling --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", MAX_PROBLEMS)
def test_max_gradient_goes_to_the_winner(problem: Problem, dtype: str) -> None:
    x = integers(problem.input_shape, dtype) // 4
    dy = integers(problem.output_shape, dtype, 1)
    where = max_truth(problem, x)[1]
    dx = max_backward(problem, dy, x, where)
    assert dx.dtype == dtype
    assert_exact(dx, reference.max_pool_input(problem.input_shape, dy, where))
    if problem.batch:  # one image without its batch axis
        one = max_backward(problem, dy[0], x[0], where[0])
        assert_exact(one, dx[0])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("problem", MAX_PROBLEMS[:4])
def test_max_gradient_from_any_layout(problem: Problem, layout: str) -> None:
    for dtype in DTYPES:
        x = LAYOUTS[layout](integers(problem.input_shape, dtype))
        dy = LAYOUTS[layout](integers(problem.output_shape, dtype, 1))
        where = LAYOUTS[layout](max_truth(problem, x)[1])
        dx = max_backward(problem, dy, x, where)
        assert_exact(dx, reference.max_pool_input(problem.input_shape, dy, where))


@given(pool_problems("max"), st.sampled_from(DTYPES))
def test_max_gradient_on_random_problems(problem: Problem, dtype: str) -> None:
    x, dy = integers(problem.input_shape, dtype), integers(problem.output_shape, dtype, 1)
    where = max_(problem, x)[1]
    dx = max_backward(problem, dy, x, where)
    assert_exact(dx, reference.max_pool_input(problem.input_shape, dy, where))


def test_max_gradient_by_differences() -> None:
    x = np.random.default_rng(0).permutation(2 * 7 * 8).reshape(1, 2, 7, 8).astype(np.float64)
    y, where = fastconv.max_pool2d(x, 3, 2, 1, return_indices=True)
    dy = integers(y.shape, "float64")
    dx = fastconv.max_pool2d_backward(dy, x, where, 3, 2, 1)
    for at in np.ndindex(*x.shape):  # all values differ by 1: a step of 1/4 changes no winner
        above, below = x.copy(), x.copy()
        above[at] += 0.25
        below[at] -= 0.25
        change = fastconv.max_pool2d(above, 3, 2, 1) - fastconv.max_pool2d(below, 3, 2, 1)
        assert np.vdot(change, dy) / 0.5 == dx[at]


@pytest.mark.parametrize("bad", [-2, 16, 17, 2**31, 2**40, -(2**63), 2**63 - 1])
def test_an_index_outside_its_plane_is_refused(bad: int) -> None:
    x, dy = integers((2, 3, 4, 4)), integers((2, 3, 2, 2))
    where = fastconv.max_pool2d(x, 2, return_indices=True)[1]
    for at in itertools.product((0, 1), (0, 2), (0, 1), (1,)):
        wrong = where.copy()
        wrong[at] = bad
        refuses(
            lambda w=wrong: fastconv.max_pool2d_backward(dy, x, w, 2),
            ValueError,
            "max_pool2d_backward",
            "indices",
            bad,
        )


def test_index_minus_one_takes_no_gradient() -> None:
    x, dy = np.full((1, 2, 1, 1), 5, np.float32), np.ones((1, 2, 1, 1), np.float32)
    y, where = fastconv.max_pool2d(x, 2, 1, 1, 2, return_indices=True)
    np.testing.assert_array_equal(y, -np.inf)
    np.testing.assert_array_equal(where, -1)
    assert not fastconv.max_pool2d_backward(dy, x, where, 2, 1, 1, 2).any()


# What the tape keeps ------------------------------------------------------------------------------


def taped(problem: Problem, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The output and the gradient of the input, by the tape."""
    leaf = fastconv.tensor(x, requires_grad=True)
    y = max_(problem, leaf, indices=False)
    return np.asarray(y.detach()), np.asarray(
        fastconv.autograd.grad(y, leaf, fastconv.tensor(dy))[0]
    )


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", MAX_PROBLEMS)
def test_the_tape_keeps_what_the_gradient_needs(problem: Problem, dtype: str, last: bool) -> None:
    layout = LAYOUTS["channels_last"] if last else np.asarray
    x = integers(problem.input_shape, dtype) // 4
    dy = integers(problem.output_shape, dtype, 1)
    flat = x.reshape(-1)
    flat[:: max(1, flat.size // 7)] = np.nan
    if problem.batch > 1:
        x[0, 0] = -np.inf  # a window's first element is its largest
    truth, where = max_truth(problem, x)
    y, dx = taped(problem, layout(x), layout(dy))
    np.testing.assert_array_equal(y, truth)
    assert_exact(dx, reference.max_pool_input(problem.input_shape, dy, where))


@given(pool_problems("max"), st.sampled_from(DTYPES), st.booleans())
def test_the_tape_on_random_problems(problem: Problem, dtype: str, last: bool) -> None:
    layout = LAYOUTS["channels_last"] if last else np.asarray
    x, dy = integers(problem.input_shape, dtype), integers(problem.output_shape, dtype, 1)
    dx = taped(problem, layout(x), layout(dy))[1]
    where = max_truth(problem, x)[1]
    assert_exact(dx, reference.max_pool_input(problem.input_shape, dy, where))


@pytest.mark.parametrize(("kernel", "bytes_each"), [(2, 1), ((15, 17), 1), (16, 4), ((2, 500), 4)])
def test_indices_for_the_tape_are_small(kernel: int | tuple[int, int], bytes_each: int) -> None:
    x = integers((2, 3, 40, 41)) + np.float32(0.5)
    padding = (1, 249) if bytes_each == 4 and kernel != 16 else 0
    for a in (x, LAYOUTS["channels_last"](x)):
        how = (kernel, 3, padding, 1, False)
        y, kept = fastconv._core.max_pool_taped(2, a, *how)
        assert kept.itemsize == bytes_each
        assert kept.strides == tuple(s * kept.itemsize // y.itemsize for s in y.strides)
        z, where = fastconv.max_pool2d(a, kernel, 3, padding, return_indices=True)
        np.testing.assert_array_equal(y, z)
        assert where.dtype == np.int64
        dy = integers(y.shape, seed=1)
        got = fastconv._core.max_pool_taped_backward(2, dy, a, kept, *how)
        assert_exact(got, fastconv.max_pool2d_backward(dy, a, where, kernel, 3, padding))


# Average pooling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", AVG_PROBLEMS)
def test_average_gradient(problem: Problem, dtype: str) -> None:
    x, dy = integers(problem.input_shape, dtype), integers(problem.output_shape, dtype, 1)
    exact = avg_backward(problem, dy, x, divisor=1)
    assert exact.dtype == dtype
    assert_exact(exact, avg_backward_truth(problem, dy, 1))
    for divisor in (None, -3):
        dx = avg_backward(problem, dy, x, divisor)
        size = np.abs(avg_backward_truth(problem, np.abs(dy), divisor))
        assert_within(dx, avg_backward_truth(problem, dy, divisor), 12 * size)
    if problem.batch:
        assert_exact(avg_backward(problem, dy[0], x[0], divisor=1), exact[0])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("problem", AVG_PROBLEMS[:4])
def test_average_gradient_from_any_layout(problem: Problem, layout: str) -> None:
    for dtype in DTYPES:
        x = LAYOUTS[layout](integers(problem.input_shape, dtype))
        dy = LAYOUTS[layout](integers(problem.output_shape, dtype, 1))
        assert_exact(avg_backward(problem, dy, x, divisor=1), avg_backward_truth(problem, dy, 1))


@given(pool_problems("avg"), st.sampled_from(DTYPES))
def test_average_gradient_on_random_problems(problem: Problem, dtype: str) -> None:
    x, dy = integers(problem.input_shape, dtype), integers(problem.output_shape, dtype, 1)
    assert_exact(avg_backward(problem, dy, x, divisor=1), avg_backward_truth(problem, dy, 1))
    size = avg_backward_truth(problem, np.abs(dy))
    assert_within(avg_backward(problem, dy, x), avg_backward_truth(problem, dy), 12 * size)


@given(pool_problems("avg"))
def test_average_is_adjoint_to_its_gradient(problem: Problem) -> None:
    x, dy = integers(problem.input_shape, "float64"), integers(problem.output_shape, "float64", 1)
    y, dx = avg(problem, x, divisor=1), avg_backward(problem, dy, x, divisor=1)
    assert np.vdot(y, dy) == np.vdot(x, dx)
