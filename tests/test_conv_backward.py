"""Gradients of convolution: every algorithm against the reference, then against the forward.

Both gradients are linear in dy, so two independent proofs apply: the adjoint identity
<conv(x, w), g> = <x, dx> = <w, dw>, exact on small integers, and differences in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv
import reference
from checks import DTYPES, assert_exact, assert_within, integers, normals
from directions import (
    LAYOUT_LINES,
    LINES,
    assert_right,
    error_bound,
    geometry,
    operands,
    rows,
    run,
    run_poisoned,
    supporting,
    truth,
)
from fastconv import _core
from layouts import LAYOUTS
from problems import Problem
from strategies import conv_problems


def both(lines: list[str], exact: bool = True) -> list[Any]:
    return [
        pytest.param(direction, *row.values, id=f"{direction}-{row.id}")
        for direction in ("input", "weight")
        for row in rows(direction, lines, exact)
    ]


ROWS, LAYOUT_ROWS = both(LINES), both(LAYOUT_LINES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("direction", "algorithm", "problem"), ROWS)
def test_exact_on_integers(direction: str, algorithm: str, problem: Problem, dtype: str) -> None:
    data = operands(problem, dtype)
    gradient = run_poisoned(direction, problem, data, algorithm)
    assert gradient.dtype == dtype
    assert_exact(gradient, truth(direction, problem, data))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("direction", "algorithm", "problem"), both(LINES, exact=False))
def test_within_the_bound(direction: str, algorithm: str, problem: Problem, dtype: str) -> None:
    data = operands(problem, dtype, "normals")
    gradient = run(direction, problem, data, algorithm)
    bound = error_bound(direction, problem, data, algorithm)
    assert_within(gradient, truth(direction, problem, data), bound)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("direction", "algorithm", "problem"), LAYOUT_ROWS)
def test_exact_from_any_layout(
    direction: str, algorithm: str, problem: Problem, layout: str
) -> None:
    for dtype in DTYPES:
        data = type(operands(problem, dtype))(*map(LAYOUTS[layout], operands(problem, dtype)))
        assert_exact(run(direction, problem, data, algorithm), truth(direction, problem, data))


@given(conv_problems(), st.sampled_from(DTYPES), st.sampled_from(sorted(LAYOUTS)))
def test_random_problems(problem: Problem, dtype: str, layout: str) -> None:
    data = operands(problem, dtype)
    data = type(data)(*map(LAYOUTS[layout], data))
    for direction in ("input", "weight"):
        for algorithm in supporting(direction, problem, exact=False):
            gradient = run(direction, problem, data, algorithm)
            assert_right(direction, problem, data, algorithm, gradient)


@given(conv_problems(), st.sampled_from(DTYPES))
def test_all_three_at_once_on_random_problems(problem: Problem, dtype: str) -> None:
    data, how = operands(problem, dtype), geometry(problem)
    grads = _core.conv_backward(problem.rank, data.dy, data.x, data.w, *how, (True,) * 3, "im2col")
    assert_exact(grads[0], truth("input", problem, data))
    assert_exact(grads[1], truth("weight", problem, data))
    assert_exact(grads[2], reference.conv_bias(data.dy))


@pytest.mark.parametrize("dtype", DTYPES)
def test_bias_gradient_within_the_bound(dtype: str) -> None:
    dy = normals((5, 7, 97, 89), dtype)
    expected, size = reference.conv_bias(dy), reference.conv_bias(np.abs(dy))
    assert_within(fastconv.conv2d_bias(dy), expected, 12 * size)
    x, w = np.zeros((5, 1, 97, 89), dtype), np.zeros((7, 1, 1, 1), dtype)
    assert_within(fastconv.conv2d_backward(dy, x, w).bias, expected, 12 * size)


@given(conv_problems())
def test_adjoint_identity(problem: Problem) -> None:
    """Without the reference: the three directions prove each other."""
    data = operands(problem, "float64")
    y = run("forward", problem, data, "im2col")
    inner = np.vdot(y, data.dy)
    assert np.vdot(data.x, run("input", problem, data, "im2col")) == inner
    assert np.vdot(data.w, run("weight", problem, data, "im2col")) == inner


# The fused call and the public single-gradient functions ------------------------------------------

HOW: dict[int, Any] = {
    1: (2, 1, 2, 2),
    2: ((2, 1), ((1, 0), (2, 1)), (1, 2), 2),
    3: (1, (1, 0, 1), 1, 2),
}
SIZES = {1: (13,), 2: (7, 8), 3: (4, 5, 6)}


def public(rank: int, name: str) -> Any:
    return getattr(fastconv, f"conv{rank}d{name}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_public_backward(rank: int, dtype: str) -> None:
    x, w = integers((2, 4, *SIZES[rank]), dtype), integers((6, 2, *(3, 2, 2)[:rank]), dtype, 1)
    how = HOW[rank]
    dy = integers(reference.conv(x, w, None, *how).shape, dtype, 2)
    expected = (
        reference.conv_input(x.shape, w, dy, *how),
        reference.conv_weight(x, w.shape, dy, *how),
        reference.conv_bias(dy),
    )
    grads = public(rank, "_backward")(dy, x, w, *how)
    assert grads._fields == ("input", "weight", "bias")
    for actual, wanted in zip(grads, expected, strict=True):
        assert actual.dtype == dtype
        assert_exact(actual, wanted)
    assert_exact(public(rank, "_input")(x.shape, w, dy, *how), expected[0])
    assert_exact(public(rank, "_weight")(x, w.shape, dy, *how), expected[1])
    assert_exact(public(rank, "_bias")(dy), expected[2])


@pytest.mark.parametrize("need", [tuple(bool(i & 1 << j) for j in range(3)) for i in range(8)])
def test_need_chooses_the_gradients(need: tuple[bool, bool, bool]) -> None:
    x, w = integers((2, 3, 6, 5)), integers((4, 3, 3, 2), seed=1)
    dy = integers((2, 4, 4, 4), seed=2)
    full = fastconv.conv2d_backward(dy, x, w)
    some = fastconv.conv2d_backward(dy, x, w, need=need)
    for wanted, every, got in zip(need, full, some, strict=True):
        if wanted:
            assert_exact(got, every)
        else:
            assert got is None


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_unbatched_gradients(rank: int) -> None:
    x, w = integers((3, *SIZES[rank])), integers((4, 3, *(2,) * rank), seed=1)
    dy = integers(fastconv._core.conv(rank, x, w, None, 1, 0, 1, 1, None, None, "auto", None).shape)
    grads = public(rank, "_backward")(dy, x, w)
    batched = public(rank, "_backward")(dy[None], x[None], w)
    assert_exact(grads.input, batched.input[0])
    assert_exact(grads.weight, batched.weight)
    assert_exact(grads.bias, batched.bias)
    assert_exact(public(rank, "_input")(x.shape, w, dy), grads.input)
    assert_exact(public(rank, "_weight")(x, w.shape, dy), grads.weight)


def test_backward_takes_the_algorithms_of_both_gradients() -> None:
    x, w = integers((2, 16, 9, 9)), integers((16, 16, 3, 3), seed=1)
    dy = integers((2, 16, 9, 9), seed=2)
    gx, gw, gb = _core.conv_backward(2, dy, x, w, 1, 1, 1, 1, (True, True, True), "im2col")
    assert_exact(gx, reference.conv_input(x.shape, w, dy, 1, 1))
    assert_exact(gw, reference.conv_weight(x, w.shape, dy, 1, 1))
    assert_exact(gb, reference.conv_bias(dy))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_gradients_by_differences(rank: int) -> None:
    """Central differences of the forward in float64.  It is linear in x, w and b, so the step may
    be large and the only error is rounding."""
    x, w = normals((1, 2, *SIZES[rank]), "float64"), normals((4, 1, *(2,) * rank), "float64", 1)
    b, how = normals((4,), "float64", 2), HOW[rank]
    conv = public(rank, "")
    dy = normals(conv(x, w, b, *how).shape, "float64", 3)
    grads = public(rank, "_backward")(dy, x, w, *how)
    for array, gradient in zip((x, w, b), grads, strict=True):
        for at in np.ndindex(*array.shape):
            kept = array[at]
            array[at] = kept + 0.5
            above = np.vdot(conv(x, w, b, *how), dy)
            array[at] = kept - 0.5
            below = np.vdot(conv(x, w, b, *how), dy)
            array[at] = kept
            assert abs(above - below - gradient[at]) < 1e-11
