"""One convolution in its three directions: how to run it, what is true, how large its terms are.

A test is written once and parametrised over `rows("forward")`, `rows("input")`, `rows("weight")`:
every algorithm in the registry beside every problem that it supports.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import reference
import winograd
import winograd_lines
from checks import answer_or_refusal, assert_exact, assert_within, integers, normals
from fastconv import _core
from problems import Problem, parse

Array = NDArray[Any]

# Algorithms that transform their data are not exact on integers; the others are.
INEXACT = ("winograd",)

NAMES = {"forward": "conv{}d", "input": "conv{}d_input", "weight": "conv{}d_weight"}


# Small problems that reach every branch: tile remainders, edges, empty batches, one-pixel outputs.
LINES = """
n1c1h1w1 k1r1s1
n2c3h9w10 k5r3s3 p1
n1c3h7w7 k4r7s7
n1c4h8w7 k6r2s3 p0:1x1:2 s2x1 d1x2 g2
n2c3h32w32 k5r5s5
n3c5h14w14 k10r5s5
n1c64h9w7 k70r1s1
n1c40h6w35 k33r1s1 s2
n1c300h3w9 k19r3s3 p1
n1c16h15w17 k32r3s3 p1
n2c8h13w21 k8r3s3 p1 g8
n1c6h12w9 k12r5s5 p2 s2 g6
n1c12h10w11 k24r3s3 p1 g3
n1c3h30w23 k16r7s7 p3 s2
n1c5h11w13 k7r4s4 p1 s3
n1c4h13w12 k4r3s3 p4 d4
n2c5h11w14 k6r3s3 p2 d2
n1c20h9w15 k18r3s3 p1:3x0:2 d1x2
n2c8h7w10 k8r3s3 p3x1 d3 g2
n2c8h11w12 k12r5s5 p4x2 d2x1 g2
n2c8h11w14 k9r5s5 p2x1
n1c20h9w12 k10r5s4 p1:2x0:3 g2
n1c5h15w14 k6r7s5 p3x2
n2c20h7w8 k17r2s3 p1
n2c8h19w6 k9r4s1 p2:0x0
n1c10h17w70 k8r1s5 p0x3:1 g2
n1c40h33w20 k9r1s3 p0x4
n1c5h15w14 k6r7s5 p0:3x2 s2x1
n2c4h19w7 k5r6s9 p7x8 s3x1
n1c2h5w6 k3r1s5 p0x4
n1c2h3w3 k3r3s3 p5
n3c5h2w3 k37r2s3
n23c70h1w1 k9r1s1
n9c20h4w3 k18r3s3 p1 s2
n2c70h7w7 k540r1s1
n1c530h7w7 k30r1s1
n1c40h3w11 k12r1s1
n7c33h5w4 k40r1s1 s2
n0c3h5w5 k2r3s3
n0c4h3w9 k5r1s3 p0x1
n3c2w13 k4s4 p3 s3
n2c16w67 k16s3 p1
n2c6w150 k7s3 p1
n3c6w1100 k5s8 p7
n1c1w200 k3s31
n1c8w50 k8s9 p4 g8
n1c4w196 k64s5 d5
n1c2d3h4w5 k3t2r2s2 p1
n1c16d4h6w7 k17t3r3s3 p1
n1c6d9h3w5 k9t3r1s1 p1x0x0
n1c6d2h9w8 k5t2r5s2 p1x2x0
n2c6d7h9w6 k8t2r3s3 p1:0x1x0:2 s2x1x1 d2x1x1 g2
n2c4d5h5w6 k6t3r1s2 p1x0x1:0 s2x1x1 g2
""".strip().splitlines()

# The few of them that are run in every memory layout.
LAYOUT_LINES = """
n2c3h9w10 k5r3s3 p1
n1c4h8w7 k6r2s3 p0:1x1:2 s2x1 d1x2 g2
n2c16h9w11 k24r3s3 p1
n2c8h7w21 k8r3s3 p1 g8
n2c20h5w9 k18r1s1
n2c6h9w8 k5r3s3 p2x3 d2x3
n2c9h3w4 k11r3s4
""".strip().splitlines()


class Operands(NamedTuple):
    x: Array  # (N, C, *spatial)
    w: Array  # (K, C / G, *kernel)
    dy: Array  # (N, K, *out)


def operands(problem: Problem, dtype: str, kind: str = "integers", seed: int = 0) -> Operands:
    make = {"integers": integers, "normals": normals}[kind]
    shapes = (problem.input_shape, problem.weight_shape, problem.output_shape)
    return Operands(*(make(shape, dtype, seed + i) for i, shape in enumerate(shapes)))


def geometry(problem: Problem) -> tuple[Any, Any, Any, int]:
    return problem.stride, problem.pads, problem.dilation, problem.groups


def run(
    direction: str, problem: Problem, data: Operands, algorithm: str, out: Array | None = None
) -> Array:
    rank, how = problem.rank, geometry(problem)
    if direction == "forward":
        result = _core.conv(rank, data.x, data.w, None, *how, None, None, algorithm, out)
    elif direction == "input":
        result = _core.conv_input_grad(rank, problem.input_shape, data.w, data.dy, *how, algorithm)
    else:
        result = _core.conv_weight_grad(
            rank, data.x, problem.weight_shape, data.dy, *how, algorithm
        )
    return result


def run_poisoned(direction: str, problem: Problem, data: Operands, algorithm: str) -> Array:
    """`run`, after a run on nothing but NaN, which leaves NaN in every buffer that the library
    recycles: whatever a kernel forgets to write or reads before writing shows."""
    run(direction, problem, Operands(*(np.full_like(a, np.nan) for a in data)), algorithm)
    return run(direction, problem, data, algorithm)


def truth(direction: str, problem: Problem, data: Operands) -> Array:
    how = geometry(problem)
    if direction == "forward":
        return reference.conv(data.x, data.w, None, *how)
    if direction == "input":
        return reference.conv_input(problem.input_shape, data.w, data.dy, *how)
    return reference.conv_weight(data.x, problem.weight_shape, data.dy, *how)


def error_bound(direction: str, problem: Problem, data: Operands, algorithm: str) -> Array:
    """What the error may be, in units of roundoff: 12 times the sum of the absolute values of all
    terms; for Winograd, and where "auto" may choose it, the bound of its transform."""
    absolute = Operands(*(np.abs(a) for a in data))
    plain: Array = 12 * truth(direction, problem, absolute)
    shapes = (problem.input_shape, problem.weight_shape)
    known = _core.conv_rows(problem.rank, direction, *shapes, *geometry(problem), 4)[2]
    fits = any(row[0].startswith(INEXACT) and row[2] for row in known)
    if not fits or not algorithm.startswith((*INEXACT, "auto")):
        return plain
    how = (direction, data, problem.padding, problem.groups)
    if sum(taps > 1 for taps in problem.kernel) == 1:
        scale = winograd_lines.error_scale(*how)
    elif problem.rank == 3:
        scale = winograd.slabs_error_scale(*how, (problem.stride[0], problem.dilation[0]))
    elif (problem.kernel, problem.stride, problem.dilation) == ((3, 3), (1, 1), (1, 1)):
        scale = winograd.error_scale(*how)
    else:
        scale = winograd.pieces_error_scale(*how, problem.stride, problem.dilation)
    if direction == "weight" and data.dy[:, 0].size < 5:
        scale = 3 * scale  # sums of so few terms do not average their roundings
    return np.maximum(plain, scale) if algorithm == "auto" else scale


def supporting(direction: str, problem: Problem, exact: bool = True) -> list[str]:
    """The algorithms that take this problem; the exact ones alone, or all.  "auto" is exact where
    no inexact algorithm could be its choice."""
    data, names = operands(problem, "float32"), []
    for algorithm in (*_core.algorithms(direction), "auto"):
        call = partial(run, direction, problem, data, algorithm)
        if answer_or_refusal(call, NAMES[direction].format(problem.rank)) is not None:
            names.append(algorithm)
    inexact = [name for name in names if name.startswith(INEXACT)]
    dropped = [*inexact, "auto"] if inexact and exact else []
    return [name for name in names if name not in dropped]


def assert_right(
    direction: str, problem: Problem, data: Operands, algorithm: str, result: Array
) -> None:
    """Data are integers: exact by the exact algorithms, within their bound by the others."""
    expected = truth(direction, problem, data)
    if algorithm in supporting(direction, problem):
        assert_exact(result, expected)
    else:
        assert_within(result, expected, error_bound(direction, problem, data, algorithm))


def rows(direction: str, problems: Iterable[str], exact: bool = True) -> list[Any]:
    """Parameters (algorithm, problem) for every pair that fits.  An algorithm that no problem
    reaches would go untested, so that is an error."""
    params, reached = [], set()
    for problem in map(parse, problems):
        for algorithm in supporting(direction, problem, exact):
            reached.add(algorithm)
            params.append(pytest.param(algorithm, problem, id=f"{algorithm}-{problem}"))
    names = [n for n in _core.algorithms(direction) if not (exact and n.startswith(INEXACT))]
    assert reached >= set(names), f"no problem exercises {set(names) - reached} ({direction})"
    return params
