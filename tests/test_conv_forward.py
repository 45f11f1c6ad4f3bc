"""Forward convolution: every algorithm in the registry against the reference.

First exactly, on small integers; then within |e| <= 12 u sum|x||w| on normal data.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv
import reference
from checks import DTYPES, assert_exact, assert_within, integers, normals
from directions import (
    INEXACT,
    LAYOUT_LINES,
    LINES,
    assert_right,
    error_bound,
    operands,
    rows,
    run,
    run_poisoned,
    supporting,
    truth,
)
from fastconv import _core
from layouts import LAYOUTS, WRITABLE, Guarded
from problems import Problem, parse
from strategies import conv_problems

ROWS = rows("forward", LINES)
ALL_ROWS = rows("forward", LINES, exact=False)
LAYOUT_ROWS = rows("forward", LAYOUT_LINES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("algorithm", "problem"), ROWS)
def test_exact_on_integers(algorithm: str, problem: Problem, dtype: str) -> None:
    data = operands(problem, dtype)
    expected = truth("forward", problem, data)
    y = run_poisoned("forward", problem, data, algorithm)
    assert y.dtype == dtype
    assert_exact(y, expected)
    into = Guarded(problem.output_shape, dtype)
    assert run("forward", problem, data, algorithm, into.out) is into.out
    assert_exact(into.check(), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("algorithm", "problem"), ALL_ROWS)
def test_within_the_bound(algorithm: str, problem: Problem, dtype: str) -> None:
    data = operands(problem, dtype, "normals")
    y = run("forward", problem, data, algorithm)
    bound = error_bound("forward", problem, data, algorithm)
    assert_within(y, truth("forward", problem, data), bound)


@pytest.mark.parametrize("algorithm", [*_core.algorithms("forward"), "auto"])
def test_long_sums_lose_little(algorithm: str) -> None:
    """4,608 terms: the L2 error of float32 stays at 5e-7 (blocked sums), 3e-6 for Winograd."""
    problem = parse("n1c512h6w6 k16r3s3 p1")
    if algorithm in supporting("forward", problem, exact=False):
        data = operands(problem, "float32", "normals")
        y, expected = run("forward", problem, data, algorithm), truth("forward", problem, data)
        error = np.linalg.norm(y - expected) / np.linalg.norm(expected)
        assert error <= (3e-6 if algorithm.startswith((*INEXACT, "auto")) else 5e-7)


@pytest.mark.parametrize("algorithm", [*_core.algorithms("forward"), "auto"])
def test_every_small_size(algorithm: str) -> None:
    """All heights to 13, all widths to 9, three paddings: every way a tile can end."""
    for height, width, padding in itertools.product(range(1, 14), range(1, 10), range(3)):
        if min(height, width) + 2 * padding < 3:
            continue
        problem = parse(f"n1c16h{height}w{width} k16r3s3 p{padding}")
        if algorithm in supporting("forward", problem, exact=False):
            data = operands(problem, "float32")
            y = run("forward", problem, data, algorithm)
            assert_right("forward", problem, data, algorithm, y)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("algorithm", "problem"), LAYOUT_ROWS)
def test_exact_from_any_layout(algorithm: str, problem: Problem, layout: str) -> None:
    for dtype in DTYPES:
        data = operands(problem, dtype)
        data = data._replace(x=LAYOUTS[layout](data.x), w=LAYOUTS[layout](data.w))
        assert_exact(run("forward", problem, data, algorithm), truth("forward", problem, data))


@pytest.mark.parametrize("layout", WRITABLE)
@pytest.mark.parametrize(("algorithm", "problem"), LAYOUT_ROWS)
def test_exact_into_any_layout(algorithm: str, problem: Problem, layout: str) -> None:
    for dtype in DTYPES:
        data = operands(problem, dtype)
        into = Guarded(problem.output_shape, dtype, layout)
        assert run("forward", problem, data, algorithm, into.out) is into.out
        assert_exact(into.check(), truth("forward", problem, data))


@given(
    conv_problems(),
    st.sampled_from(DTYPES),
    st.sampled_from(sorted(LAYOUTS)),
    st.sampled_from(sorted(WRITABLE)),
)
def test_random_problems(problem: Problem, dtype: str, layout: str, written: str) -> None:
    data = operands(problem, dtype)
    data = data._replace(x=LAYOUTS[layout](data.x), w=LAYOUTS[layout](data.w))
    for algorithm in supporting("forward", problem, exact=False):
        into = Guarded(problem.output_shape, dtype, written)
        run("forward", problem, data, algorithm, into.out)
        assert_right("forward", problem, data, algorithm, into.check())


# The public functions: bias, residual, activation -------------------------------------------------

CONV = {1: fastconv.conv1d, 2: fastconv.conv2d, 3: fastconv.conv3d}
SIZES = {1: (11,), 2: (7, 6), 3: (4, 5, 6)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_public_functions_take_every_argument_in_torch_order(rank: int, dtype: str) -> None:
    x, w = integers((2, 4, *SIZES[rank]), dtype), integers((6, 2, *(3, 2, 2)[:rank]), dtype, 1)
    b = integers((6,), dtype, 2)
    how = ((2, 1, 1)[:rank], (1, 0, 2)[:rank], (1, 2, 1)[:rank], 2)
    expected = reference.conv(x, w, b, *how)
    y = CONV[rank](x, w, b, *how)
    assert y.dtype == dtype
    assert_exact(y, expected)
    assert_exact(CONV[rank](x, w, b, stride=how[0], padding=how[1], dilation=how[2], groups=2), y)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_unbatched_is_a_batch_of_one(rank: int) -> None:
    x, w = integers((3, *SIZES[rank])), integers((4, 3, *(2,) * rank), seed=1)
    out = np.full_like(CONV[rank](x, w), np.nan)
    assert CONV[rank](x, w, out=out) is out
    assert_exact(out, reference.conv(x[None], w)[0])


erf = np.vectorize(math.erf, otypes=[np.float64])
# Each with its largest slope, by which it may enlarge the error of its argument.
ACTIVATIONS: dict[str | None, Any] = {
    None: (lambda v: v, 1),
    "relu": (lambda v: np.maximum(v, 0), 1),
    "relu6": (lambda v: np.clip(v, 0, 6), 1),
    "leaky_relu": (lambda v: np.where(v > 0, v, 0.01 * v), 1),
    "hardswish": (lambda v: v * np.clip(v + 3, 0, 6) / 6, 1.5),
    "silu": (lambda v: v / (1 + np.exp(-v)), 1.1),
    "gelu": (lambda v: v * 0.5 * (1 + erf(v / math.sqrt(2))), 1.13),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_fused_epilogue(activation: str | None, dtype: str) -> None:
    """Bias, then residual, then activation, by every algorithm."""
    function, slope = ACTIVATIONS[activation]
    problem = parse("n2c8h9w11 k8r3s3 p1")
    data = operands(problem, dtype, "normals")
    b, r = normals((8,), dtype, 3), normals(problem.output_shape, dtype, 4)
    ends = np.abs(b).astype("f8")[:, None, None] + np.abs(r)
    expected = function(truth("forward", problem, data) + b.astype("f8")[:, None, None] + r)
    for algorithm in supporting("forward", problem, exact=False):
        y = fastconv.conv2d(
            data.x, data.w, b, padding=1, activation=activation, residual=r, algorithm=algorithm
        )
        bound = error_bound("forward", problem, data, algorithm) + 12 * ends
        assert_within(y, expected, slope * bound + 4 * np.abs(expected))


@pytest.mark.parametrize("groups", [1, 4])
def test_relu_with_bias_and_residual_is_exact(groups: int) -> None:
    x, w = integers((2, 8, 7, 9)), integers((8, 8 // groups, 3, 3), seed=1)
    b, r = integers((8,), seed=2), integers((2, 8, 7, 9), seed=3)
    for layout in ("c_order", "channels_last", "byte_strided", "one_value"):
        residual = LAYOUTS[layout](r)
        expected = np.maximum(reference.conv(x, w, b, 1, 1, 1, groups) + residual, 0)
        y = fastconv.conv2d(
            x, w, b, 1, 1, groups=groups, activation="relu", residual=residual, algorithm="im2col"
        )
        assert_exact(y, expected)


# Known values -------------------------------------------------------------------------------------


def test_a_picture_from_the_lecture() -> None:
    """3x28x28 with five 3x8x8 kernels gives 5x21x21."""
    x, w = integers((3, 28, 28)), integers((5, 3, 8, 8), seed=1)
    assert fastconv.conv2d(x, w).shape == (5, 21, 21)
    assert fastconv.conv_output_size(28, 8) == 21


@given(conv_problems(rank=1))
def test_conv_output_size_is_what_conv_gives(problem: Problem) -> None:
    (n,), (k,), (s,), (d,) = problem.size, problem.kernel, problem.stride, problem.dilation
    assert fastconv.conv_output_size(n, k, s, problem.padding, d) == problem.output_size[0]
