"""Narrow element types: half precision computed in float32, small integers exactly in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._types import Array, DType

__all__ = ["is_half", "widened"]


def is_half(dtype: DType) -> bool:
    """Whether `dtype` is float16 or ml_dtypes' bfloat16."""
    return dtype == np.float16 or dtype.name == "bfloat16"


def _wide_type(arrays: list[Array], integers: bool) -> tuple[Any, Any] | None:
    """The type to compute in and that of the result, or None where nothing need be widened."""
    first = arrays[0].dtype
    if is_half(first) and all(a.dtype == first for a in arrays):
        return np.float32, first
    if integers and all(a.dtype in (np.int8, np.uint8) for a in arrays[:2]):
        return np.float64, np.dtype(np.int32)  # sums stay far below 2**53, so exact
    return None


def widened(
    call: Callable[..., Any],
    arrays: list[Array | None],
    out: Array | None,
    out_dtype: Any = None,
    *,
    integers: bool = False,
) -> Any:
    """Make up for a TypeError that the compiled engine raised over a narrow type, or raise it.

    Called from within the ``except`` clause. ``call(*wide)`` computes with the arrays in a type
    that the engine takes; results come back in the arrays' own type, or in `out_dtype`.
    """
    given = [a for a in arrays if a is not None]
    types = None
    if all(isinstance(a, np.ndarray) for a in given):
        types = _wide_type(given, integers)
    if types is None:
        raise
    wide, own = types
    narrow = own if out_dtype is None else np.dtype(out_dtype)
    result = call(*(None if a is None else a.astype(wide) for a in arrays))

    def back(value: Any) -> Any:
        floats = isinstance(value, np.ndarray) and value.dtype == wide
        return value.astype(narrow) if floats else value

    if isinstance(result, tuple):
        return tuple(back(v) for v in result)
    if out is None:
        return back(result)
    if out.shape != result.shape or out.dtype != narrow:
        raise ValueError(
            f"out must be {narrow} of shape {result.shape}, got {out.dtype} of shape {out.shape}"
        )
    out[...] = result
    return out
