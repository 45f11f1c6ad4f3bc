"""Pooling problems for the tests, and how to run one: on fastconv by default, on the reference
with `call=`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

import fastconv
import reference
from problems import Problem

Array = NDArray[Any]

# The first four are run in every memory layout.
MAX_LINES = """
max n2c3h9w10 r3s3 s2 p1
max n1c4h6w21 r2s2
max n2c17h7w8 r3s2 s1x2 p1:0x1 d2x1 ceil
max n1c2d4h5w6 t2r3s2 s2x1x2 p1x1x0
max n1c1h1w1 r1s1
max n1c3h1w1 r3s3 s1 p1
max n1c3h1w1 r2s2 s1 p1 d2
max n1c5h7w7 r7s7
max n1c5h13w40 r3s3 s1 p1
max n1c5h13w41 r5s5 s1 p2
max n3c2h12w70 r3s3 s2
max n1c2h11w13 r3s3 s2 p1 ceil
max n1c2h10w10 r2s2 s3 ceil
max n1c2h9w9 r3s3 d3 s1 p3
max n0c2h4w4 r2s2
max n2c3w35 s3 s2 p1
max n1c3w19 s5 s1 p2 ceil
max n2c2d5h6w7 t3r3s3 s2 p1 ceil
max n1c2h8w9 r4s4 s2 p3:0x0:3
max n2c2h10w12 r3s3 d60 p61 s7
max n2c2h9w11 r7s5 s1073741824
""".strip().splitlines()

AVG_LINES = """
avg n2c3h9w10 r3s3 s2 p1
avg n1c4h6w21 r2s2
avg n2c17h7w8 r3s2 s1x2 p1:0x1 ceil nopad
avg n1c2d4h5w6 t2r3s2 s2x1x2 p1x1x0
avg n1c1h1w1 r1s1
avg n1c3h1w1 r3s3 s1 p1
avg n1c3h1w1 r3s3 s1 p1 nopad
avg n1c5h7w7 r7s7
avg n1c5h13w40 r3s3 s1 p1
avg n1c5h13w41 r5s5 s1 p2 nopad
avg n3c2h12w70 r3s3 s2
avg n1c2h11w13 r3s3 s2 p1 ceil
avg n1c2h11w13 r3s3 s2 p1 ceil nopad
avg n1c2h10w10 r2s2 s3 ceil
avg n1c2h9w9 r3s3 d3 s1 p3
avg n1c2h9w9 r3s3 d2 s1 p2 nopad
avg n0c2h4w4 r2s2
avg n2c3w35 s3 s2 p1
avg n1c3w19 s5 s1 p2 ceil
avg n2c2d5h6w7 t3r3s3 s2 p1 ceil nopad
avg n1c2h8w9 r4s4 s2 p3:0x0:3
avg n2c2h10w12 r3s3 d60 p61 s7
avg n2c2h10w12 r3s3 d60 p60:61 s7 nopad
avg n2c2h9w11 r7s5 s1073741824
""".strip().splitlines()


def public(op: str, rank: int, suffix: str = "") -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(fastconv, f"{op}_pool{rank}d{suffix}")
    return function


def max_(problem: Problem, x: Array, indices: bool = True, out: Array | None = None) -> Any:
    how = (problem.kernel, problem.stride, problem.padding, problem.dilation, problem.ceil)
    return public("max", problem.rank)(x, *how, indices, out=out)


def max_truth(problem: Problem, x: Array) -> tuple[Array, Array]:
    how = (problem.kernel, problem.stride, problem.padding, problem.dilation, problem.ceil)
    return reference.max_pool(x, *how)


def max_backward(problem: Problem, dy: Array, x: Array, indices: Array) -> Array:
    how = (problem.kernel, problem.stride, problem.padding, problem.dilation, problem.ceil)
    result: Array = public("max", problem.rank, "_backward")(dy, x, indices, *how)
    return result


def avg(
    problem: Problem,
    x: Array,
    divisor: int | None = None,
    call: Callable[..., Any] | None = None,
    **out: Array,
) -> Array:
    how = (problem.kernel, problem.stride, problem.padding, problem.ceil)
    call = call or public("avg", problem.rank)
    result: Array = call(
        x, *how, problem.count_include_pad, divisor, dilation=problem.dilation, **out
    )
    return result


def avg_backward(problem: Problem, dy: Array, x: Array, divisor: int | None = None) -> Array:
    how = (problem.kernel, problem.stride, problem.padding, problem.ceil)
    call = public("avg", problem.rank, "_backward")
    result: Array = call(dy, x, *how, problem.count_include_pad, divisor, dilation=problem.dilation)
    return result


def avg_backward_truth(problem: Problem, dy: Array, divisor: int | None = None) -> Array:
    how = (problem.kernel, problem.stride, problem.padding, problem.ceil)
    return reference.avg_pool_input(
        problem.input_shape, dy, *how, problem.count_include_pad, divisor, problem.dilation
    )
