"""What is checked about a file of weights before memory is allocated for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_BYTES", "MAX_TENSORS", "as_bytes", "bfloat16_to_float32", "checked_bytes", "fail"]

MAX_BYTES = 16 * 2**30  # of tensor data in one file
MAX_TENSORS = 100_000
MAX_RANK = 32  # what every NumPy since 1.24 can hold


def fail(path: object, problem: str) -> ValueError:
    """The error for a file that is not what it should be."""
    return ValueError(f"load_weights: {path}: {problem}")


def checked_bytes(path: object, name: str, shape: Sequence[Any], itemsize: int) -> int:
    """Bytes of a tensor of this declared shape, after checking that it is a shape at all."""
    if len(shape) > MAX_RANK or any(
        isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in shape
    ):
        raise fail(path, f"tensor {name!r} declares an impossible shape {list(shape)[:MAX_RANK]}")
    total: int = math.prod(shape) * itemsize  # Python ints: no overflow
    if total > MAX_BYTES or max(shape, default=0) >= 2**62:
        raise fail(path, f"tensor {name!r} declares {total} bytes; the limit is {MAX_BYTES}")
    return total


def as_bytes(array: NDArray[Any]) -> memoryview:
    """The memory of a contiguous array, in either order, as bytes."""
    flat: Any = array.reshape(-1, order="A").view(np.uint8)
    return memoryview(flat)


def bfloat16_to_float32(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bfloat16 is the upper half of float32, so widening is a shift and exact."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
