"""Narrow element types: half precision computed in float32, small integers exactly in float64."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .._types import Array
from ..autograd import TensorBase, raw
from ._tools import array_first, is_half, no_array, written
from .convert import cast

__all__ = ["floats_only", "in_float32", "is_half", "widened"]

Function = TypeVar("Function", bound=Callable[..., Any])


def _wide_type(arrays: list[Array], integers: bool, whole: bool) -> tuple[Any, Any] | None:
    """The type to compute in and that of the result, or None where nothing need be widened."""
    first = arrays[0].dtype
    if whole and first.kind in "iu" and (first.itemsize < 8 or _small(arrays[0])):
        return np.float64, first
    if is_half(first) and all(a.dtype == first for a in arrays):
        return np.float32, first
    if integers and all(a.dtype in (np.int8, np.uint8) for a in arrays[:2]):
        return np.float64, np.dtype(np.int32)  # sums stay far below 2**53, so exact
    return None


def _small(x: Array) -> bool:
    """Whether float64 holds all these whole numbers exactly."""
    return not x.size or max(abs(int(x.min())), abs(int(x.max()))) <= 2**53


def widened(
    call: Callable[..., Any],
    arrays: list[Array | None],
    out: Array | None,
    out_dtype: Any = None,
    *,
    integers: bool = False,
    whole: bool = False,
) -> Any:
    """Make up for a TypeError that the compiled engine raised over a narrow type, or raise it.

    Called from within the ``except`` clause. ``call(*wide)`` computes with the arrays in a type
    that the engine takes; results come back in the arrays' own type, or in `out_dtype`. `integers`
    admits int8 and uint8, whose sums are int32; `whole` admits all integers, which stay what they
    are (as maxima do).
    """
    given = [a for a in arrays if a is not None]
    types = None
    if all(isinstance(a, np.ndarray) for a in given):
        types = _wide_type(given, integers, whole)
    if types is None:
        raise
    name = str(sys.exc_info()[1]).partition(":")[0]  # the engine's refusals start with it
    wide, own = types
    narrow = own if out_dtype is None else np.dtype(out_dtype)
    result = call(*(None if a is None else a.astype(wide) for a in arrays))

    def back(value: Any) -> Any:
        if not isinstance(value, np.ndarray) or value.dtype != wide:
            return value
        if whole and narrow.kind in "iu":  # minus infinity is the least there is
            value = np.maximum(value, np.iinfo(narrow).min)
        return value.astype(narrow)

    if isinstance(result, tuple):
        return tuple(back(v) for v in result)
    if out is None:
        return back(result)
    return written(name, out, back(result), *arrays)


def in_float32(function: Function, *, whole: bool = True) -> Function:
    """Let a function take half precision: what is half becomes float32, and the result half again.

    The type of the first operand decides; it must be an array or a tensor, or TypeError is raised.
    A call that names the type of its result (``dtype=``) goes through as it is. Without `whole`,
    whole numbers are refused.
    """

    argument = function.__code__.co_varnames[0]
    shaped = argument == "input_size"  # conv2d_input and its like: the operands come after a shape

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        own: Any = getattr(args[0] if args else kwargs.get(argument), "dtype", None)
        if own is None and len(args) > 1 and (shaped or isinstance(args[0], (int, float, str))):
            own = getattr(args[1], "dtype", None)
        if own is None:
            array_first(function.__name__, args[0] if args else kwargs.get(argument), argument)
        if not whole and own.kind not in "fV":
            raise TypeError(
                f"{function.__name__}: {argument} must be of a floating-point type, got {own}"
            )
        if own.itemsize != 2 or not is_half(own) or kwargs.get("dtype") is not None:
            try:
                return function(*args, **kwargs)
            except AttributeError as error:
                raise no_array(function, args, kwargs) or error from None

        def wide(value: Any) -> Any:
            if not isinstance(value, (np.ndarray, np.generic, TensorBase)):
                return value
            if not is_half(raw(value).dtype):
                return value
            return cast(np.asarray(value) if isinstance(value, np.generic) else value, np.float32)

        def narrow(value: Any) -> Any:
            if isinstance(value, tuple):
                parts = (narrow(v) for v in value)
                return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
            floats = getattr(value, "dtype", None) == np.float32
            return cast(value, own) if floats else value

        out = kwargs.pop("out", None)
        result = narrow(function(*map(wide, args), **{k: wide(v) for k, v in kwargs.items()}))
        if out is None:
            return result
        return written(function.__name__, out, np.asarray(result), *map(raw, args))

    return call  # type: ignore[return-value]


def floats_only(function: Function) -> Function:
    """As :func:`in_float32`, refusing whole numbers."""
    return in_float32(function, whole=False)
