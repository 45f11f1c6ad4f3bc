"""Gradients of convolutions as plain functions of arrays, in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from .._types import Array, Ints, Padding
from .narrow import in_float32

__all__ = [
    "ConvGrads",
    "conv1d_backward",
    "conv1d_bias",
    "conv1d_input",
    "conv1d_weight",
    "conv2d_backward",
    "conv2d_bias",
    "conv2d_input",
    "conv2d_weight",
    "conv3d_backward",
    "conv3d_bias",
    "conv3d_input",
    "conv3d_weight",
]


class ConvGrads(NamedTuple):
    """Gradients of a convolution; None where not asked for."""

    input: Any
    weight: Any
    bias: Any


def _gradients(rank: int) -> tuple[Callable[..., Any], ...]:
    """The four gradient functions of one rank; only the number of axes differs between ranks."""
    like = f"conv{rank}d"

    @in_float32
    def conv_backward(
        grad_output: Array,
        input: Array,
        weight: Array,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: int = 1,
        *,
        need: tuple[bool, bool, bool] = (True, True, True),
        algorithm: str = "auto",
    ) -> ConvGrads:
        return ConvGrads(
            *_core.conv_backward(
                rank, grad_output, input, weight, stride, padding, dilation, groups,
                need, algorithm,
            )
        )  # fmt: skip

    @in_float32
    def conv_input(
        input_size: Sequence[int],
        weight: Array,
        grad_output: Array,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: int = 1,
        *,
        algorithm: str = "auto",
    ) -> Array:
        return _core.conv_input_grad(
            rank, tuple(input_size), weight, grad_output, stride, padding, dilation, groups,
            algorithm,
        )  # fmt: skip

    @in_float32
    def conv_weight(
        input: Array,
        weight_size: Sequence[int],
        grad_output: Array,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: int = 1,
        *,
        algorithm: str = "auto",
    ) -> Array:
        return _core.conv_weight_grad(
            rank, input, tuple(weight_size), grad_output, stride, padding, dilation, groups,
            algorithm,
        )  # fmt: skip

    @in_float32
    def conv_bias(grad_output: Array) -> Array:
        dtype = getattr(grad_output, "dtype", type(grad_output).__name__)
        if dtype not in ("float32", "float64"):
            raise TypeError(
                f"{like}_bias: grad_output must be a float32 or float64 array, got {dtype}"
            )
        if grad_output.ndim not in (rank + 1, rank + 2):
            raise ValueError(
                f"{like}_bias: grad_output must have {rank + 1} or {rank + 2} axes, "
                f"got shape {grad_output.shape}"
            )
        axes = tuple(a for a in range(grad_output.ndim) if a != grad_output.ndim - rank - 1)
        return np.asarray(grad_output.sum(axes))

    conv_backward.__doc__ = f"""Gradients of :func:`{like}` with respect to input, weight and bias.

    Parameters
    ----------
    grad_output : array of the output's shape
    input, weight : arrays as given to :func:`{like}`
    stride, padding, dilation, groups
        As given to :func:`{like}`.
    need : three bools
        Which gradients to compute: input, weight, bias.

    Returns
    -------
    ConvGrads
        ``(input, weight, bias)``, None where not needed.

    Raises
    ------
    ValueError, TypeError
        As :func:`{like}`; also if `grad_output` has not the output's shape.
    """
    conv_input.__doc__ = (
        f"Gradient of :func:`{like}` with respect to its input, of shape `input_size`; the "
        f"argument order is that of ``torch.nn.grad.{like}_input``."
    )
    conv_weight.__doc__ = (
        f"Gradient of :func:`{like}` with respect to its weight, of shape `weight_size`; the "
        f"argument order is that of ``torch.nn.grad.{like}_weight``."
    )
    conv_bias.__doc__ = (
        f"Gradient of :func:`{like}` with respect to its bias: `grad_output` summed over all axes "
        "but the channels."
    )
    functions = (conv_backward, conv_input, conv_weight, conv_bias)
    for function, ending in zip(functions, ("backward", "input", "weight", "bias"), strict=True):
        function.__name__ = function.__qualname__ = f"{like}_{ending}"
    return functions


conv1d_backward, conv1d_input, conv1d_weight, conv1d_bias = _gradients(1)
conv2d_backward, conv2d_input, conv2d_weight, conv2d_bias = _gradients(2)
conv3d_backward, conv3d_input, conv3d_weight, conv3d_bias = _gradients(3)
