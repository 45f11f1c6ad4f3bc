"""Max and average pooling against the reference.

A maximum is one of its inputs, so max pooling is exact on any data, indices included.  Sums of
small integers are exact too; a true average is held to |e| <= 12 u sum|x| / divisor.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv
import reference
from checks import DTYPES, assert_exact, assert_within, bits, integers, normals
from layouts import LAYOUTS, WRITABLE, Guarded
from pools import AVG_LINES, MAX_LINES, avg, max_, max_truth
from problems import Problem, parse
from strategies import pool_problems

MAX_PROBLEMS = [pytest.param(parse(line), id=line) for line in MAX_LINES]
AVG_PROBLEMS = [pytest.param(parse(line), id=line) for line in AVG_LINES]


# Max pooling --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", MAX_PROBLEMS)
def test_max_with_and_without_indices(problem: Problem, dtype: str) -> None:
    x = integers(problem.input_shape, dtype) // 4  # few values: many ties
    expected, where = max_truth(problem, x)
    into = Guarded(problem.output_shape, dtype)
    assert max_(problem, x, indices=False, out=into.out) is into.out
    assert_exact(into.check(), expected)
    values, indices = max_(problem, x)
    assert (values.dtype, indices.dtype) == (dtype, np.int64)
    assert_exact(values, expected)
    assert_exact(indices, where)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("problem", MAX_PROBLEMS[:4])
def test_max_from_any_layout(problem: Problem, layout: str) -> None:
    for dtype in DTYPES:
        x = LAYOUTS[layout](normals(problem.input_shape, dtype))
        expected, where = max_truth(problem, x)
        values, indices = max_(problem, x)
        assert_exact(values, expected)
        assert_exact(indices, where)
        assert_exact(max_(problem, x, indices=False), expected)


@pytest.mark.parametrize("layout", WRITABLE)
@pytest.mark.parametrize("problem", MAX_PROBLEMS[:4])
def test_max_into_any_layout(problem: Problem, layout: str) -> None:
    for dtype, indices in itertools.product(DTYPES, (False, True)):
        x = normals(problem.input_shape, dtype)
        into = Guarded(problem.output_shape, dtype, layout)
        result = max_(problem, x, indices=indices, out=into.out)
        assert (result[0] if indices else result) is into.out
        assert_exact(into.check(), max_truth(problem, x)[0])


SPECIALS = np.array([0.0, -0.0, 1.0, np.nan, np.inf, -np.inf])


def every_window(values: list[float]) -> Any:
    """One image of height 3 in whose columns every 3x3 window over four values occurs just once:
    a de Bruijn sequence of order 3 over the 4^3 possible columns."""
    columns = np.array(list(itertools.product(values, repeat=3)))
    sequence: list[int] = []  # the concatenated Lyndon words whose length divides 3
    word = [-1]
    while word:
        word[-1] += 1
        if 3 % len(word) == 0:
            sequence += word
        word = [word[i % len(word)] for i in range(3)]
        while word and word[-1] == len(columns) - 1:
            word.pop()
    image = columns[sequence + sequence[:2]].T
    assert image.shape == (3, 4**9 + 2)
    return image[None]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("values", [[0.0, -0.0, np.nan, np.inf], [1.0, -np.inf, np.nan, -0.0]])
def test_max_of_every_3x3_window(values: list[float], dtype: str) -> None:
    """All 262,144 of them, bit for bit: the first of equals, the last NaN."""
    x = every_window(values).astype(dtype)
    expected, where = reference.max_pool(x[None], 3, 1)
    y, indices = fastconv.max_pool2d(x, 3, 1, return_indices=True)
    assert_exact(indices, where[0])
    assert bits(y) == bits(expected.astype(dtype))
    assert bits(fastconv.max_pool2d(x, 3, 1)) == bits(y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", MAX_PROBLEMS)
def test_max_of_special_values_by_every_path(problem: Problem, dtype: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        x = rng.choice(SPECIALS, problem.input_shape).astype(dtype)
        expected, where = max_truth(problem, x)
        y, indices = max_(problem, x)
        assert_exact(indices, where)
        assert bits(y) == bits(expected.astype(dtype))
        assert bits(max_(problem, x, indices=False)) == bits(y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_special_values_in_every_vector_lane(kernel: int, stride: int, dtype: str) -> None:
    """Wide rows, so that vector bodies and their tails both meet NaN, ties and infinities."""
    rng = np.random.default_rng(kernel)
    for width in range(kernel, 71, 3):
        x = rng.choice(SPECIALS, (1, 2, kernel + 1, width)).astype(dtype)
        expected, where = reference.max_pool(x, kernel, stride, kernel // 2)
        y, indices = fastconv.max_pool2d(x, kernel, stride, kernel // 2, return_indices=True)
        assert_exact(indices, where)
        assert bits(y) == bits(expected.astype(dtype))
        assert bits(fastconv.max_pool2d(x, kernel, stride, kernel // 2)) == bits(y)


@given(pool_problems("max"), st.sampled_from(DTYPES), st.sampled_from(sorted(LAYOUTS)), st.data())
def test_max_on_random_problems(
    problem: Problem, dtype: str, layout: str, data: st.DataObject
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    x = rng.integers(-2, 3, problem.input_shape).astype(dtype)
    x[rng.random(x.shape) < 0.1] = np.nan
    x = LAYOUTS[layout](x)
    expected, where = max_truth(problem, x)
    values, indices = max_(problem, x)
    assert_exact(values, expected)
    assert_exact(indices, where)
    assert_exact(max_(problem, x, indices=False), expected)


# Average pooling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", AVG_PROBLEMS)
def test_sums_are_exact_on_integers(problem: Problem, dtype: str) -> None:
    x = integers(problem.input_shape, dtype)
    into = Guarded(problem.output_shape, dtype)
    assert avg(problem, x, divisor=1, out=into.out) is into.out
    assert_exact(into.check(), avg(problem, x, divisor=1, call=reference.avg_pool))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("problem", AVG_PROBLEMS)
def test_averages_within_the_bound(problem: Problem, dtype: str) -> None:
    x = normals(problem.input_shape, dtype)
    for divisor in (None, -3, 7):
        expected = avg(problem, x, divisor, call=reference.avg_pool)
        size = np.abs(avg(problem, np.abs(x), divisor, call=reference.avg_pool))
        assert_within(avg(problem, x, divisor), expected, 12 * size)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("problem", AVG_PROBLEMS[:4])
def test_average_from_any_layout(problem: Problem, layout: str) -> None:
    for dtype in DTYPES:
        x = LAYOUTS[layout](integers(problem.input_shape, dtype))
        expected = avg(problem, x, divisor=1, call=reference.avg_pool)
        assert_exact(avg(problem, x, divisor=1), expected)


@pytest.mark.parametrize("layout", WRITABLE)
@pytest.mark.parametrize("problem", AVG_PROBLEMS[:4])
def test_average_into_any_layout(problem: Problem, layout: str) -> None:
    for dtype in DTYPES:
        x, into = integers(problem.input_shape, dtype), Guarded(problem.output_shape, dtype, layout)
        assert avg(problem, x, divisor=1, out=into.out) is into.out
        assert_exact(into.check(), avg(problem, x, divisor=1, call=reference.avg_pool))


@given(pool_problems("avg"), st.sampled_from(DTYPES), st.sampled_from(sorted(LAYOUTS)))
def test_average_on_random_problems(problem: Problem, dtype: str, layout: str) -> None:
    x = LAYOUTS[layout](integers(problem.input_shape, dtype))
    for divisor in (None, 1):
        expected = avg(problem, x, divisor, call=reference.avg_pool)
        size = avg(problem, np.abs(x), divisor, call=reference.avg_pool)
        assert_within(avg(problem, x, divisor), expected, 12 * size)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_average_of_special_values(value: float) -> None:
    """Each lane keeps its own: one NaN or infinity shows in just the windows that hold it."""
    for width in range(2, 40, 5):
        for at in range(width):
            x = np.ones((1, 1, 3, width), np.float32)
            x[0, 0, 1, at] = value
            expected = reference.avg_pool(x, 2, 1, 1)
            assert_within_or_special(fastconv.avg_pool2d(x, 2, 1, 1), expected)


def assert_within_or_special(actual: Any, expected: Any) -> None:
    np.testing.assert_array_equal(np.isfinite(actual), np.isfinite(expected))
    special = ~np.isfinite(expected)
    np.testing.assert_array_equal(actual[special], expected[special].astype(actual.dtype))
    assert_exact(actual[~special], expected[~special])
