"""What the tests measure with: exact data, error bounds, refusals and fresh processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

import fastconv

Array = NDArray[Any]
DTYPES = ("float32", "float64")
ROUNDOFF = {"float32": 2.0**-24, "float64": 2.0**-53}
PACKAGE = Path(fastconv.__file__).parent


def integers(shape: tuple[int, ...], dtype: Any = "float32", seed: int = 0) -> Array:
    """Integers -8..8: products are at most 64, so float32 sums of 2^18 of them are exact in any
    order, and every kernel has to agree with every other to the last bit."""
    return np.random.default_rng(seed).integers(-8, 9, shape).astype(dtype)


def normals(shape: tuple[int, ...], dtype: Any = "float32", seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def assert_exact(actual: Array, expected: ArrayLike) -> None:
    """Equal in every element (NaN to NaN) and of equal shape."""
    expected = np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(actual, expected.astype(actual.dtype))


def assert_within(actual: Array, expected: ArrayLike, bound: ArrayLike) -> None:
    """|actual - expected| <= bound * u, u the dtype's unit roundoff.  The bound is computed from
    the data (12 sum |x||w|), never a relative tolerance on the result: sums may cancel."""
    error = np.abs(actual.astype(np.float64) - expected) / ROUNDOFF[str(actual.dtype)]
    bound = np.broadcast_to(bound, actual.shape)
    assert error.shape == actual.shape
    worst = np.max(error - bound, initial=-1.0)
    assert worst <= 0, f"an error exceeds its bound by {worst:.3g} units of roundoff"


def bits(a: Array) -> bytes:
    """The bytes of the values, in C order: the test for bit-identity, signed zeros included."""
    return np.ascontiguousarray(a).tobytes()


def refuses(
    call: Callable[[], Any], error: type[Exception], prefix: str, *fragments: object
) -> None:
    """`call` raises exactly `error`, in our words: the message begins with the function's name and
    contains every fragment (the argument, what was expected, what came)."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value) is error, f"{type(caught.value).__name__}: {message}"
    assert message.startswith(f"{prefix}: "), message
    for fragment in fragments:
        assert str(fragment) in message, f"{fragment!r} is not in {message!r}"


def answer_or_refusal(call: Callable[[], Any], prefix: str) -> Any:
    """The result of `call`, or None if it was refused: in our words, or for want of memory."""
    try:
        return call()
    except MemoryError:
        return None
    except ValueError as refusal:
        if not str(refusal).startswith(f"{prefix}: "):
            raise
        return None


# Beyond every type that a size might be squeezed into.
HUGE = [2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64, 10**30]
HUGE += [-value for value in HUGE]


def python(
    *args: str, timeout: float = 60, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter that imports this very fastconv.  On a timeout it is killed with all
    its children, and the test fails."""
    path = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep), **environment}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, *args]
    with subprocess.Popen(command, env=env, start_new_session=True, **pipes) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail(f"no end after {timeout} s: {command}")
    if check:
        assert process.returncode == 0, f"exit status {process.returncode}\n{out}{err}"
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def available_isas() -> list[str]:
    """The instruction sets that can be forced on this machine."""
    names = ("baseline", "avx2", "avx512", "neon")
    runs = {isa: python("-c", "import fastconv", check=False, FASTCONV_ISA=isa) for isa in names}
    return [isa for isa, done in runs.items() if done.returncode == 0]
