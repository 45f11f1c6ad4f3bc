"""Winograd of windows other than 3 x 3: parts and pieces of them, strides, dilations, and windows
along one axis.  The rows are also walked, on many more problems, by test_conv_*.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import reference
from checks import assert_within, bits, normals
from directions import NAMES, Operands, error_bound, geometry, operands, run, truth
from fastconv import _core
from problems import parse

DIRECTIONS = tuple(NAMES)

LINES = {
    "n2c6h11w14 k9r5s5 p2x1": "winograd",
    "n2c7h9w8 k5r2s7 p1x3": "winograd2",
    "n2c6h12w15 k8r5s4 p1 s2": "winograd_pieces",
    "n2c5h12w11 k6r3s5 p2x4 d2": "winograd_pieces",
    "n2c6h11w14 k9r5s1 p2x0": "winograd_lines",
    "n2c6h11w14 k9r1s4 p0x3:1": "winograd_lines",
}


@pytest.mark.parametrize(("line", "algorithm"), LINES.items())
@pytest.mark.parametrize("bad", [np.inf, np.nan, 3e37])
def test_what_is_finite_does_not_depend_on_the_row(line: str, algorithm: str, bad: float) -> None:
    """Nor on the zeros that fill up a part of the window."""
    problem = parse(line)
    data = operands(problem, "float32", "normals")
    for place in ((0, 0, 0, 0), (1, 5, 10, 9), (0, 3, 5, 13), (1, 2, 4, 4)):
        for which in range(3):
            changed = [a.copy() for a in data]
            target = changed[which]
            target[tuple(p % n for p, n in zip(place, target.shape, strict=True))] = bad
            for direction in DIRECTIONS:
                mine, plain = (
                    run(direction, problem, Operands(*changed), row)
                    for row in (algorithm, "im2col")
                )
                np.testing.assert_array_equal(np.isfinite(mine), np.isfinite(plain))


@pytest.mark.parametrize(("line", "algorithm"), LINES.items())
def test_epilogue(line: str, algorithm: str) -> None:
    problem = parse(line)
    data = operands(problem, "float32", "normals")
    b, r = normals((data.dy.shape[1],), seed=2), normals(data.dy.shape, seed=3)
    y = _core.conv(problem.rank, data.x, data.w, b, *geometry(problem), "relu6", r, algorithm, None)
    exact = reference.conv(data.x, data.w, b, *geometry(problem)) + r
    bound = error_bound("forward", problem, data, algorithm)
    assert_within(y, np.clip(exact, 0, 6), bound + 4 * (np.abs(b)[:, None, None] + np.abs(r)))


@pytest.mark.parametrize(
    ("line", "algorithm"),
    [
        ("n1c40h30w31 k40r5s4 p2", "winograd"),
        ("n3c24h28w28 k32r5s5 p2 s2", "winograd_pieces"),
        ("n1c70h3w300 k40r1s5 p0x2", "winograd_lines"),
        ("n5c33w700 k17s3 p1", "winograd_lines"),
        ("n2c48d16h9w9 k40t3r1s1 p1x0x0", "winograd_lines"),
    ],
)
def test_threads_change_no_bit(line: str, algorithm: str) -> None:
    problem = parse(line)
    data = operands(problem, "float32", "normals")
    before = _core.get_num_threads()
    results: dict[int, list[Any]] = {}
    try:
        for threads in (1, 2, 3, 5):
            _core.set_num_threads(threads)
            results[threads] = [bits(run(d, problem, data, algorithm)) for d in DIRECTIONS]
    finally:
        _core.set_num_threads(before)
    assert all(found == results[1] for found in results.values())
    for direction in DIRECTIONS:
        found = run(direction, problem, data, algorithm)
        bound = error_bound(direction, problem, data, algorithm)
        assert_within(found, truth(direction, problem, data), bound)


def test_doubles_have_the_scratch_of_the_row_that_runs_them() -> None:
    for direction in DIRECTIONS:
        shapes = ((17, 32, 13), (40, 32, 3))
        rows = _core.conv_rows(1, direction, *shapes, (1,), ((1, 1),), (1,), 1, 8)[2]
        scratch = {name: size for name, _, _, _, size in rows}
        assert scratch["winograd_lines"] >= scratch["im2col"]


@pytest.mark.parametrize("algorithm", ["winograd", "winograd2"])
def test_more_threads_than_tiles(algorithm: str) -> None:
    problem = parse("n110c256h4w4 k256r3s3 p1")
    data = operands(problem, "float32", "normals")
    before = _core.get_num_threads()
    try:
        _core.set_num_threads(1)
        alone = [bits(run(d, problem, data, algorithm)) for d in DIRECTIONS]
        for threads in (100, 160):
            _core.set_num_threads(threads)
            assert [bits(run(d, problem, data, algorithm)) for d in DIRECTIONS] == alone
    finally:
        _core.set_num_threads(before)


@pytest.mark.parametrize("length", range(1, 41))
def test_every_remainder_along_a_line(length: int) -> None:
    for line in (f"n1c4w{length} k5s3 p1", f"n1c4h{length}w3 k5r5s1 p3x0"):
        problem = parse(line)
        data = operands(problem, "float32", "normals")
        for direction in DIRECTIONS:
            found = run(direction, problem, data, "winograd_lines")
            bound = error_bound(direction, problem, data, "winograd_lines")
            assert_within(found, truth(direction, problem, data), bound)
