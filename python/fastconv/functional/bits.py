"""Whole numbers bit by bit, and truth values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._types import Operand, Result
from ..autograd import raw
from ._tools import array_first
from .elementwise import _plain

__all__ = ["bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "logical_xor"]


def _whole(name: str, function: Callable[..., Any], *operands: Operand) -> Result:
    if not any(isinstance(raw(value), (np.ndarray, np.generic)) for value in operands):
        array_first(name, operands[0])
    for value in operands:
        kind = np.asarray(raw(value)).dtype
        if kind.kind not in "biu":
            raise TypeError(f"{name}: operands must be whole numbers or bools, got {kind}")
    return _plain(function, *operands)


def bitwise_and(input: Operand, other: Operand) -> Result:
    """``input & other``: of bools, where both are true."""
    return _whole("bitwise_and", np.bitwise_and, input, other)


def bitwise_or(input: Operand, other: Operand) -> Result:
    """``input | other``: of bools, where either is true."""
    return _whole("bitwise_or", np.bitwise_or, input, other)


def bitwise_xor(input: Operand, other: Operand) -> Result:
    """``input ^ other``: of bools, where one is true."""
    return _whole("bitwise_xor", np.bitwise_xor, input, other)


def bitwise_not(input: Operand) -> Result:
    """``~input``: of bools, where it is false."""
    return _whole("bitwise_not", np.bitwise_not, input)


def logical_xor(input: Operand, other: Operand) -> Result:
    """Where one of the two is not zero."""
    for argument, value in (("input", input), ("other", other)):
        array_first("logical_xor", value, argument)
    return _plain(np.logical_xor, input, other)
