"""Results do not depend on the number of threads, to the last bit; and calls may run side by side.

Outputs are split over threads, sums never are, so this holds on float data.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given

import fastconv
from checks import DTYPES, bits, integers, normals, python, refuses
from directions import operands, rows, run, run_poisoned
from pools import avg, avg_backward, max_, max_backward
from problems import Problem, parse
from strategies import conv_problems

COUNTS = (1, 2, 3, 4, 8, 16, 70)  # more than parallel_for has shares for

# Large enough that every count of threads gets work, in batch, channels and rows.
LINES = """
n5c24h29w31 k40r3s3 p1
n1c64h28w28 k96r1s1
n3c70h7w5 k600r1s1 g2
n2c16h29w27 k20r3s3 p2 d2
n2c32h31w30 k32r3s3 p1 g32
n1c3h64w64 k16r7s7 p3 s2
n2c12h20w21 k18r3s3 p1 g3
n3c16w500 k24s5 p2
n1c8d6h12w13 k16t3r3s3 p1
n33c40h6w5 k300r6s5
n24c48h4w5 k32r3s3 p1 s2
""".strip().splitlines()


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    before = fastconv.get_num_threads()
    yield
    fastconv.set_num_threads(before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("direction", "algorithm", "problem"),
    [
        pytest.param(direction, *row.values, id=f"{direction}-{row.id}")
        for direction in ("forward", "input", "weight")
        for row in rows(direction, LINES, exact=False)
    ],
)
def test_convolution(direction: str, algorithm: str, problem: Problem, dtype: str) -> None:
    data, results = operands(problem, dtype, "normals"), set()
    for count in COUNTS:
        with fastconv.threads(count):
            results.add(bits(run_poisoned(direction, problem, data, algorithm)))
    assert len(results) == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("line", ["r3s3 s2 p1", "r3s3 s1 p1 ceil"])
def test_pools(line: str, dtype: str) -> None:
    largest, mean = parse(f"max n3c20h40w41 {line}"), parse(f"avg n3c20h40w41 {line}")
    x, dy = normals(largest.input_shape, dtype), normals(largest.output_shape, dtype, 1)
    where, results = max_(largest, x)[1], set()
    for count in COUNTS:
        with fastconv.threads(count):
            arrays = (
                *max_(largest, x),
                max_backward(largest, dy, x, where),
                avg(mean, x),
                avg_backward(mean, dy, x),
            )
            results.add(b"".join(map(bits, arrays)))
    assert len(results) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_layer_norm_back(dtype: str) -> None:
    x, dy, w = (normals(shape, dtype, i) for i, shape in enumerate([(2000, 33), (2000, 33), (33,)]))
    results = set()
    for count in COUNTS:
        with fastconv.threads(count):
            grads = fastconv.functional.layer_norm_backward(dy, x, (33,), w)
            results.add(b"".join(map(bits, grads)))
    assert len(results) == 1


@given(conv_problems())
def test_random_problems(problem: Problem) -> None:
    data = operands(problem, "float32", "normals")
    for direction in ("forward", "input", "weight"):
        results = set()
        for count in (1, 3, 16):
            with fastconv.threads(count):
                results.add(bits(run(direction, problem, data, "auto")))
        assert len(results) == 1


# The setting --------------------------------------------------------------------------------------


def test_the_setting_is_scoped_and_checked() -> None:
    fastconv.set_num_threads(2)
    with fastconv.threads(3):
        assert fastconv.get_num_threads() == 3
        with fastconv.threads(1):
            assert fastconv.get_num_threads() == 1
        assert fastconv.get_num_threads() == 3
    assert fastconv.get_num_threads() == 2
    with pytest.raises(KeyError), fastconv.threads(5):
        raise KeyError
    assert fastconv.get_num_threads() == 2
    for bad in (0, -1, 2**40):
        refuses(lambda n=bad: fastconv.set_num_threads(n), ValueError, "set_num_threads", bad)
    for bad in (1.0, True, "2", None):
        refuses(lambda n=bad: fastconv.set_num_threads(n), TypeError, "set_num_threads")
    assert fastconv.get_num_threads() == 2


def test_the_environment_sets_the_number() -> None:
    code = "import fastconv; print(fastconv.get_num_threads())"
    assert python("-c", code, FASTCONV_NUM_THREADS="3").stdout.strip() == "3"
    assert python("-c", code, FASTCONV_NUM_THREADS="", OMP_NUM_THREADS="2").stdout.strip() == "2"
    both = {"FASTCONV_NUM_THREADS": "1", "OMP_NUM_THREADS": "2"}
    assert python("-c", code, **both).stdout.strip() == "1"


# Calls side by side -------------------------------------------------------------------------------


def test_many_python_threads_at_once() -> None:
    x, w = integers((2, 8, 21, 22)), integers((12, 8, 3, 3), seed=1)
    alone = fastconv.conv2d(x, w)
    grads = fastconv.conv2d_backward(alone, x, w)

    def work(_: int) -> bool:
        y = fastconv.conv2d(x, w)
        g = fastconv.conv2d_backward(y, x, w)
        return (
            np.array_equal(y, alone)
            and np.array_equal(g.input, grads.input)
            and np.array_equal(g.weight, grads.weight)
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(80)))


def test_the_interpreter_runs_meanwhile() -> None:
    """The GIL is released: another thread counts while a convolution runs."""
    x, w = normals((4, 64, 112, 112)), normals((64, 64, 3, 3), seed=1)
    begin, done, ticks = threading.Event(), threading.Event(), [0]

    def count() -> None:
        begin.set()
        while not done.is_set():
            ticks[0] += 1

    other = threading.Thread(target=count)
    other.start()
    begin.wait()
    with fastconv.threads(1):
        before = ticks[0]
        fastconv._core.conv(2, x, w, None, 1, 1, 1, 1, None, None, "im2col", None)
        during = ticks[0] - before
    done.set()
    other.join()
    assert during > 1000


def test_indices_may_change_meanwhile() -> None:
    """Another thread writes wild indices while a gradient is scattered: it is refused or it is a
    result, but no address is ever made of an index that was not checked."""
    code = """
import threading, time
import numpy as np, fastconv
x = np.ones((8, 16, 64, 64), np.float32)
y, where = fastconv.max_pool2d(x, 2, return_indices=True)
stop = threading.Event()
def spoil():
    while not stop.is_set():
        where.fill(2**62)
        where.fill(0)
other = threading.Thread(target=spoil)
other.start()
end, answers = time.monotonic() + 0.5, set()
while time.monotonic() < end:
    try:
        answers.add(fastconv.max_pool2d_backward(y, x, where, 2).shape)
    except ValueError as refusal:
        assert "indices" in str(refusal), refusal
stop.set()
other.join()
assert answers <= {x.shape}
"""
    python("-c", code)


# Threads that cannot be had ----------------------------------------------------------------------

LAYER = """
import os, resource, threading, time
import numpy as np, fastconv
x, w = np.ones((1, 32, 28, 28), np.float32), np.ones((32, 32, 3, 3), np.float32)
def conv(threads):
    with fastconv.threads(threads):
        return fastconv.conv2d(x, w)
alone = conv(1)
"""


def test_threads_that_cannot_start_are_done_without() -> None:
    """An address space without room for one more stack: an OpenMP runtime would end the process."""
    python(
        "-c",
        LAYER
        + """
picture = np.ones((4, 1 << 16), np.float32)  # whose result fits where the one before it was
relu = fastconv.nn.functional.relu
fastconv.set_num_threads(1)
relu(picture)
fastconv.set_num_threads(8)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (6 << 20),) * 2)
try:
    threading.Thread(target=print).start()
except RuntimeError:
    pass
else:
    raise AssertionError("a thread could start: this tests nothing")
for _ in range(3):
    assert relu(picture).sum() == picture.size
""",
    )


def test_a_thread_without_a_processor_is_not_waited_for() -> None:
    """Two threads on one processor that others want too cost little more than one thread. (A
    barrier would wait for the scheduler, whose turns are a hundred times as long as this call.)"""
    python(
        "-c",
        LAYER
        + """
import multiprocessing
def occupy():
    while True:
        pass
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
hog = multiprocessing.get_context("fork").Process(target=occupy, daemon=True)
hog.start()
def best(threads):
    times = []
    for _ in range(200):
        begin = time.perf_counter()
        conv(threads)
        times.append(time.perf_counter() - begin)
    return sorted(times)[len(times) // 2]
one, two = best(1), best(2)
hog.terminate()
assert two < 5 * one, (one, two)
""",
    )


def test_callers_side_by_side_share_the_workers() -> None:
    x, w = integers((2, 16, 40, 42)), integers((24, 16, 3, 3), seed=1)
    alone = fastconv.conv2d(x, w)

    def work(count: int) -> bool:
        fastconv.set_num_threads(2 + count % 3)
        return all(np.array_equal(fastconv.conv2d(x, w), alone) for _ in range(20))

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(work, range(24)))
