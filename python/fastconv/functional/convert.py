"""Copies, other element types and other memory layouts."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .._types import Array, Operand, Result
from ..autograd import TensorBase, raw, record, wrap
from ..dtypes import contiguous_format, has_channels_last
from ._tools import compiled, is_float

__all__ = ["cast", "channels_last_layout", "clone", "contiguous"]


def _copied(x: Array) -> Array:
    """The values in C order, in memory of their own."""
    if not compiled(x):
        return np.array(x, order="C")
    y: Array = _core.empty(x.shape, x.itemsize)
    _core.copy(y, x)
    return y


def clone(input: Operand, *, memory_format: Any = None) -> Result:
    """A copy in memory of its own, laid out as `input` is unless a `memory_format` is given."""
    x = raw(input)
    if has_channels_last(memory_format):
        y = np.moveaxis(_copied(np.moveaxis(x, 1, -1)), -1, 1)
    else:
        y = _copied(x) if memory_format is contiguous_format else x.copy(order="K")
    if not isinstance(input, TensorBase):
        return y
    return record("Clone", y, (input,), lambda g: (g,))


def cast(input: Operand, dtype: Any) -> Result:
    """The values in another element type; a tensor of that type already is returned as it is."""
    x = raw(input)
    to = np.dtype(dtype)
    if x.dtype == to:
        return input
    y = x.astype(to)
    if not isinstance(input, TensorBase):
        return y
    if not is_float(y):
        return wrap(y)
    source = x.dtype
    return record("Cast", y, (input,), lambda g: (g.astype(source),))


def channels_last_layout(x: Array) -> Array:
    """The same values with the channels (axis 1) next to each other in memory."""
    last = np.moveaxis(x, 1, -1)
    return x if last.flags.c_contiguous else np.moveaxis(_copied(last), -1, 1)


def is_channels_last(x: Array) -> bool:
    """Whether (N, C, ...) lies as (N, ..., C) in memory, and not in C order too."""
    if x.ndim < 3 or x.flags.c_contiguous:
        return False
    return bool(np.moveaxis(x, 1, -1).flags.c_contiguous)


def laid_out_as(y: Array, x: Array) -> Array:
    """`y`, with channels last where `x` has them so and both are (N, C, ...)."""
    same = x.ndim == y.ndim and x.ndim > 3 and not x.flags.c_contiguous
    if same and np.moveaxis(x, 1, -1).flags.c_contiguous:
        return channels_last_layout(y)
    return y


def contiguous(input: Operand, memory_format: Any = None) -> Result:
    """The values in C order, or with channels last; already so, the input itself."""
    x, last = raw(input), has_channels_last(memory_format)
    y = channels_last_layout(x) if last else x
    if not last and not x.flags.c_contiguous:
        y = _copied(x)
    if y is x:
        return input
    return record("Contiguous", y, (input,), lambda g: (g,)) if isinstance(input, TensorBase) else y
