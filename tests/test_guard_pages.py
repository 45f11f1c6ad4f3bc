"""No kernel reads or writes one byte outside an array.

Every array of a call lies against a page that may not be touched, after it or before it: a vector
load past the end kills the process, which is why each run has a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from checks import PACKAGE, available_isas

HERE = Path(__file__).parent

SCENE = '''
import ctypes, faulthandler, mmap, sys
import numpy as np
from directions import LINES, operands, rows, run
from pools import AVG_LINES, MAX_LINES, avg, avg_backward, max_, max_backward
from problems import parse
import fastconv
from fastconv import _core

faulthandler.enable()
libc = ctypes.CDLL(None, use_errno=True)
PAGE = mmap.PAGESIZE
maps = []  # must outlive the arrays in them

def guarded(a, side):
    """A copy of `a` that ends at a forbidden page (side "after") or begins after one ("before")."""
    size = -(-a.nbytes // PAGE) * PAGE
    memory = mmap.mmap(-1, size + 2 * PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (start, start + PAGE + size):
        assert libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), 0) == 0
    maps.append(memory)
    offset = PAGE + (size - a.nbytes if side == "after" else 0)
    copy = np.frombuffer(memory, a.dtype, a.size, offset).reshape(a.shape)
    copy[...] = a
    return copy

def placed(arrays, side):
    return type(arrays)(*(guarded(a, side) for a in arrays))

side = sys.argv[1]
for dtype in ("float32", "float64"):
    for direction in ("forward", "input", "weight"):
        for row in rows(direction, LINES, exact=False):
            algorithm, problem = row.values
            print(side, dtype, direction, algorithm, problem, flush=True)
            data = placed(operands(problem, dtype), side)
            out = guarded(np.empty(problem.output_shape, dtype), side)
            run(direction, problem, data, algorithm, out if direction == "forward" else None)
    for line in MAX_LINES + AVG_LINES:
        print(side, dtype, line, flush=True)
        problem = parse(line)
        x = guarded(np.ones(problem.input_shape, dtype), side)
        y = guarded(np.ones(problem.output_shape, dtype), side)
        if problem.op == "max":
            max_(problem, x, indices=False, out=y)
            indices = guarded(max_(problem, x)[1], side)
            max_backward(problem, y, x, indices)
        else:
            avg(problem, x, out=y)
            avg_backward(problem, y, x)
    x, w = np.ones((2, 6, 9, 21), dtype), np.ones((5, 6, 3, 3), dtype)
    b, r = np.ones(5, dtype), np.ones((2, 5, 7, 19), dtype)
    x, w, b, r = (guarded(a, side) for a in (x, w, b, r))
    for activation in (None, "relu", "relu6", "leaky_relu", "hardswish", "silu", "gelu"):
        for algorithm in (*fastconv._core.algorithms("forward"), "auto"):
            try:
                fastconv.conv2d(x, w, b, residual=r, activation=activation, algorithm=algorithm,
                                out=guarded(np.empty_like(r), side))
            except ValueError as refusal:
                assert "algorithm" in str(refusal), refusal
    fastconv.conv2d_backward(r, x, w)
    for shape in ((3, 5, 2, 2), (2, 7, 1, 1), (5, 3, 4, 3), (2, 3, 9, 5), (600, 3, 2, 1)):
        print(side, dtype, "batch_norm", shape, flush=True)
        x, g = (guarded(np.random.randn(*shape).astype(dtype), side) for _ in range(2))
        w, b, mean, var = (guarded(np.ones(shape[1], dtype), side) for _ in range(4))
        for act in (None, "relu", "relu6"):
            _, m, v = _core.batch_norm(x, w, b, mean, var, 0.1, 1e-5, act)
            m, v = guarded(m, side), guarded(v, side)
            _core.batch_norm_backward(g, x, w, b, m, v, 1e-5, act, True)
print("done")
'''


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs mprotect")
@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("side", ["after", "before"])
def test_nothing_beside_an_array_is_touched(side: str, isa: str) -> None:
    path = os.pathsep.join(map(str, (PACKAGE.parent, HERE, HERE.parent / "bench")))
    done = subprocess.run(
        [sys.executable, "-c", SCENE, side],
        env={**os.environ, "PYTHONPATH": path, "FASTCONV_ISA": isa},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.endswith("done\n"), done.stdout[-300:] + done.stderr[-2000:]
