"""What activations share: types, the tape, writing in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._types import Array, Operand, Result
from ..autograd import TensorBase, assign, record
from ._tools import array_first, through_float32

__all__ = ["activation", "in_place"]

#: Of whole numbers: those that stay whole, and those that are computed in float32.
_KEEP_WHOLE = ("Relu6", "Hardtanh", "Threshold")
_FROM_WHOLE = ("Sigmoid", "Tanh", "Softsign", "Tanhshrink")


def _computed(name: str, forward: Callable[[Array], Array], x: Array) -> Any:
    """The activation of an array of any type that it takes."""
    if x.dtype.kind in "fV":
        return through_float32(forward, x)
    if name in _KEEP_WHOLE:
        return np.asarray(forward(x)).astype(x.dtype)
    if name in _FROM_WHOLE:
        return forward(x.astype(np.float32))
    raise TypeError(f"{_public(name)}: input must be of a floating-point type, got {x.dtype}")


def _public(name: str) -> str:
    return {"LeakyRelu": "leaky_relu", "LogSoftmax": "log_softmax"}.get(name, name.lower())


def activation(
    name: str,
    input: Operand,
    inplace: bool,
    forward: Callable[[Array], Array],
    backward: Callable[[Array, Array], Array],
    *,
    reads_output: bool = False,
    fused: str | None = None,
) -> Result:
    """An activation; ``backward(g, kept)`` gets the input, or the output if `reads_output`.

    `fused` is its name where a convolution can apply it in its own pass.
    """
    if not isinstance(input, TensorBase):
        if not isinstance(input, (np.ndarray, np.generic)):
            array_first(_public(name), input)
        y = _computed(name, forward, input)
        if inplace:
            input[...] = y
            return input
        return y
    if fused is not None:
        joined = input._with_activation(fused, inplace)
        if joined is not None:
            return joined
    x = input._array
    y = _computed(name, forward, x)
    kept = y if reads_output else x
    result = record(
        name,
        y,
        (input,),
        lambda g: (through_float32(backward, g, kept),),
        saves=() if reads_output or inplace else (input,),
        saves_output=reads_output and not inplace,
    )
    return assign(input, result) if inplace else result


def in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """PyTorch's spelling of ``inplace=True``."""

    def call(input: Operand, *args: Any, **kwargs: Any) -> Any:
        return function(input, *args, inplace=True, **kwargs)

    call.__name__ = call.__qualname__ = f"{function.__name__}_"
    call.__doc__ = f":func:`{function.__name__}` in place."
    return call
