"""Memory: recycled without trace, bounded, and when there is none, nothing is half done."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import fastconv
import reference
from checks import assert_exact, integers, python

X, W = integers((2, 24, 33, 34)), integers((32, 24, 3, 3), seed=1)


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    before = fastconv.get_workspace_limit()
    yield
    fastconv.set_workspace_limit(before)
    fastconv.empty_cache()


@pytest.mark.parametrize("limit", [0, 1, 4096, 2**20])
def test_any_workspace_limit_gives_right_results(limit: int) -> None:
    """The cap chooses among algorithms; the least demanding one is always allowed."""
    fastconv.set_workspace_limit(limit)
    y = fastconv.conv2d(X, W, padding=1)
    np.testing.assert_allclose(y, reference.conv(X, W, padding=1), rtol=0, atol=0.05)
    for got, wanted in zip(
        fastconv.conv2d_backward(y, X, W, padding=1)[:2],
        (
            reference.conv_input(X.shape, W, y, 1, 1),
            reference.conv_weight(X, W.shape, y, 1, 1),
        ),
        strict=True,
    ):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_results_live_on_while_memory_is_recycled() -> None:
    """A result that someone holds is never handed out again, nor is a view of one."""
    kept = [fastconv.conv2d(X, W, algorithm="im2col") for _ in range(4)]
    view = kept.pop()[1, 3:9, ::2]
    copies = [a.copy() for a in (*kept, view)]
    for _ in range(20):
        fastconv.conv2d(-X, W, algorithm="im2col")
    for array, copy in zip((*kept, view), copies, strict=True):
        assert_exact(array, copy)


def test_memory_is_recycled_and_given_back() -> None:
    fastconv.empty_cache()
    fastconv.conv2d(X, W)
    before = fastconv.memory_stats()
    for _ in range(50):
        fastconv.conv2d(X, W)
    after = fastconv.memory_stats()
    assert after["in_use"] == before["in_use"]
    assert after["cached"] <= after["limit"]
    assert after["reused"] > before["reused"]
    assert after["fresh"] - before["fresh"] <= 4
    fastconv.empty_cache()
    assert fastconv.memory_stats()["cached"] == 0


def test_memory_does_not_grow_with_varying_shapes() -> None:
    code = """
import resource
import numpy as np, fastconv
w = np.ones((16, 16, 3, 3), np.float32)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
fastconv.set_cache_limit(16 << 20)
def work():
    for n in range(25):
        x = np.ones((1, 16, 40 + 4 * n, 50 + 3 * n), np.float32)
        fastconv.conv2d_backward(fastconv.conv2d(x, w), x, w)
work()
first = peak()
for _ in range(3):
    work()
assert peak() - first < 16, (first, peak())
"""
    python("-c", code)


def test_want_of_memory_is_a_memory_error_that_writes_nothing() -> None:
    """The address space shrinks step by step; every call works or raises, and `out` is whole."""
    code = """
import resource
import numpy as np, fastconv
x, w = np.ones((8, 64, 60, 60), np.float32), np.ones((64, 64, 3, 3), np.float32)
out = np.empty((8, 64, 58, 58), np.float32)
fastconv.set_num_threads(1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
fastconv.set_cache_limit(0)
seen = set()
for room in range(0, 64 << 20, 1 << 20):
    resource.setrlimit(resource.RLIMIT_AS, (used + room, resource.RLIM_INFINITY))
    for call in (
        lambda: fastconv.conv2d(x, w, out=out),
        lambda: fastconv.conv2d(x, w),
        lambda: fastconv.conv2d_backward(out, x, w).weight,
    ):
        out.fill(-1)
        try:
            y = call()
        except MemoryError:
            seen.add("refused")
            assert out.min() == out.max() == -1
        else:
            seen.add("done")
            del y
assert seen == {"refused", "done"}, seen
"""
    python("-c", code)


def test_limits_are_checked() -> None:
    for function in (fastconv.set_workspace_limit, fastconv.set_cache_limit):
        for bad, error in [
            (-1, ValueError),
            (2**63, ValueError),
            (1.5, TypeError),
            (True, TypeError),
        ]:
            with pytest.raises(error, match=f"^{function.__name__}: "):
                function(bad)  # type: ignore[arg-type]
