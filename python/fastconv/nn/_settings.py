"""Reading the arguments of layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import as_dtype
from ..dtypes import device as cpu
from .parameter import Parameter

__all__ = ["blank", "check_device", "per_axis"]


def per_axis(value: Any, rank: int) -> Any:
    """An int as a tuple with one entry per axis, strings and pairs as they are."""
    if isinstance(value, (int, np.integer)):
        return (int(value),) * rank
    return value if isinstance(value, str) else tuple(value)


def check_device(device: Any) -> None:
    """RuntimeError unless `device` is None or the CPU."""
    if device is not None:
        cpu(device)


def blank(*shape: int, dtype: Any = None) -> Parameter:
    """A parameter that is yet to be filled."""
    return Parameter(np.zeros(shape, as_dtype(dtype)))
